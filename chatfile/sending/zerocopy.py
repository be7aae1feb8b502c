"""The sender for plain sockets: `sendfile` from the page cache to the socket, without the bytes in this process.

Twisted has no such thing (twisted#11395), but lets a pull producer write to the socket: it is asked for more only when
everything that was written before has left the transport's own buffer and the socket can take more
(`twisted.internet.abstract.FileDescriptor.doWrite`).

The socket is not corked (tcp(7), TCP_CORK). That would save some work, but a peer that begins with a small window,
which never fills a segment, would get each segment late, and stay slow.

A slow disk must not block the reactor, so a thread first reads what is not in the page cache. Where the file system
can't tell that, its kind may; else the thread reads everything.
"""

from __future__ import annotations

import enum
import errno
import os
import time
from collections.abc import Callable

from twisted.internet.interfaces import IPullProducer
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer

from chatfile.errors import FileShrank
from chatfile.sending.memory import are_cached, bring_in, read_through
from chatfile.sending.sender import FileSender

_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EOVERFLOW}
"""Errors of sendfile(2) on systems and file systems that do not have it."""
_FRESH = 0.1
"""Seconds for which bytes that were seen in memory are taken to be there still."""
_SLOW = 0.05
"""Seconds that a turn takes only if it waits for a disk."""


class SendState(enum.Enum):
    """The next thing to do when the socket can take more."""

    STARTING = "nothing yet: something may still be in the transport's buffer"
    CHECKING = "see whether the next turn is in memory"
    CACHED = "send the next turn, which was just brought into memory"
    RESIDENT = "send the next turn: the whole file is in memory"
    COPYING = "read and write, for the system has no sendfile here"


@implementer(IPullProducer)
class ZeroCopySender(FileSender):
    """Sends some bytes each time that the socket can take more; a thread brings into memory what is not there."""

    TURN = 4 * 1024 * 1024
    """Bytes sent, or brought into memory, before the other connections have their turn: half a millisecond."""
    PIECE = 256 * 1024
    """Bytes read and written at a time where the system has no sendfile."""

    _transport: Connection  # type: ignore[assignment]  # `file_sender` sees to it
    _state = SendState.STARTING
    _allowed = 0
    """Bytes that may be sent now."""
    _cached_until = 0
    """Where the bytes end that are in memory, as far as that is known."""
    _seen = 0.0
    """When that was, by the monotonic clock, in seconds."""
    _bring: Callable[[int, int, int], int | None] = staticmethod(bring_in)
    """What a thread does to have the next turn in memory."""

    def _begin(self) -> None:
        self._transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """Send the next turn: the socket can take more. See `IPullProducer`."""
        if self._done is None or self._reading is not None:
            return
        if self._state is SendState.STARTING:
            self._state = SendState.CHECKING  # it is `registerProducer` itself that asks
            self._wait()
        elif not self._remaining:
            self._finish(None)
        elif not self._is_allowed():
            self.waiting = False
        elif self._state is SendState.COPYING:
            self._copy()
        elif self._is_cached():
            self._send()
        else:
            self.waiting = False
            self._read(self._go_on, self._bring, self._offset, self._turn())

    def _is_allowed(self) -> bool:
        """Tell whether some bytes may be sent now; they are asked for again when they may."""
        self._allowed = self._may_send(min(self.TURN, self._remaining), self._wait)
        return self._allowed > 0

    def _wait(self) -> None:
        """Ask to be resumed, which has to be done each time: `doWrite` stops writing before it resumes the producer."""
        self.waiting = True
        self._transport.startWriting()

    def _turn(self) -> int:
        turn = min(self.TURN, self._remaining)
        cached = self._cached_until - self._offset
        return min(turn, cached) if cached > 0 else turn  # what is in memory is sent first

    def _is_cached(self) -> bool:
        """Tell whether the next turn can be sent; False if a thread has to see to that first."""
        if self._state is SendState.RESIDENT:
            return True
        before, self._state = self._state, SendState.CHECKING
        if before is SendState.CACHED:
            return True  # without a check: if the cache drops it again at once, this must not loop
        is_read = self._offset < self._cached_until
        if is_read and time.monotonic() - self._seen < _FRESH:
            return True
        return self._look(is_read=is_read)

    def _look(self, *, is_read: bool) -> bool:
        turn = self._turn()
        cached = are_cached(self._descriptor, self._offset, turn)
        if cached:
            self._cached_until, self._seen = self._offset + turn, time.monotonic()
        return is_read if cached is None else cached

    def _go_on(self, read_until: int | None) -> None:
        self._bring = read_through
        if read_until is None:
            self._state = SendState.RESIDENT
        else:
            self._state = SendState.CACHED
            self._cached_until, self._seen = read_until, time.monotonic()
        self._wait()

    def _send(self) -> None:
        began, most = time.monotonic(), min(self._turn(), self._allowed)
        try:
            sent = os.sendfile(self._transport.fileno(), self._descriptor, self._offset, most)
        except BlockingIOError:
            self._wait()
        except (ConnectionError, TimeoutError):
            self._abort()
        except OSError as error:
            self._fail(error)
        else:
            if self._state is SendState.RESIDENT and time.monotonic() - began > _SLOW:
                self._state = SendState.CHECKING  # it is swapped out, perhaps: from here on, a thread reads it first
            self._account(sent)

    def _account(self, sent: int) -> None:
        self._count(sent)
        if not self._remaining:
            self._finish(None)
        elif not sent:
            self._finish(Failure(FileShrank(missing=self._remaining)))
        else:
            self._wait()

    def _fail(self, error: OSError) -> None:
        if self._sent or error.errno not in _UNSUPPORTED:
            self._finish(Failure(error))
        else:
            self._state = SendState.COPYING
            self._copy()

    def _copy(self) -> None:
        self.waiting = False
        self._read(self._write, os.pread, min(self.PIECE, self._allowed), self._offset)

    def _write(self, piece: bytes) -> None:
        self._transport.write(piece)
        self._account(len(piece))
