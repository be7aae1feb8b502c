"""The bytes of a file on their way to a client, and the reset that it gets should this process die meanwhile."""

from __future__ import annotations

import enum
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.interfaces import IReactorTime

from chatfile.disk import InThread
from chatfile.lines import PauseReason
from chatfile.repository import OpenFile
from chatfile.sending import FileSender, file_sender
from chatfile.server.activity import LeaveReason
from chatfile.timeouts import Timer
from chatfile.transports import ILineTransport, has_unwritten, reset_on_close

if TYPE_CHECKING:
    from chatfile.server.pacing import ClientRate


class ClientConnection(Protocol):
    """A connection, as a response uses it; `ChatFileProtocol` is one."""

    transport: ILineTransport
    close_reason: LeaveReason | None
    """Why the connection ends, for the log, where that is known before it does."""

    @property
    def is_receiving(self) -> bool:
        """Tell whether lines are delivered, now or later on."""

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
    """Sends bytes of a file; it has the file's descriptor and the transport's producer slot until they are sent.

    The connection gets the slot back only if all goes well; otherwise it has to be reset.
    """

    __slots__ = ("_connection", "_rate", "_sender", "count", "sent")

    def __init__(self, connection: ClientConnection, count: int, rate: ClientRate | None) -> None:
        """Send `count` bytes to the peer of `connection`, at its `rate` if that is limited."""
        self._connection = connection
        self._rate = rate
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

        `progress(n)` is called for every n more bytes given to the transport. Raises `FileShrank`, `TransferAborted` or
        OSError: then the promise is broken, and the caller must reset the connection.
        """

        def count(sent: int) -> None:
            self.sent += sent
            if self._rate is not None:
                self._rate.spend(sent)
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
            pace=self._rate,
        )
        with nullcontext() if self._rate is None else self._rate.sending(spread=True):
            await self._sender.start()
        self._connection.transport.registerProducer(self._connection, True)  # type: ignore[arg-type]  # it is one

    async def write(
        self, content: bytes, write: Callable[[bytes], Coroutine[Any, Any, None]], progress: Callable[[int], None]
    ) -> None:
        """Send `content` by `write`, in the pieces that the rate allows; `progress` is that of `run`."""
        with nullcontext() if self._rate is None else self._rate.sending(spread=False):
            while self.sent < len(content):
                rest = len(content) - self.sent
                count = rest if self._rate is None else await self._rate.take(rest)
                piece = content[self.sent : self.sent + count]
                self.sent += count
                progress(count)
                await write(piece)


class PromiseState(enum.Enum):
    """How far a promised size is."""

    NONE = "nothing is promised: a close is a close"
    UNDER_WAY = "a reset on close is set, and more of it is to be written"
    WRITTEN = "a reset on close is set, and all of it was written to the transport"


class PromisedSize:
    """Has the system reset the connection if the server is killed in any way amid a promised size.

    It is set from the header on until all bytes have left this process, for the system delivers the rest. Whether they
    have is looked at some time later, so that nothing waits for it, and many small files cost no more than one.
    """

    __slots__ = ("_look", "_state", "_transport")
    LOOK = 0.05
    """Seconds from the last byte that was written to the transport to the look, and from each look to the next."""

    def __init__(self, clock: IReactorTime) -> None:
        """Begin with nothing promised."""
        self._transport: object = None
        self._state = PromiseState.NONE
        self._look = Timer(clock, self._take_back_if_written)

    def begin(self, transport: object) -> None:
        """Set it: the header of a promised size is about to be written to `transport`."""
        if self._state is PromiseState.NONE:
            self._transport = transport
            reset_on_close(transport, on=True)
        self._state = PromiseState.UNDER_WAY

    def end(self) -> None:
        """Take it back soon: the response has ended, and all of it has been written to the transport."""
        if self._state is PromiseState.UNDER_WAY:
            self._state = PromiseState.WRITTEN
            self._look.restart(self.LOOK)

    def take_back(self) -> None:
        """Take it back now; call it before a close, which would else discard what the system has not delivered yet."""
        self._look.stop()
        if self._state is not PromiseState.NONE:
            self._state = PromiseState.NONE
            reset_on_close(self._transport, on=False)

    def _take_back_if_written(self) -> None:
        if self._state is not PromiseState.WRITTEN:
            return
        if has_unwritten(self._transport):
            self._look.restart(self.LOOK)
        else:
            self.take_back()
