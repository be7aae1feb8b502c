"""The sender for every transport, also in memory or over TLS: it reads and writes."""

from __future__ import annotations

import os

from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from chatfile.errors import FileShrank
from chatfile.sending.memory import is_always_in_memory, read_cached
from chatfile.sending.sender import FileSender


@implementer(IPushProducer)
class CopyingSender(FileSender):
    """Reads a piece, in a thread if it is not in memory, writes it, and goes on when the transport wants more.

    It is a push producer, since a piece comes when the disk has given it, not when the transport asks for it.
    """

    PIECE = 256 * 1024
    """Bytes read and written at a time, and so the most that is in memory."""

    _is_resident: bool | None = None
    """Whether the whole file is in memory; None if that has not been asked."""

    def _begin(self) -> None:
        self._buffer = memoryview(bytearray(min(self.PIECE, self._remaining)))
        self._transport.registerProducer(self, True)
        self._advance()

    def pauseProducing(self) -> None:
        """Write no more for now: the transport has enough. See `IPushProducer`."""
        self.waiting = True

    def resumeProducing(self) -> None:
        """Write on: the transport has written everything. See `IPushProducer`."""
        self.waiting = False
        self._advance()

    def _advance(self) -> None:
        while self._done is not None and not self.waiting and self._reading is None:
            if not self._remaining:
                self._finish(None)
            elif may_send := self._may_send(min(self.PIECE, self._remaining), self._advance):
                self._advance_by(self._buffer[:may_send])
            else:
                break

    def _advance_by(self, buffer: memoryview) -> None:
        """Write a piece that is in memory, or have a thread read one."""
        if self._is_resident:
            self._write_resident(len(buffer))
        elif count := read_cached(self._descriptor, buffer, self._offset):
            self._write(bytes(buffer[:count]))
        elif count is None and self._is_resident is None:
            self._read(self._learn, is_always_in_memory)
        else:
            self._read(self._write_on, os.pread, len(buffer), self._offset)

    def _close(self) -> None:
        """Let go of the buffer as well: of a TLS session that has ended, objects are kept in circles for a while."""
        self._buffer = memoryview(b"")
        super()._close()

    def _write_resident(self, count: int) -> None:
        try:
            piece = os.pread(self._descriptor, count, self._offset)
        except OSError:
            self._finish(Failure())
        else:
            self._write(piece)

    def _learn(self, is_resident: bool) -> None:
        self._is_resident = is_resident
        self._advance()

    def _write_on(self, piece: bytes) -> None:
        self._write(piece)
        self._advance()

    def _write(self, piece: bytes) -> None:
        if _is_ending(self._transport):
            self._abort()
        elif not piece:
            self._finish(Failure(FileShrank(missing=self._remaining)))
        else:
            self._count(len(piece))
            self._transport.write(piece)


def _is_ending(transport: object) -> bool:
    """Tell whether the peer has ended a TLS session: Twisted then drops all that is written, without an error."""
    beneath = getattr(transport, "transport", None)
    return bool(getattr(beneath, "disconnecting", False))
