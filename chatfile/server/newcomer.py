"""A client that has no seat: its TLS handshake, and the answer to its wish for a seat.

That is a seat, a refusal, or, where there is a waiting line, a refusal behind which it may ask for a place.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport
from twisted.python.failure import Failure

from chatfile import errors, tls
from chatfile.admission import Seat
from chatfile.lines import ConnectionState, PauseReason
from chatfile.lines.splitter import LineSplitter
from chatfile.server.context import ServerContext
from chatfile.server.unseated import EvictionRank, UnseatedConnection
from chatfile.timeouts import Timer
from chatfile.transports import ILineTransport, has_heard, write_now

if TYPE_CHECKING:
    from chatfile.server.waiting import Waiter


class AdmissionState(enum.Enum):
    """How far a client without a seat is; from each state it goes only to one below it."""

    HANDSHAKING = "it is not let in yet: over TLS, its handshake is under way"
    ASKING = "a seat is asked for, and the answer may take its time"
    WAITING = "it was told that there is no seat, and may ask for a place in the waiting line, or has one"
    REFUSED = "it was told that there is no seat"


class NewConnection(UnseatedConnection, Protocol):
    """A connection, as a `Newcomer` uses it, and the waiting line, if there is one."""

    address: str
    host: str
    transport: ILineTransport
    state: ConnectionState
    splitter: LineSplitter

    @property
    def is_receiving(self) -> bool:
        """Tell whether our side has not closed it."""

    def sendLine(self, line: bytes) -> None:
        """Send a line."""

    def send_error(self, refusal: errors.Refusal) -> None:
        """Send an ERROR line."""

    def pause(self, why: PauseReason) -> None:
        """Deliver no further line."""

    def is_paused_for(self, why: PauseReason) -> bool:
        """Tell whether `why` is a reason at present."""

    def take_seat(self, seat: Seat) -> None:
        """Let the client in: then it is no newcomer any more."""

    def begin_waiting(self) -> None:
        """Deliver no more lines until the client has a seat."""

    def position_sent(self) -> None:
        """Hear that something was sent, which the peer has to take in time."""

    def close(self) -> None:
        """Close, and let everything written arrive."""


class Newcomer:
    """Asks for a seat for one client, and tells it the answer; the connection has it until there is a seat."""

    __slots__ = ("_connection", "_context", "_handshake", "_waiter", "state")

    _waiter: Waiter

    def __init__(self, connection: NewConnection, context: ServerContext) -> None:
        """Wait for the client of `connection`."""
        self.state = AdmissionState.HANDSHAKING
        self._connection = connection
        self._context = context
        self._handshake: Timer | None = None

    # --- the handshake ---

    def begin(self) -> None:
        """Let the client in, now that it is connected; over TLS, when it has shown that it speaks that."""
        if ISSLTransport.providedBy(self._connection.transport):
            self._context.unseated.add(self._connection, self._connection.host)
            # A peer that has no TLS session would not understand an ERROR line.
            self._handshake = Timer(self._context.clock, self._connection.abort)
            self._handshake.restart(self._context.timeouts.line)
        else:
            self._let_in()

    def handshake_completed(self) -> None:
        """Let the client in: until the TLS handshake is done, one that says nothing keeps nobody out."""
        if self.state is AdmissionState.HANDSHAKING and self._connection.is_receiving:
            self._stop_handshake()
            self._let_in()

    def _stop_handshake(self) -> None:
        if self._handshake is not None:
            self._handshake.stop()

    # --- the answer ---

    def _let_in(self) -> None:
        self.state = AdmissionState.ASKING
        asking = Deferred.fromCoroutine(self._ask_for_seat())
        if not asking.called and self._connection.is_receiving:
            self._connection.pause(PauseReason.QUEUED)
            self._context.unseated.add(self._connection, self._connection.host)
        asking.addErrback(self._failed)

    async def _ask_for_seat(self) -> None:
        """Let the client in, or refuse it, when the answer has come; it may have gone by then."""
        connection = self._connection
        try:
            seat = await self._admit()
        except errors.Refusal as refusal:
            if connection.is_receiving:
                self._context.events.refused(connection.address, connection.host, str(refusal), refusal.code)
                self._refuse(refusal)
        else:
            if connection.is_receiving:
                connection.take_seat(seat)
            else:
                seat.release()

    async def _admit(self) -> Seat:
        """Raise `Shutdown`, `Unavailable`, or `Full` where no seat is free, nor one that is about to be."""
        address, host = self._connection.address, self._connection.host
        if self._context.connections.is_draining:
            raise errors.Shutdown
        try:
            return await self._context.admission.admit(address, host)
        except errors.Full:
            if not self._context.connections.reap_closing():
                raise
            return await self._context.admission.admit(address, host)

    def _refuse(self, refusal: errors.Refusal) -> None:
        self._connection.send_error(refusal)
        waiting = self._context.waiting if isinstance(refusal, errors.Full) else None
        waiter = None if waiting is None else waiting.invite(self._connection)
        if waiter is None:
            self.state = AdmissionState.REFUSED
            self._connection.close()
        else:
            self.state = AdmissionState.WAITING
            self._waiter = waiter
        write_now(self._connection.transport)
        self._context.unseated.add(self._connection, self._connection.host)

    def _failed(self, failure: Failure) -> None:
        """Hear of a fault of the server's own."""
        self._context.events.failed_to_admit(self._connection.address, self._connection.host, failure)
        self._connection.abort()

    # --- what comes of the connection meanwhile ---

    def handle_line(self, line: bytes | None) -> None:
        """Take a line, None for one that is too long; there is none but from a client that may wait."""
        self._waiter.handle_line(line)

    def read_state_changed(self) -> None:
        """Hear that the peer may have half-closed."""
        if self.state is AdmissionState.WAITING:
            self._waiter.read_state_changed()

    def eviction_rank(self) -> EvictionRank | None:
        """Return which of the connections without a seat this one is; None where the client was told the answer."""
        if self.state is AdmissionState.ASKING:
            return EvictionRank.ASKING
        if self.state is not AdmissionState.HANDSHAKING:
            return None
        if tls.has_begun(self._connection.transport):
            return EvictionRank.HANDSHAKING
        return EvictionRank.BEGINNING if has_heard(self._connection.transport) else EvictionRank.SILENT

    def close(self) -> None:
        """Give up what is under way: the connection is about to be closed."""
        self._stop_handshake()
        if self.state is AdmissionState.ASKING:
            self.state = AdmissionState.REFUSED
        if self.state is AdmissionState.WAITING:
            self._stop_waiting()
            self._context.unseated.add(self._connection, self._connection.host)

    def end(self, reason: Failure | None) -> None:
        """Give up what is under way: the connection is gone, for that `reason`."""
        self._stop_handshake()
        if self.state is AdmissionState.WAITING:
            self._stop_waiting()
        if self.state is AdmissionState.HANDSHAKING:
            why = tls.why_refused(reason and reason.value)
            self._context.events.refused(self._connection.address, self._connection.host, why, "tls")

    def _stop_waiting(self) -> None:
        self.state = AdmissionState.REFUSED
        self._waiter.leave()
