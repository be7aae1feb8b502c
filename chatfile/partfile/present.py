"""The file that has the final name of a download before it begins, and what earlier downloads of it have left."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading

from chatfile.fdio import close_quietly, read_slice
from chatfile.partfile.names import SAFELY, is_same_file, names_beside, remove, remove_stale_link
from chatfile.partfile.opening import check_ours, lock
from chatfile.partfile.spelling import has_other_spelling


class PresentFile:
    """A file that has the final name already, open to be read until `close`; its methods are for threads."""

    def __init__(self, folder: str, name: str) -> None:
        """Open it. Raises OSError where there is none of that very name, or it is no regular file, or can't be read."""
        self.path = os.path.join(folder, name)
        self._lock = threading.Lock()  # a call in a thread may outlive the wish for it: `close` waits
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            remove_stale_link(directory, name)
            self.has_leftovers = _has_leftovers(directory, name)
            """Whether an earlier download of it has left something."""
            self._descriptor = os.open(name, os.O_RDONLY | SAFELY, dir_fd=directory)
            try:
                self.size = self._size(directory, name)
            except BaseException:
                close_quietly(self._descriptor)
                raise
        finally:
            close_quietly(directory)
        self._sha256 = hashlib.sha256()

    def _size(self, directory: int, name: str) -> int:
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if has_other_spelling(directory, name):
            raise FileNotFoundError(errno.ENOENT, "there by another spelling only")
        return status.st_size

    def hash_slice(self, start: int) -> int:
        """Take some of its bytes from `start` on into the digest; return where to go on, `start` at the end.

        Raises OSError.
        """
        with self._lock:
            return read_slice(self._descriptor, self._sha256.update, start, self.size)

    def hexdigest(self) -> str:
        """Return the SHA-256, in hex, of the bytes that `hash_slice` took."""
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Close it."""
        with self._lock:
            close_quietly(self._descriptor)


def _has_leftovers(folder: int, name: str) -> bool:
    """Tell whether the open `folder` has a part file of `name`, or a note."""
    for each in names_beside(folder, name):
        try:
            os.stat(each, dir_fd=folder, follow_symlinks=False)
        except OSError:
            continue
        return True
    return False


def remove_leftovers(folder: str, name: str) -> None:
    """Remove the part file of `name`, which is in `folder` itself by now, and its note; not those of a client at work.

    For a thread. What can't be removed stays: it does no harm.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return  # then nothing can be removed either
    try:
        _remove_unless_busy(descriptor, *names_beside(descriptor, name))
    except OSError:
        pass  # another client is at work, it is another user's, or it may not be removed
    finally:
        close_quietly(descriptor)


def _remove_unless_busy(folder: int, part: str, note: str) -> None:
    try:
        descriptor = os.open(part, os.O_RDWR | SAFELY, dir_fd=folder)
    except FileNotFoundError:
        remove(folder, note)
        return
    try:
        check_ours(folder, os.fstat(descriptor))
        if lock(descriptor, tries=1) and is_same_file(folder, part, descriptor):
            remove(folder, part)
            remove(folder, note)
    finally:
        close_quietly(descriptor)
