"""The file beside the final one in which a download grows: `.NAME.part`, with its `.NAME.note`.

Plain Python that blocks on the disk: call it in threads. Everything happens relative to the folder's descriptor and
without following links, so that nothing planted in the folder leads a download elsewhere.
"""

from chatfile.partfile.leftovers import drop_leftovers
from chatfile.partfile.notes import Source
from chatfile.partfile.part import PartFile
from chatfile.partfile.present import PresentFile
from chatfile.partfile.spelling import Saved, is_hidden, is_unfinished

__all__ = ["PartFile", "PresentFile", "Saved", "Source", "drop_leftovers", "is_hidden", "is_unfinished"]
