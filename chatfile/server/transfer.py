"""What was promised to a client and is on its way: the bytes of a file, and a reset should this process die."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from chatfile.disk import InThread
from chatfile.lines import PauseReason
from chatfile.repository import OpenFile
from chatfile.sending import FileSender, file_sender
from chatfile.timeouts import Timer
from chatfile.transports import ILineTransport, has_unwritten, reset_on_close


class ClientConnection(Protocol):
    """What a response asks of the connection that it goes out on, which is a `LineProtocol`."""

    transport: ILineTransport
    close_reason: str
    """Why the connection ends, for the log, where that is known before it does."""

    @property
    def is_receiving(self) -> bool:
        """Tell whether nobody has closed the connection."""

    def sendLine(self, line: bytes) -> None:
        """Send a line, given without its end."""

    def pause(self, why: PauseReason) -> None:
        """Deliver no further line."""

    def resume(self, why: PauseReason) -> None:
        """Deliver lines again."""

    def is_paused_for(self, why: PauseReason) -> bool:
        """Tell whether `why` is a reason at present."""

    def responseFinished(self) -> None:
        """Hear that a response that took a while is complete; no further line was delivered yet."""

    def close(self) -> None:
        """Close, and let everything written arrive."""

    def abort(self) -> None:
        """Reset."""


class FileTransfer:
    """Some bytes of a file on their way: has its descriptor, and the transport's producer slot, until they are sent.

    The connection gets the slot back only where all goes well: elsewhere it is reset.
    """

    __slots__ = ("_connection", "_sender", "count", "sent")

    def __init__(self, connection: ClientConnection, count: int) -> None:
        """Send `count` bytes to the peer of `connection`."""
        self._connection = connection
        self._sender: FileSender | None = None
        self.count = count
        self.sent = 0
        """Bytes given to the transport so far."""

    @property
    def is_blocked(self) -> bool:
        """Tell whether it is the peer that is waited for, not the disk."""
        return self._sender is not None and self._sender.waiting

    async def run(self, opened: OpenFile, in_thread: InThread, progress: Callable[[int], None]) -> None:
        """Send the end of `opened`, whose descriptor is closed in every case; the header has been written.

        `progress(n)` is told of n more bytes given to the transport. Raises `FileShrank`, `TransferAborted` or OSError:
        then the promise is broken, and the caller must reset the connection.
        """

        def count(sent: int) -> None:
            self.sent += sent
            progress(sent)

        self._connection.transport.unregisterProducer()
        # If the header was too much for the transport, it is the sender's turn to wait.
        self._connection.resume(PauseReason.BACKPRESSURE)
        self._sender = file_sender(
            self._connection.transport,
            opened.detach(),
            offset=opened.size - self.count,
            count=self.count,
            in_thread=in_thread,
            progress=count,
        )
        await self._sender.start()
        self._connection.transport.registerProducer(self._connection, True)  # type: ignore[arg-type]  # it is one


class PromisedSize:
    """Has the system reset a connection whose server dies, in whatever way, amid a promised size.

    It is so from the header on until all has left this process, and then taken back: what is with the system by then
    arrives. That is looked at some time later, so that nothing is waited for, and a pipeline of small files costs
    nothing more than its first one.
    """

    __slots__ = ("_is_on", "_is_under_way", "_look", "_transport")
    LOOK = 0.05
    """Seconds from the last byte that was written to the transport, and again while the transport still has some."""

    def __init__(self, clock: IReactorTime) -> None:
        """Begin with nothing promised."""
        self._transport: object = None
        self._is_on = False
        self._is_under_way = False
        self._look = Timer(clock, self._take_back_if_written)

    def begin(self, transport: object) -> None:
        """Hear that a header is about to be written to `transport`."""
        self._is_under_way = True
        if not self._is_on:
            self._transport, self._is_on = transport, True
            reset_on_close(transport, on=True)

    def end(self) -> None:
        """Hear that all that was promised has been written to the transport, or something else in its place."""
        self._is_under_way = False
        if self._is_on:
            self._look.restart(self.LOOK)

    def take_back(self) -> None:
        """Let a close be a close again: to be called before one that is meant, or what the system still has is lost."""
        self._look.stop()
        if self._is_on:
            self._is_on = False
            reset_on_close(self._transport, on=False)

    def _take_back_if_written(self) -> None:
        if self._is_under_way:
            return
        if has_unwritten(self._transport):
            self._look.restart(self.LOOK)
        else:
            self.take_back()
