"""The file that has the final name of a download before it begins."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading

from chatfile.descriptors import let_go
from chatfile.partfile.names import SAFELY, drop_twin
from chatfile.partfile.slices import read_slice


class PresentFile:
    """One that is there already, open to be read until `close`."""

    def __init__(self, folder: str, name: str) -> None:
        """Open it. Raises OSError where there is none, where it is not a regular file, or can't be read."""
        self.path = os.path.join(folder, name)
        self._lock = threading.Lock()  # a call in a thread may outlive the wish for it: `close` waits
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            drop_twin(descriptor, name)
            self._descriptor = os.open(name, os.O_RDONLY | SAFELY, dir_fd=descriptor)
        finally:
            let_go(descriptor)
        status = os.fstat(self._descriptor)
        self.size = status.st_size
        self._sha256 = hashlib.sha256()
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise OSError(errno.EINVAL, "not a regular file")

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
            let_go(self._descriptor)
