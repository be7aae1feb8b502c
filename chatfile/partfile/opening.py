"""The opening of a part file that no other client is writing, and no other user has planted."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import time
from typing import NamedTuple

from chatfile.fdio import close_quietly, write_all
from chatfile.partfile.names import PART, SAFELY, is_same_file, remove

_ATTEMPTS = 5
"""How often to try to open an existing part file: another client may remove it at that moment."""
_TRIES, _PAUSE = 25, 0.02
"""How often, and how many seconds apart, a lock is tried again."""
_PIECE = 1 << 20
"""Bytes copied at a time."""


class ExclusiveFile(NamedTuple):
    """A part file that is open and, where the file system can do that, locked."""

    descriptor: int
    is_identifiable: bool
    """Whether `is_same_file` works for it: some file systems have no inode numbers, or ones that change."""


def open_exclusively(folder: int, part: str) -> ExclusiveFile:
    """Open the file `part` in the open `folder` for reading and writing, or create it.

    Raises BlockingIOError if another client has it, PermissionError if it belongs to another user, or another OSError.
    """
    for _ in range(_ATTEMPTS):
        try:
            return create_exclusively(folder, part)
        except FileExistsError:
            opened = _open_existing(folder, part)
            if opened is not None:
                return opened
    remove(folder, part)  # a file that can't be identified by its name, or always has another name as well
    return create_exclusively(folder, part)


def create_exclusively(folder: int, part: str) -> ExclusiveFile:
    """Create the file `part` in `folder`, locked. Raises FileExistsError, BlockingIOError, or another OSError."""
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | SAFELY, 0o666, dir_fd=folder)
    try:
        is_identifiable = is_same_file(folder, part, descriptor)
        lock(descriptor)
        if is_identifiable and not is_same_file(folder, part, descriptor):
            raise FileExistsError(errno.EEXIST, "another client was faster")
        os.set_blocking(descriptor, True)
    except (BlockingIOError, FileExistsError):  # another client has it by now
        close_quietly(descriptor)
        raise
    except BaseException:
        close_quietly(descriptor)
        _remove_quietly(folder, part)
        raise
    return ExclusiveFile(descriptor, is_identifiable)


def _open_existing(folder: int, part: str) -> ExclusiveFile | None:
    """Open the file `part`; return None to have `open_exclusively` try again. Raises what that raises."""
    try:
        check_ours(folder, os.stat(part, dir_fd=folder, follow_symlinks=False))
        descriptor = os.open(part, os.O_RDWR | SAFELY, dir_fd=folder)
    except FileNotFoundError:
        return None
    opened = None
    try:
        opened = _make_ours(folder, part, descriptor)
    finally:
        if opened is None or opened.descriptor != descriptor:
            close_quietly(descriptor)
    return opened


def _make_ours(folder: int, part: str, descriptor: int) -> ExclusiveFile | None:
    status = os.fstat(descriptor)
    check_ours(folder, status)
    if not lock(descriptor):
        return _copy(folder, part, descriptor)
    if not is_same_file(folder, part, descriptor):
        return None
    if status.st_nlink > 1:
        # An interrupted rename, or a planted link: bytes that are written would appear under both names.
        os.unlink(part, dir_fd=folder)
        return None
    os.set_blocking(descriptor, True)
    return ExclusiveFile(descriptor, is_identifiable=True)


def _copy(folder: int, part: str, descriptor: int) -> ExclusiveFile:
    """Replace the file by a copy: where it can't be locked, another client may still be writing to `descriptor`."""
    remove(folder, part)
    opened = create_exclusively(folder, part)
    try:
        at = 0
        while piece := os.pread(descriptor, _PIECE, at):
            at += write_all(opened.descriptor, piece)
    except BaseException:
        close_quietly(opened.descriptor)
        raise
    return opened


def check_ours(folder: int, status: os.stat_result) -> None:
    """Raise OSError for a part file in the open `folder` that is not a regular file, or belongs to another user."""
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.ELOOP, "its part file is not a regular file")
    if status.st_uid != os.geteuid() and status.st_uid != _owner_here(folder):
        raise PermissionError(errno.EACCES, "its part file belongs to another user; remove it, or save it elsewhere")


def _owner_here(folder: int) -> int:
    """Return the user id that new files in `folder` get: some file systems give all files to one other user."""
    name = f".{secrets.token_hex(8)}{PART}"
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | SAFELY, 0o600, dir_fd=folder)
    try:
        return os.fstat(descriptor).st_uid
    finally:
        close_quietly(descriptor)
        remove(folder, name)


def _remove_quietly(folder: int, part: str) -> None:
    try:
        remove(folder, part)
    except OSError:
        pass  # the error before this one is reported


def lock(descriptor: int, tries: int = _TRIES) -> bool:
    """Lock an open file, in a thread; return False if the file system has no locks.

    Raises BlockingIOError if another download still has the lock after so many `tries`, some hundredths of a second
    apart. One that was interrupted keeps it for a moment, until its thread has returned from a call.
    """
    for remaining in reversed(range(tries)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not remaining:
                raise
            time.sleep(_PAUSE)
        except OSError:  # file systems without locks have different errnos for that
            return False
        else:
            break
    return True
