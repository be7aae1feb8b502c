"""The file that has the final name of a download before it begins."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading

from chatfile.fdio import close_quietly
from chatfile.partfile.leftovers import has_leftovers
from chatfile.partfile.names import SAFELY, drop_twin
from chatfile.partfile.slices import read_slice
from chatfile.partfile.spelling import has_other_spelling


class PresentFile:
    """One that is there already, open to be read until `close`."""

    def __init__(self, folder: str, name: str) -> None:
        """Open it. Raises OSError where there is none of that very name, or it is no regular file, or can't be read."""
        self.path = os.path.join(folder, name)
        self._lock = threading.Lock()  # a call in a thread may outlive the wish for it: `close` waits
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            drop_twin(directory, name)
            self.has_leftovers = has_leftovers(directory, name)
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
        """Take some of its bytes from `start` on into the digest; the result is where to go on, `start` at the end."""
        with self._lock:
            return read_slice(self._descriptor, self._sha256.update, start, self.size)

    def hexdigest(self) -> str:
        """The SHA-256 of what was taken."""
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Let go of it."""
        with self._lock:
            close_quietly(self._descriptor)
