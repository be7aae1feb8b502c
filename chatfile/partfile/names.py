"""The names of a download in its folder: those beside the final one, and the final one, which nothing partial has."""

from __future__ import annotations

import errno
import hashlib
import os

SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""How what has a name in the folder is opened: it may be a link or a FIFO that somebody planted."""
PART, NOTE = ".part", ".note"
"""What the names beside the final one end in."""
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}
"""How file systems without hard links refuse one."""
_LONGEST = 255
"""Bytes of a file name, in the usual file systems."""


def beside(name: str, suffix: str) -> str:
    """The hidden name beside `name`, shortened where it would be too long, but still its own."""
    hidden = f".{name}{suffix}"
    if len(os.fsencode(hidden)) <= _LONGEST:
        return hidden
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    kept = os.fsencode(name)[:200].decode(errors="ignore")
    return f".{kept}.{digest}{suffix}"


def leads_to(folder: int, name: str, descriptor: int) -> bool:
    """Whether `name` is that of the open file `descriptor`. Raises OSError where that can't be told."""
    try:
        named = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(descriptor))


def remove(folder: int, name: str) -> None:
    """Let nothing have `name`. Raises OSError."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass  # that is what was wanted


def drop_twin(folder: int, name: str) -> None:
    """A download that was interrupted between its final name and the end of its first one has both. Raises OSError."""
    try:
        part = os.stat(beside(name, PART), dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if os.path.samestat(part, os.stat(name, dir_fd=folder, follow_symlinks=False)):
        remove(folder, beside(name, PART))
        remove(folder, beside(name, NOTE))


def rename(folder: int, old: str, new: str, descriptor: int, *, replace: bool) -> None:
    """Give the open file `descriptor` its new name; what has that is replaced only if `replace` says so.

    Raises FileExistsError, or another OSError.
    """
    try:
        _replace(folder, old, new) if replace else _take(folder, old, new)
    except OSError:
        if not _is_done(folder, new, descriptor):
            raise  # else all is well: a second name that is left goes with the next download


def _is_done(folder: int, new: str, descriptor: int) -> bool:
    """Whether it was done, although it failed: over NFS the answer may have been lost."""
    try:
        return leads_to(folder, new, descriptor)
    except OSError:
        return False


def _replace(folder: int, old: str, new: str) -> None:
    os.replace(old, new, src_dir_fd=folder, dst_dir_fd=folder)


def _take(folder: int, old: str, new: str) -> None:
    try:
        # A link does not replace what exists, as a rename would.
        os.link(old, new, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _take_where_nothing_is(folder, old, new)
    else:
        remove(folder, old)


def _take_where_nothing_is(folder: int, old: str, new: str) -> None:
    try:
        os.stat(new, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(old, new, src_dir_fd=folder, dst_dir_fd=folder)
    else:
        raise FileExistsError(errno.EEXIST, "exists")
