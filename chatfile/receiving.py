"""Exactly so many bytes of a connection, moved into a descriptor: the mirror of sending."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatfile.threads import InThread


class Hasher(Protocol):
    """What `hashlib` makes."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take `data` into the digest."""

    def hexdigest(self) -> str:
        """The digest of what was taken, in lower-case hex."""


class FileReceiver:
    """Collects what arrives and writes it in a thread, a batch at a time; asks for a pause where the disk is behind."""

    BATCH = 1 << 20
    """Bytes that may wait for the disk before the connection is asked to pause."""

    def __init__(
        self,
        descriptor: int | None,
        count: int,
        *,
        hasher: Hasher | None,
        in_thread: InThread,
        pause: Callable[[], None],
        resume: Callable[[], None],
    ) -> None:
        """Expect `count` bytes and write them where `descriptor` stands; None drops them.

        `hasher`, if any, takes them too, in order, in the same thread. The descriptor stays the caller's, who can
        close it at any time: the receiver has a duplicate of its own. Raises OSError where there can't be one.
        """
        self.remaining = count
        """Bytes that have not come yet."""
        self.done: Deferred[None] = Deferred()
        """Fires when all bytes have come and are written; fails at once with an OSError of a write.

        After a failure, and after `drop`, the bytes that still come are dropped.
        """
        self._descriptor = -1 if descriptor is None else os.dup(descriptor)
        self._hasher = hasher
        self._in_thread = in_thread
        self._pause = pause
        self._resume = resume
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._writing = False
        self._has_paused = False
        self._dropping = descriptor is None
        self._failure: Failure | None = None
        self._finish_if_complete()

    def take(self, data: bytes) -> bytes:
        """Take from `data` what belongs to the file; the rest, which lies behind the file, is given back."""
        mine, rest = data[: self.remaining], data[self.remaining :]
        self.remaining -= len(mine)
        if mine and not self._dropping:
            self._waiting.append(mine)
            self._waiting_bytes += len(mine)
            self._write()
            if self._waiting_bytes > self.BATCH and not self._has_paused:
                self._has_paused = True
                self._pause()
        self._finish_if_complete()
        return rest

    def drop(self, why: Failure) -> None:
        """Write no more; `done` fails with `why` as soon as the descriptor is left alone."""
        self._dropping = True
        self._waiting, self._waiting_bytes = [], 0
        self._failure = self._failure or why
        self._finish_if_complete()

    def end(self, why: Failure) -> None:
        """No more will come: write what waits, then fail with `why` unless the file is complete."""
        self._failure = self._failure or why
        self._finish_if_complete()

    def _write(self) -> None:
        if self._writing or not self._waiting:
            return
        batch, self._waiting, self._waiting_bytes = b"".join(self._waiting), [], 0
        self._writing = True
        self._in_thread(self._write_all, batch).addCallbacks(self._written, self._write_failed)

    def _write_all(self, batch: bytes) -> None:
        """In a thread."""
        if self._hasher is not None:
            self._hasher.update(batch)
        rest = memoryview(batch)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def _written(self, _: None) -> None:
        self._writing = False
        self._write()
        self._go_on()
        self._finish_if_complete()

    def _write_failed(self, failure: Failure) -> None:
        self._writing = False
        self.drop(failure)  # first: what comes now must not be written behind the gap
        self._go_on()

    def _go_on(self) -> None:
        if self._has_paused:
            self._has_paused = False
            self._resume()

    def _finish_if_complete(self) -> None:
        if self.done.called or self._writing or self._waiting:
            return
        if self.remaining and self._failure is None:
            return
        self._close()
        self.done.callback(None if self._failure is None or self._is_complete() else self._failure)

    def _is_complete(self) -> bool:
        return not self.remaining and not self._dropping

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
