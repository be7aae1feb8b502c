"""The sender for every transport, also in memory or over TLS: it reads and writes."""

from __future__ import annotations

import os

from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from chatfile.errors import FileShrank
from chatfile.sending.sender import FileSender


@implementer(IPushProducer)
class CopyingSender(FileSender):
    """Reads a piece in a thread, writes it, and reads the next one when the transport wants more.

    It is a push producer, since a piece comes when the disk has given it, not when the transport asks for it.
    """

    PIECE = 256 * 1024
    """Bytes read and written at a time, and so the most that is in memory."""

    def _begin(self) -> None:
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
        if self._done is None or self.waiting or self._reading is not None:
            return
        if not self._remaining:
            self._finish(None)
            return
        self._read(self._write, os.pread, min(self.PIECE, self._remaining), self._offset)

    def _write(self, piece: bytes) -> None:
        if _is_ending(self._transport):
            self._abort()
        elif not piece:
            self._finish(Failure(FileShrank(missing=self._remaining)))
        else:
            self._count(len(piece))
            self._transport.write(piece)
            self._advance()


def _is_ending(transport: object) -> bool:
    """Tell whether the peer has ended a TLS session: Twisted then drops all that is written, without an error."""
    beneath = getattr(transport, "transport", None)
    return bool(getattr(beneath, "disconnecting", False))
