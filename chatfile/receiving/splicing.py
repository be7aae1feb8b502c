"""From a socket into a file within the system: `splice` by way of a pipe, the bytes never in this process.

Plain Python that blocks, for a thread. Made only where the system has `splice`.
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
from dataclasses import dataclass

from chatfile.fdio import close_quietly


class Why(enum.Enum):
    """Why no more is moved."""

    ENOUGH = "as much as was wanted, for now"
    IDLE = "nothing came for a while"
    CLOSED = "the peer is gone, or has no more"
    UNSUPPORTED = "the system can't splice from this socket"
    FAILED = "it could not be written"


@dataclass(frozen=True, slots=True)
class Moved:
    """How many bytes were taken from the socket, and why no more. All are written, unless there is an `error`."""

    count: int
    why: Why
    error: OSError | None = None


class Splice:
    """A socket, a pipe, and the file behind it."""

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
        """Whether it is a file that splice can write (and we can read, if that is asked for)."""
        if not hasattr(os, "splice") or not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        return not flags & os.O_APPEND and (flags & os.O_ACCMODE == os.O_RDWR or not and_read)

    def move(self, limit: int) -> Moved:
        """Move up to `limit` bytes, for `LONGEST` at most."""
        taken, until, has_waited = 0, time.monotonic() + self.LONGEST, False
        while taken < limit and time.monotonic() < until and not self._is_stopped:
            try:
                count = os.splice(self._socket, self._to, min(self.PIECE, limit - taken))
            except BlockingIOError:
                # Readable, and still nothing to splice: an urgent byte stands in the way, which only recv passes.
                if has_waited or not self._is_readable_soon():
                    return Moved(taken, Why.IDLE)
                has_waited = True
                continue
            except OSError as error:
                return Moved(taken, Why.UNSUPPORTED if error.errno == errno.EINVAL else Why.CLOSED)
            taken, has_waited = taken + count, False
            try:
                self._empty(count)
            except OSError as error:
                return Moved(taken, Why.FAILED, error)
            if not count:
                return Moved(taken, Why.CLOSED)
        return Moved(taken, Why.ENOUGH)

    def _is_readable_soon(self) -> bool:
        try:
            return bool(self._poll.poll(self.PATIENCE))
        except OSError:
            return False  # no memory for it: the reactor waits as well

    def _empty(self, count: int) -> None:
        """Write the `count` bytes that are in the pipe."""
        while count:
            if self._is_copying:
                count -= self._copy(count)
                continue
            try:
                count -= os.splice(self._from, self._descriptor, count)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self._is_copying = True

    def _copy(self, count: int) -> int:
        piece = memoryview(os.read(self._from, count))
        rest = piece
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        return len(piece)

    def stop(self) -> None:
        """Let the call that is under way end soon."""
        self._is_stopped = True

    def close(self) -> None:
        """Leave the socket to its owner. Not while a call is under way."""
        for descriptor in (self._socket, self._from, self._to):
            close_quietly(descriptor)
