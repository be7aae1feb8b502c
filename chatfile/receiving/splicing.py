"""Receiving within the system: `splice` from the socket to the file through a pipe, the bytes never in this process.

Made only where the system has `splice`.
"""

from __future__ import annotations

import enum
import errno
import fcntl
import os
import select
import socket
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass

from twisted.python.failure import Failure

from chatfile.disk import InThread
from chatfile.fdio import close_quietly, require_progress, write_all
from chatfile.receiving.incoming_file import IncomingFile


class SplicingReceiver:
    """Moves bytes into a file from a socket that it alone reads, a slice at a time, in threads.

    There is one from the time that the socket is detached until it is reattached.
    """

    SLICE = 8 << 20
    """Bytes moved in one call, between two reports of progress."""
    LEAD = 64 << 20
    """Bytes by which the file may be ahead of its digest: few enough to be still in memory when they are read."""

    def __init__(
        self,
        file: IncomingFile,
        source: socket.socket,
        in_thread: InThread,
        ended: Callable[[Failure | None], None],
    ) -> None:
        """Move from `source` into `file`. Raises OSError where there are no descriptors left.

        `ended(None)` is called when some more bytes were moved or hashed, `ended(failure)` when they could not be.
        """
        self._file = file
        self._in_thread = in_thread
        self._ended = ended
        self._splice = Splice(source, file.descriptor)
        self._status = SpliceStatus.ENOUGH
        self._is_moving = False

    @property
    def is_supported(self) -> bool:
        """Tell whether the socket can be spliced from, as far as is known."""
        return self._status is not SpliceStatus.UNSUPPORTED

    def go_on(self) -> bool:
        """Move the next slice, unless one is under way or the digest is too far behind.

        Called when nothing else writes to the file, then whenever `ended` was called. Return False when no more is to
        be moved: then `close`, and reattach the socket.
        """
        if self._is_moving:
            return True
        if self._status is not SpliceStatus.ENOUGH or self._file.failure is not None or not self._file.remaining:
            return False
        try:
            self._file.hash_from_file(self._in_thread, self._ended)
        except OSError:
            self._ended(Failure())
        else:
            self._start_slice()
        return True

    def _start_slice(self) -> None:
        if self._file.lag <= self.LEAD:
            self._is_moving = True
            moving = self._in_thread(self._splice.move, min(self.SLICE, self._file.remaining))
            moving.addCallback(self._moved).addErrback(self._failed)

    def _moved(self, moved: SpliceResult) -> None:
        self._is_moving = False
        self._status = moved.status
        self._file.remaining -= moved.count
        self._file.report(moved.count)
        if moved.error is not None:
            self._ended(Failure(moved.error))
        else:
            self._file.written(moved.count)
            self._ended(None)

    def _failed(self, failure: Failure) -> None:
        """Tell of a failure that is not in a `SpliceResult`: there was no thread, say, or `progress` has failed."""
        self._is_moving = False
        self._ended(failure)

    def stop(self) -> None:
        """Let the call that is under way end soon."""
        self._splice.stop()

    def close(self) -> None:
        """Leave the socket to its owner. Not while a call is under way."""
        self._splice.close()


class SpliceStatus(enum.Enum):
    """Tells why a call moves no more."""

    ENOUGH = "as much as was wanted, for now"
    IDLE = "nothing came for a while"
    CLOSED = "the peer is gone, or has no more"
    UNSUPPORTED = "the system can't splice from this socket"
    FAILED = "it could not be written"


@dataclass(frozen=True, slots=True)
class SpliceResult:
    """Tells how many bytes a call took from the socket, and why no more. All are written if there is no `error`."""

    count: int
    status: SpliceStatus
    error: OSError | None = None


class Splice:
    """Moves bytes from a socket through a pipe into a file, in calls that block."""

    PIECE = 256 << 10
    """Bytes moved at a time."""
    LONGEST = 0.2
    """Seconds of one call: the thread is one of a few, and a peer may send just fast enough to be never idle."""
    PATIENCE = 20
    """Milliseconds for which a thread waits for the peer; then the reactor does, which needs no thread for it."""

    def __init__(self, source: socket.socket, descriptor: int) -> None:
        """Move from `source` to where `descriptor` stands. Raises OSError where there are no descriptors left."""
        self._descriptor = descriptor
        self._is_stopped = False
        self._is_copying = False  # this file system has no splice
        self._socket = os.dup(source.fileno())
        try:
            self._from, self._to = os.pipe()
        except OSError:
            close_quietly(self._socket)
            raise
        try:
            fcntl.fcntl(self._to, fcntl.F_SETPIPE_SZ, 4 * self.PIECE)
        except OSError:
            pass  # the pipes of this user are many already; a small one works as well
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    @staticmethod
    def can_fill(descriptor: int, *, and_read: bool) -> bool:
        """Tell whether `descriptor` is a file that splice can write (and that can be read, if `and_read`).

        Raises OSError where the descriptor is no good.
        """
        if not hasattr(os, "splice") or not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        return not flags & os.O_APPEND and (flags & os.O_ACCMODE == os.O_RDWR or not and_read)

    def move(self, limit: int) -> SpliceResult:
        """Move up to `limit` bytes, for about `LONGEST` seconds. For a thread: it blocks."""
        taken, until = 0, time.monotonic() + self.LONGEST
        while taken < limit and time.monotonic() < until and not self._is_stopped:
            count = self._fill_pipe(min(self.PIECE, limit - taken))
            if isinstance(count, SpliceStatus):
                return SpliceResult(taken, count)
            taken += count
            try:
                self._empty_pipe(count)
            except OSError as error:
                return SpliceResult(taken, SpliceStatus.FAILED, error)
        return SpliceResult(taken, SpliceStatus.ENOUGH)

    def _fill_pipe(self, most: int) -> int | SpliceStatus:
        """Move up to `most` bytes from the socket into the pipe; return how many, or why none."""
        for may_wait in (True, False):
            try:
                return os.splice(self._socket, self._to, most) or SpliceStatus.CLOSED
            except BlockingIOError:
                if may_wait and not self._is_readable_soon():
                    break
            except OSError as error:
                return SpliceStatus.UNSUPPORTED if error.errno == errno.EINVAL else SpliceStatus.CLOSED
        # Where it is readable, and still there is nothing: an urgent byte stands in the way, which only recv passes.
        return SpliceStatus.IDLE

    def _is_readable_soon(self) -> bool:
        try:
            return bool(self._poll.poll(self.PATIENCE))
        except OSError:
            return False  # no memory for it: the reactor waits as well

    def _empty_pipe(self, count: int) -> None:
        """Write the `count` bytes that are in the pipe into the file."""
        while count:
            if self._is_copying:
                count -= require_progress(self._copy(count))
                continue
            try:
                count -= require_progress(os.splice(self._from, self._descriptor, count))
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self._is_copying = True

    def _copy(self, count: int) -> int:
        return write_all(self._descriptor, os.read(self._from, count))

    def stop(self) -> None:
        """Let the call that is under way end soon."""
        self._is_stopped = True

    def close(self) -> None:
        """Leave the socket to its owner. Not while a call is under way."""
        for descriptor in (self._socket, self._from, self._to):
            close_quietly(descriptor)
