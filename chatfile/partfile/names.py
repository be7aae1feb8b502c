"""The names of a download in its folder: the final one, which nothing partial has, and the hidden ones beside it."""

from __future__ import annotations

import errno
import hashlib
import os

SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Flags for opening a file by a name in the folder: it may be a link or a FIFO that another user has planted."""
PART, NOTE = ".part", ".note"
"""The suffixes of the hidden names."""
_FAILING = {errno.EEXIST, errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ESTALE, errno.ETIMEDOUT}
"""Errors of link(2) that do not mean that the file system has no links."""
_LONGEST, _SHORT = 255, 64
"""Bytes that a file name may have, in usual file systems and in those that allow fewer."""
_DIGEST = 16
"""Hex digits of the digest that makes a shortened name unique."""


def beside(name: str, suffix: str, longest: int = _LONGEST) -> str:
    """Return the hidden name beside `name` with `suffix`, shortened to `longest` bytes, but different for each name."""
    hidden = f".{name}{suffix}"
    if len(os.fsencode(hidden)) <= longest:
        return hidden
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:_DIGEST]
    kept = os.fsencode(name)[: longest - 55].decode(errors="ignore")
    return f".{kept}.{digest}{suffix}"


def names_beside(folder: int, name: str) -> tuple[str, str]:
    """Return the names of the part file and the note of `name`, short enough for the open `folder`."""
    try:
        os.stat(beside(name, PART), dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return beside(name, PART, _SHORT), beside(name, NOTE, _SHORT)
    return beside(name, PART), beside(name, NOTE)


def is_same_file(folder: int, name: str, descriptor: int) -> bool:
    """Tell whether `name` in the open `folder` is certainly the open file `descriptor`. Raises OSError."""
    try:
        named = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return _are_same(named, os.fstat(descriptor))


def _are_same(one: os.stat_result, other: os.stat_result) -> bool:
    """Tell whether both are certainly one file: a file system that has no inode numbers gives 0 for all."""
    return os.path.samestat(one, other) and one.st_ino != 0


def remove(folder: int, name: str) -> None:
    """Remove the file `name` from the open `folder`, if there is one. Raises OSError."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass  # that is what was wanted


def remove_stale_link(folder: int, name: str) -> None:
    """Remove the part file of `name` and its note if the part file is another link to the file `name`.

    A download leaves both names if it is interrupted in the middle of its rename. Raises OSError.
    """
    part, note = names_beside(folder, name)
    try:
        unfinished = os.stat(part, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if _are_same(unfinished, os.stat(name, dir_fd=folder, follow_symlinks=False)):
        remove(folder, part)
        remove(folder, note)


def rename(folder: int, old: str, new: str, descriptor: int, *, replace: bool) -> None:
    """Rename the file `old`, open as `descriptor`, to `new`; replace a file of that name only with `replace`.

    Raises FileExistsError, or another OSError.
    """
    try:
        _replace(folder, old, new) if replace else _link(folder, old, new)
    except OSError:
        if not is_done(folder, new, descriptor):
            raise  # else it was done; if the old name is still there, the next download removes it


def is_done(folder: int, new: str, descriptor: int) -> bool:
    """Tell whether a rename was done, although it failed: over NFS the answer may have been lost."""
    try:
        return is_same_file(folder, new, descriptor)
    except OSError:
        return False


def _replace(folder: int, old: str, new: str) -> None:
    os.replace(old, new, src_dir_fd=folder, dst_dir_fd=folder)


def _link(folder: int, old: str, new: str) -> None:
    try:
        # Unlike rename(2), link(2) replaces nothing.
        os.link(old, new, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno in _FAILING:
            raise
        _rename_without_links(folder, old, new)  # file systems without links have different errnos for that
    else:
        remove(folder, old)


def _rename_without_links(folder: int, old: str, new: str) -> None:
    try:
        os.stat(new, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(old, new, src_dir_fd=folder, dst_dir_fd=folder)
    else:
        raise FileExistsError(errno.EEXIST, "exists")
