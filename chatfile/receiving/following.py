"""A digest that follows a file as it grows, a slice at a time, in a thread of its own."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Protocol

from twisted.python.failure import Failure

from chatfile.disk import InThread


class Hasher(Protocol):
    """What `hashlib` makes."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take `data` into the digest."""

    def hexdigest(self) -> str:
        """The digest of what was taken, in lower-case hex."""


class FollowingDigest:
    """Takes into a digest what was written to a file, while more is being written."""

    SLICE = 8 << 20
    """Bytes read in one call, so that an end is not held up."""
    CHUNK = 256 << 10
    """Bytes read at a time: few enough to be still in the processor's cache when they are hashed."""

    def __init__(
        self,
        descriptor: int,
        hasher: Hasher,
        in_thread: InThread,
        moved: Callable[[Failure | None], None],
    ) -> None:
        """Begin where `descriptor` stands. `moved(failure)` is called when some more was taken, or reading failed."""
        self._descriptor = descriptor
        self._hasher = hasher
        self._in_thread = in_thread
        self._moved = moved
        self._position = self._end = os.lseek(descriptor, 0, os.SEEK_CUR)
        self.is_reading = False
        """Whether a thread uses the descriptor."""

    @property
    def lag(self) -> int:
        """Bytes that were written and not yet taken."""
        return self._end - self._position

    def advance(self, count: int) -> None:
        """So many more bytes were written."""
        self._end += count
        self._go_on()

    def stop(self) -> None:
        """Nobody wants the digest any more."""
        self._end = self._position

    def _go_on(self) -> None:
        if self.lag and not self.is_reading:
            self.is_reading = True
            stop = min(self._end, self._position + self.SLICE)
            self._in_thread(self._read, self._position, stop).addCallbacks(self._have_read, self._failed)

    def _read(self, start: int, stop: int) -> int:
        """In a thread."""
        buffer = memoryview(bytearray(min(self.CHUNK, stop - start)))
        while start < stop:
            count = os.preadv(self._descriptor, [buffer[: stop - start]], start)
            if not count:
                raise OSError(errno.EIO, "the file got shorter while it was written")
            self._hasher.update(buffer[:count])
            start += count
        return stop

    def _have_read(self, position: int) -> None:
        self.is_reading = False
        self._position = position
        self._end = max(self._end, position)  # it may have been stopped meanwhile
        self._go_on()
        self._moved(None)

    def _failed(self, failure: Failure) -> None:
        self.is_reading = False
        self.stop()
        self._moved(failure)
