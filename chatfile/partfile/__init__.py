"""The file beside the final one in which a download grows: `.NAME.part`, with its `.NAME.note`.

Plain Python that blocks on the disk: call it in threads. Everything happens relative to the folder's descriptor and
without following links, so that nothing planted in the folder leads a download elsewhere.
"""

from chatfile.partfile.notes import Source
from chatfile.partfile.part import PartFile
from chatfile.partfile.present import PresentFile

__all__ = ["PartFile", "PresentFile", "Source"]
