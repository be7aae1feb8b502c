"""The file beside the final one in which a download grows: `.NAME.part`, with its `.NAME.note`.

Plain Python that blocks on the disk: call it in threads. Everything happens relative to the folder's descriptor and
without following links, so that no link planted in the folder can direct a download to another place.
"""

from chatfile.partfile.part import PartFile, Source
from chatfile.partfile.present import PresentFile, remove_leftovers
from chatfile.partfile.saving import set_named_time
from chatfile.partfile.spelling import Saved, is_hidden, is_unfinished
from chatfile.partfile.together import Presence, WholeFile, have_digests, keep_begun, look_for, save_together

__all__ = [
    "PartFile",
    "Presence",
    "PresentFile",
    "Saved",
    "Source",
    "WholeFile",
    "have_digests",
    "is_hidden",
    "is_unfinished",
    "keep_begun",
    "look_for",
    "remove_leftovers",
    "save_together",
    "set_named_time",
]
