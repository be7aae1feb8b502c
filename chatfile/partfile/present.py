"""The file that has the final name before a download begins, and the part file and note that earlier ones have left."""

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
from chatfile.paths import LocalPath


class PresentFile:
    """A file that has the final name already, open for reading until `close`; its methods are for threads."""

    def __init__(self, target: LocalPath) -> None:
        """Open it. Raises OSError if there is no regular file of exactly that name, or if it can't be read."""
        self.path, name = str(target), target.name
        self._lock = threading.Lock()  # `close` waits for a call in another thread that was cancelled
        directory = target.open_folder()
        try:
            remove_stale_link(directory, name)
            self.has_leftovers = _has_leftovers(directory, name)
            """Whether an earlier download has left a part file or a note."""
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
        """Hash some of its bytes from `start` on; return where those end, `start` at the end of the file.

        Raises OSError.
        """
        with self._lock:
            return read_slice(self._descriptor, self._sha256.update, start, self.size)

    def hexdigest(self) -> str:
        """Return the SHA-256, in hex, of the bytes that `hash_slice` has hashed."""
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


def remove_leftovers(target: LocalPath) -> None:
    """Remove the part file and the note of `target`, a file that is complete, unless a client uses them.

    It blocks, so it is for threads. A file that can't be removed stays, and does no harm.
    """
    try:
        descriptor = target.open_folder()
    except OSError:
        return  # nothing can be removed either
    try:
        _remove_unless_busy(descriptor, *names_beside(descriptor, target.name))
    except OSError:
        pass  # another client uses it, it belongs to another user, or it may not be removed
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
