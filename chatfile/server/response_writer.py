"""What the responses to one client are written with: whole lines at once, all else as fast as the peer takes it."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from chatfile import errors, wire
from chatfile.lines import PauseReason
from chatfile.server.transfer import ClientConnection, PromisedSize


class ResponseState(enum.Enum):
    """What is under way for the client."""

    IDLE = "nothing"
    WORKING = "the disk or a digest is waited for; an ERROR line could still come instead"
    SENDING = "a promised count is being sent; only a reset could cut it short"


class ResponseWriter:
    """Writes one response after the other, and knows how far the present one is."""

    __slots__ = ("_connection", "_promised", "_room", "state")

    def __init__(self, connection: ClientConnection, clock: IReactorTime) -> None:
        """Write to `connection`."""
        self.state = ResponseState.IDLE
        self._connection = connection
        self._promised = PromisedSize(clock)
        self._room: Deferred[None] | None = None

    def begin(self) -> None:
        """Begin a response."""
        self.state = ResponseState.WORKING

    def end(self) -> None:
        """End a response, which is complete or was given up."""
        self._promised.end()
        self.state = ResponseState.IDLE

    def send_reply(self, reply: wire.Reply) -> None:
        """Send one line."""
        self._connection.sendLine(wire.format_reply(reply))

    def send_error(self, refusal: errors.Refusal) -> None:
        """Send an ERROR line; the conversation goes on."""
        self.send_reply(wire.Error(refusal.code, str(refusal)))

    # --- backpressure ---

    async def write(self, data: bytes) -> None:
        """Write, and wait until the peer has taken enough of it."""
        self._connection.transport.write(data)
        if self._connection.is_paused_for(PauseReason.BACKPRESSURE):
            self._room = Deferred()
            await self._room

    def drained(self) -> None:
        """Write on: the transport has written everything."""
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)

    # --- counted replies ---

    def promise(self) -> None:
        """Call it before the header of a counted reply: from here on, only a reset can cut that short."""
        self.state = ResponseState.SENDING
        self._promised.begin(self._connection.transport)

    def end_promise(self) -> None:
        """Call it behind what was promised, if more of the response follows: that may be an ERROR line again."""
        self.state = ResponseState.WORKING

    def take_back_promise(self) -> None:
        """Have a close end the connection as usual, without a reset; call it before each close."""
        self._promised.take_back()

    async def send_rows(self, header: wire.Reply, pieces: Iterable[bytes]) -> None:
        """Send a counted reply of rows, which come in pieces."""
        self.promise()
        self.send_reply(header)
        for rows in pieces:
            await self.write(rows)
