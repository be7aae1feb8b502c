"""A byte range of a file, moved onto a transport: exactly, in bounded pieces, whatever the disk and the peer do."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from chatfile.errors import FileShrank, TransferAborted
from chatfile.threads import InThread


@implementer(IPushProducer)
class FileSender:
    """Reads a piece in a thread, writes it, and reads the next one when the transport wants more.

    It has the transport's one producer slot for as long as it sends: give the slot up before, take it back after. A
    push producer, since the next piece comes when the disk has it and not when the transport asks.
    """

    PIECE = 256 * 1024
    """Bytes read and written at a time, and so the most that waits in memory."""

    def __init__(
        self,
        transport: IConsumer,
        descriptor: int,
        *,
        offset: int,
        count: int,
        in_thread: InThread,
        progress: Callable[[int], None],
    ) -> None:
        """Send `count` bytes of `descriptor` from `offset` on; `start` it.

        `descriptor` is the sender's from now on, closed on every way out. `in_thread(call, *arguments)` makes a call
        in a thread. `progress(n)` is told of n more bytes given to the transport.
        """
        self.waiting = False
        """Whether the transport has asked for no more, for now."""
        self._transport = transport
        self._descriptor = descriptor
        self._offset = offset
        self._remaining = count
        self._in_thread = in_thread
        self._progress = progress
        self._reading: Deferred[Any] | None = None
        self._done: Deferred[None] | None = None
        self._sent = 0

    def start(self) -> Deferred[None]:
        """Begin. The result comes when the last byte was given to the transport.

        Fails with `FileShrank`, an OSError of the file, or `TransferAborted`: then the promise is broken, and the
        caller must reset the connection.
        """
        done: Deferred[None] = Deferred(lambda _: self._finish(Failure(TransferAborted(sent=self._sent))))
        self._done = done
        self._transport.registerProducer(self, True)
        self._advance()
        return done

    def pauseProducing(self) -> None:
        """The transport has enough."""
        self.waiting = True

    def resumeProducing(self) -> None:
        """The transport has written everything."""
        self.waiting = False
        self._advance()

    def stopProducing(self) -> None:
        """The connection is gone, and the producer slot with it."""
        self._finish(Failure(TransferAborted(sent=self._sent)), unregister=False)

    def _advance(self) -> None:
        if self._done is None or self.waiting or self._reading is not None:
            return
        if not self._remaining:
            self._finish(None)
            return
        self._reading = reading = self._in_thread(
            os.pread, self._descriptor, min(self.PIECE, self._remaining), self._offset
        )
        reading.addCallbacks(self._write, self._fail)

    def _write(self, piece: bytes) -> None:
        self._reading = None
        if self._done is None:
            self._close()
        elif _is_ending(self._transport):
            self._finish(Failure(TransferAborted(sent=self._sent)))
        elif not piece:
            self._finish(Failure(FileShrank(missing=self._remaining)))
        else:
            self._offset += len(piece)
            self._remaining -= len(piece)
            self._sent += len(piece)
            self._progress(len(piece))
            self._transport.write(piece)
            self._advance()

    def _fail(self, failure: Failure) -> None:
        self._reading = None
        if self._done is None:
            self._close()
        else:
            self._finish(failure)

    def _finish(self, result: Failure | None, *, unregister: bool = True) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        if self._reading is None:
            self._close()  # else when the thread has left the descriptor alone
        if unregister:
            self._transport.unregisterProducer()
        done.callback(result)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _is_ending(transport: object) -> bool:
    """Whether the peer has ended a TLS session: Twisted then drops in silence what is still written to it."""
    beneath = getattr(transport, "transport", None)
    return bool(getattr(beneath, "disconnecting", False))
