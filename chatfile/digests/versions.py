"""The contents that a file has at different times, and what they mean for a digest.

A file may be written to while it is read. Its digest has to be that of bytes which were all there at one moment, so a
file that has changed is read a second time. If it was only appended to, the bytes before are the same, and both
readings have one digest. The mtime alone proves nothing: a write that is under way changes it before the size.
"""

from __future__ import annotations

import enum
import os
from typing import NamedTuple

from chatfile.errors import ChatFileError

Version = tuple[int, int, int, int, int]
"""Device, inode, size in bytes, mtime and ctime in ns: what tells one content of one file from another."""

MIN_AGE = 2.0
"""Seconds since the last change of a file from which on its digest can be kept.

A second write within this time can leave the same mtime: FAT counts in steps of two seconds.
"""


def file_version(status: os.stat_result) -> Version:
    """Return the version of a file that has this `status`."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def is_settled(version: Version, now: float) -> bool:
    """Tell whether a file was last changed long enough before `now`, in seconds since 1970.

    A time that lies ahead is no such time: the clock has been set back, and may come to it once more.
    """
    *_, mtime, ctime = version
    return now - max(mtime, ctime) / 1e9 > MIN_AGE


class Reading(NamedTuple):
    """One reading of a file: what it was when it was opened, and when that was, in seconds since 1970."""

    version: Version
    began: float


class FileChanged(ChatFileError):
    """Raised where a file has changed since it was opened: it is shorter, or was not only appended to."""


class Change(enum.Enum):
    """The ways in which a file may have changed since it was opened, at the end of a reading."""

    NONE = "the same mtime, and no fewer bytes"
    APPENDED = "another mtime and more bytes: appended to, or rewritten and longer"
    REWRITTEN = "another mtime and as many bytes: rewritten, or just being appended to"
    SHRUNK = "fewer bytes"


class Verdict(enum.Enum):
    """The consequences of a reading that has come to its end."""

    VALID = "the digest is that of the file"
    READ_AGAIN = "it may be that of a bit of both contents: a second reading tells"
    COMPARE = "it is valid if the first reading came to the same"
    CHANGED = "there is no digest of what was opened"


VERDICTS = {
    # the change         the first reading     the second
    Change.NONE: (Verdict.VALID, Verdict.COMPARE),
    Change.APPENDED: (Verdict.READ_AGAIN, Verdict.COMPARE),
    Change.REWRITTEN: (Verdict.READ_AGAIN, Verdict.CHANGED),
    Change.SHRUNK: (Verdict.CHANGED, Verdict.CHANGED),
}


def find_change(opened: Version, now: os.stat_result) -> Change:
    """Compare what a file was when it was `opened` with what it is `now`."""
    _, _, size, mtime, _ = opened
    if now.st_size < size:
        return Change.SHRUNK
    if now.st_mtime_ns == mtime:
        return Change.NONE
    return Change.APPENDED if now.st_size > size else Change.REWRITTEN
