"""The receiver: what comes is written, and taken into the digest, in threads."""

from __future__ import annotations

import enum
import os
import socket
from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatfile.disk import InThread
from chatfile.receiving.following import FollowingDigest, Hasher
from chatfile.receiving.splicing import Moved, Splice, Why


class Source(Protocol):
    """What a receiver can ask of the connection that it is given bytes of."""

    def pause(self) -> None:
        """The disk is behind."""

    def resume(self) -> None:
        """It is not any more."""

    def lend(self) -> socket.socket | None:
        """Read no more and give the socket to read from, with no byte kept back; None where that can't be."""

    def take_back(self) -> None:
        """Read again: the receiver does not, for now, or `remaining` is 0."""


class Access(enum.Enum):
    """What the receiver has of the socket."""

    NONE = "nothing: it can't be spliced from, or into this file"
    FREE = "it can be borrowed"
    BORROWED = "it alone reads"


class FileReceiver:
    """Writes what it is given in a thread, a batch at a time; or takes it from the socket itself, where it can."""

    BATCH = 1 << 20
    """Bytes that may wait for the disk before the connection is asked to pause."""
    SLICE = 8 << 20
    """Bytes moved within the system in one call, between two reports of progress."""
    LEAD = 64 << 20
    """Bytes by which the file may be ahead of its digest: few enough to be still in memory when they are read."""

    def __init__(
        self,
        descriptor: int | None,
        count: int,
        *,
        hasher: Hasher | None,
        in_thread: InThread,
        source: Source,
        progress: Callable[[int], None],
    ) -> None:
        """Expect `count` bytes and write them where `descriptor` stands; None drops them.

        `hasher`, if any, takes them too, in order, in threads. The descriptor stays the caller's, who can close it at
        any time: the receiver has a duplicate of its own. `progress(n)` is told of n more bytes that came. Raises
        OSError where there can't be a duplicate, or the descriptor is no good.
        """
        self.remaining = count
        """Bytes that have not come yet."""
        self.done: Deferred[None] = Deferred()
        """Fires when all bytes have come, and are written and hashed; fails with an OSError of that.

        After a failure, `drop` and `end`, the bytes that still come are dropped.
        """
        can_splice = descriptor is not None and Splice.can_fill(descriptor, and_read=hasher is not None)
        self._descriptor = -1 if descriptor is None else os.dup(descriptor)
        self._hasher = hasher
        self._in_thread = in_thread
        self._source = source
        self._progress = progress
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._is_writing = False
        self._has_paused = False
        self._is_dropping = descriptor is None
        self._failure: Failure | None = None
        self._splice: Splice | None = None
        self._following: FollowingDigest | None = None
        self._access = Access.FREE if can_splice else Access.NONE
        self._finish_if_complete()

    # --- given by the connection ---

    def take(self, data: bytes) -> bytes:
        """Take from `data` what belongs to the file; the rest, which lies behind the file, is given back."""
        mine, rest = data[: self.remaining], data[self.remaining :]
        self.remaining -= len(mine)
        if mine and not self._is_dropping:
            self._waiting.append(mine)
            self._waiting_bytes += len(mine)
            self._borrow()
            self._write()
            if self._waiting_bytes > self.BATCH and not self._has_paused:
                self._has_paused = True
                self._source.pause()
        self._progress(len(mine))
        self._finish_if_complete()
        return rest

    def drop(self, why: Failure) -> None:
        """Write no more; `done` fails with `why` as soon as the descriptor is left alone."""
        self._is_dropping = True
        self._waiting, self._waiting_bytes = [], 0
        self._stop(why)

    def end(self, why: Failure) -> None:
        """No more will come: write what waits, then fail with `why` unless the file is complete."""
        self._stop(why)

    def _stop(self, why: Failure) -> None:
        if self.remaining or self._is_dropping:
            self._failure = self._failure or why
            self._is_dropping = True
            if self._following is not None:
                self._following.stop()
        if self._splice is not None:
            self._splice.stop()
        self._finish_if_complete()

    def _write(self) -> None:
        if self._is_writing or not self._waiting:
            return
        batch, self._waiting, self._waiting_bytes = b"".join(self._waiting), [], 0
        self._is_writing = True
        self._in_thread(self._write_all, batch).addCallbacks(self._written, self._write_failed)

    def _write_all(self, batch: bytes) -> int:
        """In a thread."""
        if self._hasher is not None and self._following is None:
            self._hasher.update(batch)
        rest = memoryview(batch)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        return len(batch)

    def _written(self, count: int) -> None:
        self._is_writing = False
        if self._following is not None and self._failure is None:
            self._following.advance(count)
        self._write()
        self._go_on()
        self._move()
        self._finish_if_complete()

    def _write_failed(self, failure: Failure) -> None:
        self._is_writing = False
        self.drop(failure)  # first: what comes now must not be written behind the gap
        self._go_on()
        self._give_back()

    def _go_on(self) -> None:
        if self._has_paused:
            self._has_paused = False
            self._source.resume()

    # --- taken from the socket ---

    def _borrow(self) -> None:
        """Read from now on, if it is worth it: first what has come already is written, then the socket is read."""
        if self._access is not Access.FREE or self.remaining < Splice.PIECE:
            return
        lent = self._source.lend()
        if lent is not None:
            self._access = Access.BORROWED
            self._prepare(lent)
        elif self._splice is None:
            self._access = Access.NONE  # had it been lent before, something would stand in the way this time only

    def _prepare(self, lent: socket.socket) -> None:
        try:
            self._splice = self._splice or Splice(lent, self._descriptor)
        except OSError:
            self._give_back(Access.NONE)  # no descriptors left: it goes without

    def _move(self) -> None:
        if self._access is not Access.BORROWED or self._splice is None or self._is_writing or self._waiting:
            return
        if self._failure is not None or not self.remaining:
            self._give_back()
            return
        if self._hasher is not None and self._following is None:
            try:
                self._following = FollowingDigest(self._descriptor, self._hasher, self._in_thread, self._digested)
            except OSError:
                self._move_failed(Failure())
                return
        if self._following is None or self._following.lag <= self.LEAD:
            self._is_writing = True
            self._in_thread(self._splice.move, min(self.SLICE, self.remaining)).addCallback(self._moved).addErrback(
                self._move_failed
            )

    def _moved(self, moved: Moved) -> None:
        self._is_writing = False
        self.remaining -= moved.count
        self._progress(moved.count)
        if moved.error is not None:
            self.drop(Failure(moved.error))
        elif self._following is not None and self._failure is None:
            self._following.advance(moved.count)
        if moved.why is Why.ENOUGH:
            self._move()
        else:
            self._give_back(Access.NONE if moved.why is Why.UNSUPPORTED else Access.FREE)
        self._finish_if_complete()

    def _move_failed(self, failure: Failure) -> None:
        """Not while bytes were moved, whose errors are told by `Moved`: of `progress`, say."""
        self._is_writing = False
        self.drop(failure)
        self._give_back()

    def _digested(self, failure: Failure | None) -> None:
        if failure is not None:
            self.drop(failure)
        self._move()
        self._finish_if_complete()

    def _give_back(self, then: Access = Access.FREE) -> None:
        if self._access is Access.BORROWED:
            self._access = then
            self._source.take_back()

    # --- the end ---

    def _finish_if_complete(self) -> None:
        if self.done.called or self._is_writing or self._waiting:
            return
        if self.remaining and self._failure is None:
            return
        if self._following is not None and (self._following.is_reading or self._following.lag):
            return
        self._close()
        self._give_back()
        self.done.callback(self._failure)

    def _close(self) -> None:
        if self._splice is not None:
            self._splice.close()
            self._splice = None
        descriptor, self._descriptor = self._descriptor, -1
        try:
            if descriptor >= 0:
                os.close(descriptor)
        except OSError:
            self._failure = self._failure or Failure()  # of a write: over a network it may be told only now
