"""The file that is received: how much of it is missing, its digest, and its end, whichever way its bytes come."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatfile.disk import InThread
from chatfile.fdio import write_all


class Hasher(Protocol):
    """Computes a digest of the bytes that it is given, as the objects of `hashlib` do."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take `data` into the digest, behind what it was given before."""

    def hexdigest(self) -> str:
        """Return the digest so far, in lower-case hex."""


class IncomingFile:
    """A file of which bytes are still to come.

    Both ways of receiving count, write and hash through it, one at a time, so that nothing of that stands twice.
    """

    def __init__(
        self, descriptor: int | None, count: int, hasher: Hasher | None, progress: Callable[[int], None]
    ) -> None:
        """Expect `count` bytes for a duplicate of `descriptor`; None drops them.

        `hasher`, if any, takes them in order. `progress(n)` is called with each n bytes that came. Raises OSError where
        there can be no duplicate.
        """
        self.remaining = count
        """Bytes that have not come yet."""
        self.done: Deferred[None] = Deferred()
        """Fires once the file is complete and closed; fails with `failure`."""
        self.failure: Failure | None = None
        """Why no more is written; the first reason counts."""
        self.descriptor = -1 if descriptor is None else os.dup(descriptor)
        """Where the next byte is written; -1 where bytes are dropped, and after the end."""
        self._hasher = hasher
        self._tail: TailHasher | None = None
        self._progress = progress

    @property
    def is_wanted(self) -> bool:
        """Tell whether bytes that come now are to be written."""
        return self.descriptor >= 0 and self.failure is None

    def report(self, came: int) -> None:
        """Call `progress`, which is the caller's and may raise anything; `came` bytes have been counted already."""
        self._progress(came)

    def write(self, batch: bytes) -> int:
        """Write all of `batch`, and hash it unless that is done from the file; return its length.

        For a thread: it blocks. Raises OSError.
        """
        if self._hasher is not None and self._tail is None:
            self._hasher.update(batch)
        return write_all(self.descriptor, batch)

    # --- the digest of what this process never sees ---

    @property
    def lag(self) -> int:
        """Return how many bytes were written and are not hashed yet."""
        return 0 if self._tail is None else self._tail.lag

    def hash_from_file(self, in_thread: InThread, hashed: Callable[[Failure | None], None]) -> None:
        """Hash from now on by reading the file back, if it is to be hashed at all.

        Called while nothing is being written, and without effect the second time. `hashed` is that of `TailHasher`.
        Raises OSError.
        """
        if self._hasher is not None and self._tail is None:
            self._tail = TailHasher(self.descriptor, self._hasher, in_thread, hashed)

    def written(self, count: int) -> None:
        """Let the digest follow: `count` more bytes have been written."""
        if self._tail is not None and self.failure is None:
            self._tail.advance(count)

    # --- the end ---

    def fail(self, why: Failure) -> None:
        """Want no more bytes, and no digest, because of `why`."""
        self.failure = self.failure or why
        if self._tail is not None:
            self._tail.stop()

    def finish_if_complete(self) -> None:
        """Close the file and fire `done` if nothing is missing, or it has failed; called while nothing is written."""
        if self.done.called or (self.remaining and self.failure is None):
            return
        if self._tail is not None and self._tail.is_busy:
            return
        self._close()
        self.done.callback(self.failure)

    def _close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        try:
            if descriptor >= 0:
                os.close(descriptor)
        except OSError:
            self.failure = self.failure or Failure()  # of a write: over a network it may be told only now


class TailHasher:
    """Hashes what was written to a file by reading it back, in a thread, while more is being written."""

    SLICE = 8 << 20
    """Bytes read in one call, so that an end is not held up."""
    CHUNK = 256 << 10
    """Bytes read at a time: few enough to be still in the processor's cache when they are hashed."""

    def __init__(
        self,
        descriptor: int,
        hasher: Hasher,
        in_thread: InThread,
        hashed: Callable[[Failure | None], None],
    ) -> None:
        """Begin where `descriptor` stands, which must be open for reading.

        `hashed(None)` is called whenever some more bytes were hashed, `hashed(failure)` when they could not be read:
        then no more are. Raises OSError where the descriptor has no position.
        """
        self._descriptor = descriptor
        self._hasher = hasher
        self._in_thread = in_thread
        self._hashed = hashed
        self._position = self._end = os.lseek(descriptor, 0, os.SEEK_CUR)
        self._is_reading = False

    @property
    def lag(self) -> int:
        """Return how many bytes were written and are not hashed yet."""
        return self._end - self._position

    @property
    def is_busy(self) -> bool:
        """Tell whether a thread uses the descriptor, or will."""
        return self._is_reading or bool(self.lag)

    def advance(self, count: int) -> None:
        """Hash `count` more bytes, which have been written."""
        self._end += count
        self._read_on()

    def stop(self) -> None:
        """Begin no more reads: the digest is not wanted any more."""
        self._end = self._position

    def _read_on(self) -> None:
        if self.lag and not self._is_reading:
            self._is_reading = True
            stop = min(self._end, self._position + self.SLICE)
            self._in_thread(self._read, self._position, stop).addCallbacks(self._have_read, self._failed)

    def _read(self, start: int, stop: int) -> int:
        """Hash the bytes from `start` to `stop`; return `stop`. For a thread: it blocks. Raises OSError."""
        buffer = memoryview(bytearray(min(self.CHUNK, stop - start)))
        while start < stop:
            count = os.preadv(self._descriptor, [buffer[: stop - start]], start)
            if not count:
                raise OSError(errno.EIO, "the file got shorter while it was written")
            self._hasher.update(buffer[:count])
            start += count
        return stop

    def _have_read(self, position: int) -> None:
        self._is_reading = False
        self._position = position
        self._end = max(self._end, position)  # it may have been stopped meanwhile
        self._read_on()
        self._hashed(None)

    def _failed(self, failure: Failure) -> None:
        self._is_reading = False
        self.stop()
        self._hashed(failure)
