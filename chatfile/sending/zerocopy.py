"""The sender for plain sockets: `sendfile` from the page cache to the socket, without the bytes in this process.

Twisted has no such thing (twisted#11395), but lets a pull producer write to the socket: it is asked for more only when
everything that was written before has left the transport's own buffer and the socket can take more
(`twisted.internet.abstract.FileDescriptor.doWrite`).

The socket is not corked (tcp(7), TCP_CORK). That would save some work, but a peer that begins with a small window,
which never fills a segment, would get each segment late, and stay slow.

A slow disk must not block the reactor, so a thread first reads what is not in the page cache.
"""

from __future__ import annotations

import enum
import errno
import os
import time

from twisted.internet.interfaces import IPullProducer
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer

from chatfile.errors import FileShrank
from chatfile.sending.sender import FileSender

_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EOVERFLOW}
"""Errors of sendfile(2) on systems and file systems that do not have it."""
_NOWAIT: int | None = getattr(os, "RWF_NOWAIT", None)
_STRIDE = 256 * 1024
"""Bytes from one sample to the next when the page cache is checked.

A sample costs a microsecond, and the cache keeps and drops stretches of a file that are mostly longer than this.
"""
_BUFFER = 256 * 1024
"""Bytes read at a time to bring them into memory."""
_LONGEST = 0.25
"""Seconds for one call in a thread: then what a slow disk has given so far is sent, and other calls have their turn."""


class SendState(enum.Enum):
    """The next thing to do when the socket can take more."""

    STARTING = "nothing yet: something may still be in the transport's buffer"
    CHECKING = "see whether the next turn is in memory"
    CACHED = "send the next turn, which was just brought into memory"
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
    _read_until = 0

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
        elif self._state is SendState.COPYING:
            self._copy()
        elif self._needs_disk():
            self.waiting = False
            self._read(self._go_on, read_through, self._offset, self._turn())
        else:
            self._send()

    def _wait(self) -> None:
        """Ask to be resumed, which has to be done each time: `doWrite` stops writing before it resumes the producer."""
        self.waiting = True
        self._transport.startWriting()

    def _turn(self) -> int:
        turn = min(self.TURN, self._remaining)
        read = self._read_until - self._offset
        return min(turn, read) if read > 0 else turn  # what was brought into memory is sent first

    def _needs_disk(self) -> bool:
        before, self._state = self._state, SendState.CHECKING
        if before is SendState.CACHED:
            return False  # without a check: if the cache drops it again at once, this must not loop
        cached = are_cached(self._descriptor, self._offset, self._turn())
        return self._offset >= self._read_until if cached is None else not cached

    def _go_on(self, read_until: int) -> None:
        self._state = SendState.CACHED
        self._read_until = read_until
        self._wait()

    def _send(self) -> None:
        try:
            sent = os.sendfile(self._transport.fileno(), self._descriptor, self._offset, self._turn())
        except BlockingIOError:
            self._wait()
        except (ConnectionError, TimeoutError):
            self._abort()
        except OSError as error:
            self._fail(error)
        else:
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
        self._read(self._write, os.pread, min(self.PIECE, self._remaining), self._offset)

    def _write(self, piece: bytes) -> None:
        self._transport.write(piece)
        self._account(len(piece))


def are_cached(descriptor: int, offset: int, count: int) -> bool | None:
    """Tell whether `count` bytes (at least one) from `offset` on are in the page cache; None where that is unknown.

    Some file systems do not support RWF_NOWAIT (preadv2(2)), and some systems do not have it.
    """
    if _NOWAIT is None:
        return None
    byte = [bytearray(1)]
    try:
        for at in (*range(offset, offset + count, _STRIDE), offset + count - 1):
            os.preadv(descriptor, byte, at, _NOWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return None  # the read that follows fails with the same error
    return True


def read_through(descriptor: int, offset: int, count: int) -> int:
    """Read `count` bytes from `offset` on into the page cache, and advise as many behind them; return where they end.

    It blocks, so it is for threads, and begins no more reads after `_LONGEST` seconds. Raises OSError.
    """
    if hasattr(os, "posix_fadvise"):
        try:
            os.posix_fadvise(descriptor, offset, 2 * count, os.POSIX_FADV_WILLNEED)
        except OSError:
            pass  # it was a hint only
    buffer, end = memoryview(bytearray(min(_BUFFER, count))), offset + count
    until = time.monotonic() + _LONGEST
    while offset < end and (got := os.preadv(descriptor, [buffer[: end - offset]], offset)):
        offset += got
        if time.monotonic() > until:
            break
    return offset
