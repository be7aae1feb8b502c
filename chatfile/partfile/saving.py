"""What makes written bytes a file that stays: its time, and all of it on the disk."""

from __future__ import annotations

import errno
import os

from chatfile.fdio import close_quietly
from chatfile.paths import LocalPath

_NO_SYNC = {
    *(errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EROFS, errno.ENOTTY),
    *(errno.EPERM, errno.EACCES),
}
"""Errors of fsync(2) on file systems that do not have it; any other one means that data may be lost."""


def set_time(descriptor: int, mtime: int) -> None:
    """Set the time of an open file, in seconds since 1970, where the file system can store it: the content matters."""
    try:
        os.utime(descriptor, (mtime, mtime))
    except (OSError, OverflowError):
        pass


def set_named_time(place: LocalPath, mtime: int) -> None:
    """Set the time of the file that is there, in seconds since 1970. Raises OSError."""
    directory = place.open_folder()
    try:
        os.utime(place.name, (mtime, mtime), dir_fd=directory, follow_symlinks=False)
    finally:
        close_quietly(directory)


def sync(descriptor: int) -> None:
    """Have all bytes written to the disk: otherwise the new name may be there before them at a power failure.

    Raises OSError.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
