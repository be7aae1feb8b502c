"""The protocol of one connection: its admission and its seat, its timeouts, and its end."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IFileDescriptorReceiver, IHandshakeListener, ISSLTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from chatfile import errors, tls, wire
from chatfile.admission import Seat
from chatfile.disk import run_unawaited
from chatfile.fdio import close_quietly
from chatfile.lines import ConnectionState, LineProtocol, PauseReason
from chatfile.server.context import ServerContext
from chatfile.server.responder import Responder, ResponseState
from chatfile.server.unseated import EvictionRank
from chatfile.timeouts import StallTimeout, Timer
from chatfile.transports import (
    ILineTransport,
    describe_client,
    do_not_pace,
    has_heard,
    is_reset,
    is_tcp,
    outstanding_bytes,
    probe_when_silent,
    take_small_turns,
    write_now,
)

if TYPE_CHECKING:
    from chatfile.server.waiting import Waiter

UNACKNOWLEDGED = 64 * 1024
"""Bytes that a peer may have read to our end without having acknowledged them yet: RFC 1122 lets it wait with less than
two segments, and those of the loopback interface are that long."""


class AdmissionState(enum.Enum):
    """Whether a client has a seat; from each state it goes only to one below it."""

    HANDSHAKING = "it is not let in yet: over TLS, its handshake is under way"
    ASKING = "a seat is asked for, and the answer takes its time"
    WAITING = "it was told that there is no seat, and may ask for a place in the waiting line, or has one"
    ADMITTED = "it has a seat, and a responder"
    REFUSED = "it was told that there is no seat"
    RELEASED = "it was served, and has given its seat back"


@implementer(IHandshakeListener, IFileDescriptorReceiver)
class ChatFileProtocol(LineProtocol):
    """One connection: admitted with a seat and a name, at once or when it has waited, or refused.

    Lines are delivered to the responder, which there is from the admission on.
    """

    __slots__ = (
        "_admission", "_context", "_idle", "_line", "_line_number", "_lines_seen", "_stall", "_timeouts", "_waiter",
        "address", "close_reason", "host", "responder",
    )  # fmt: skip
    TURN = 32
    """Lines; each costs some 20 microseconds where it is a bad one."""

    responder: Responder
    _waiter: Waiter

    def __init__(self, context: ServerContext, client: IAddress | None) -> None:
        """Wait for the connection of a client whose address is `client`; that of the transport may be a proxy's."""
        super().__init__(context.clock)
        self.flush_timeout = context.timeouts.flush
        self.close_reason = ""
        self.address, self.host = describe_client(client)
        self._context = context
        self._timeouts = context.timeouts
        self._admission = AdmissionState.HANDSHAKING
        self._idle = Timer(context.clock, self._idle_for_too_long)
        self._line = Timer(context.clock, self._line_took_too_long)
        self._line_number = 0  # of the unfinished line that its timer is running for
        self._lines_seen = 0
        self._stall = StallTimeout(
            context.clock, context.timeouts.stall, self, self._stalled, within=context.timeouts.idle
        )

    # --- coming ---

    def connectionMade(self) -> None:
        """Let the client in; over TLS, when it has shown that it speaks that."""
        self._tune(self.transport)
        self.transport.registerProducer(self, True)
        if ISSLTransport.providedBy(self.transport):
            self._context.unseated.add(self, self.host)
            self._line.restart(self._timeouts.line)
        else:
            self._let_in()

    def handshakeCompleted(self) -> None:
        """Let the client in: until the TLS handshake is done, one that says nothing keeps nobody out."""
        if self._admission is AdmissionState.HANDSHAKING and self.is_receiving:
            self._line.stop()
            self._let_in()

    def _let_in(self) -> None:
        Deferred.fromCoroutine(self._ask_for_seat()).addErrback(self._admission_failed)
        if self._admission is AdmissionState.HANDSHAKING and self.is_receiving:
            self._admission = AdmissionState.ASKING
            self.pause(PauseReason.QUEUED)
            self._context.unseated.add(self, self.host)

    async def _ask_for_seat(self) -> None:
        """Let the client in, or refuse it, when the answer has come; it may have gone by then."""
        try:
            seat = await self._admit()
        except errors.Refusal as refusal:
            if self.is_receiving:
                self._context.events.refused(self.address, self.host, str(refusal))
                self._refuse(refusal)
        else:
            if self.is_receiving:
                self.take_seat(seat)
            else:
                seat.release()

    def _admission_failed(self, failure: Failure) -> None:
        """Hear of a fault of the server's own."""
        self._context.events.failed_to_admit(self.address, self.host, failure)
        self.abort()

    def take_seat(self, seat: Seat) -> None:
        """Greet the client, and answer what it has said already, if it has waited."""
        self._admission = AdmissionState.ADMITTED
        self.responder = Responder(self, seat, self._context)
        self._context.unseated.discard(self)
        self._context.events.admitted(seat)
        self.responder.welcome()
        if self.is_paused_for(PauseReason.QUEUED):
            self.resume(PauseReason.QUEUED)
        self.readStateChanged()

    async def _admit(self) -> Seat:
        """Raise `Shutdown`, `Unavailable`, or `Full` where no seat is free, nor one that is about to be."""
        if self._context.connections.is_draining:
            raise errors.Shutdown
        try:
            return await self._context.admission.admit(self.address, self.host)
        except errors.Full:
            if not self._context.connections.reap_closing():
                raise
            return await self._context.admission.admit(self.address, self.host)

    def _refuse(self, refusal: errors.Refusal) -> None:
        self._send_error(refusal)
        waiting = self._context.waiting if isinstance(refusal, errors.Full) else None
        waiter = None if waiting is None else waiting.invite(self)
        if waiter is None:
            self._admission = AdmissionState.REFUSED
            self.close()
        else:
            self._admission = AdmissionState.WAITING
            self._waiter = waiter
        write_now(self.transport)
        self._context.unseated.add(self, self.host)

    def _tune(self, transport: ILineTransport) -> None:
        take_small_turns(transport)
        if is_tcp(transport):
            transport.setTcpNoDelay(True)  # the END line must not wait for an acknowledgement
            transport.setTcpKeepAlive(True)
            probe_when_silent(transport, self._timeouts.stall)
            do_not_pace(transport)

    # --- lines ---

    def lineReceived(self, line: bytes) -> None:
        """Have a request answered."""
        if self._admission is AdmissionState.WAITING:
            self._waiter.handle_line(line)
        else:
            self.responder.handle_line(line)

    def linesReceived(self, buffer: bytes, start: int) -> int:
        """Answer many messages at once, or begin to answer several requests for files."""
        if self._admission is AdmissionState.WAITING:
            return start
        answers, end = wire.acknowledge(buffer, start)
        if answers:
            self.transport.write(answers)
            return end
        requests, end = wire.parse_file_requests(buffer, start, self.TURN)
        if len(requests) <= 1:  # there is nothing to read ahead
            return start
        self.responder.handle_requests(requests)
        return end

    def lineTooLong(self) -> None:
        """Say so; the rest of that line is dropped."""
        if self._admission is AdmissionState.WAITING:
            self._waiter.handle_line(None)
        else:
            self._send_error(errors.LineTooLong(limit=self.MAX_LENGTH))

    def resumeProducing(self) -> None:
        """Go on: the transport has written everything."""
        super().resumeProducing()  # first: a response that waited may fill the transport again at once
        if self._admission is AdmissionState.ADMITTED:
            self.responder.output_drained()

    def _send_error(self, refusal: errors.Refusal) -> None:
        self.sendLine(wire.format_reply(wire.Error(refusal.code, str(refusal))))

    # --- the timeouts ---

    def readStateChanged(self) -> None:
        """Restart, pause or resume the timers: some lines were delivered, or what pauses them has changed."""
        if self._admission is AdmissionState.WAITING:
            self._waiter.read_state_changed()
        if self._admission is not AdmissionState.ADMITTED:
            return
        if self.splitter.count != self._lines_seen or self.is_paused_for(PauseReason.BUSY) or not self._idle.is_running:
            self._restart_idle()
        if self._line_number or self.splitter.is_amid_line:
            self._update_line_timer()
        self._stall.start(self.transport)

    def _restart_idle(self) -> None:
        """Restart the idle timer, or stop it while a response is under way: then no client is idle."""
        self._idle.restart(0 if self.is_paused_for(PauseReason.BUSY) else self._timeouts.idle)
        self._lines_seen = self.splitter.count

    def _update_line_timer(self) -> None:
        """Start, pause or stop the timer of the line that has begun: it runs only while the server reads."""
        if not self.splitter.is_amid_line:
            self._line_number = 0
            self._line.restart(0)
            return
        if self._line_number != self.splitter.count + 1:
            self._line_number = self.splitter.count + 1
            self._line.restart(self._timeouts.line)
        if self.paused:
            self._line.pause()
        else:
            self._line.resume()

    def bytes_written(self) -> int:
        """See `MonitoredOutput`."""
        is_served = self.is_receiving and self._admission is AdmissionState.ADMITTED
        return self.responder.seat.record().bytes if is_served else 0

    def has_pending_output(self) -> bool:
        """See `MonitoredOutput`."""
        if not self.is_receiving:
            return super().has_pending_output()
        is_blocked = self._admission is AdmissionState.ADMITTED and self.responder.is_blocked
        return self.is_paused_for(PauseReason.BACKPRESSURE) or is_blocked

    def is_active(self) -> bool:
        """See `MonitoredOutput`."""
        return self.is_receiving and self.is_paused_for(PauseReason.BUSY)

    def on_progress(self) -> None:
        """See `MonitoredOutput`: a client that takes what was sent is not idle."""
        if self.is_receiving and self._admission is AdmissionState.ADMITTED:
            self._restart_idle()

    def begin_waiting(self) -> None:
        """Deliver no more lines until the client has a seat; the line alone bounds how many such clients there are."""
        self._context.unseated.discard(self)
        self.pause(PauseReason.QUEUED)

    def position_sent(self) -> None:
        """Have a client that waits take what it was told within the time of a stall: its network may be gone."""
        self._stall.start(self.transport)

    def _idle_for_too_long(self) -> None:
        self._disconnect_with(errors.IdleTimeout(seconds=self._timeouts.idle), "idle")

    def _line_took_too_long(self) -> None:
        if self._admission is AdmissionState.HANDSHAKING:
            self.abort()  # a peer that has no TLS session would not understand an ERROR line
            return
        self._disconnect_with(errors.IdleTimeout.amid_line(seconds=self._timeouts.line), "unfinished line")

    def _stalled(self) -> None:
        self.close_reason = "reset" if is_reset(self.transport) else "stalled"
        self.abort()

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """Close a descriptor that the peer has passed over a UNIX socket, and reset the connection.

        It is closed in a thread, since the peer can make that take as long as it wants (a file system of its own, a
        socket that lingers). Without this method, Twisted would close it in the reactor and log a line for each.
        """
        run_unawaited(self._context.close_passed, close_quietly, descriptor)
        self.close_reason = "it passed descriptors"
        self.abort()

    # --- going ---

    def _disconnect_with(self, refusal: errors.Refusal, reason: str) -> None:
        self.close_reason = reason
        self._send_error(refusal)
        self.close()

    def close(self) -> None:
        """Send no more, and close the connection when everything that was sent has arrived."""
        if self.is_receiving:
            self._stop_timers()
            if self._admission is AdmissionState.ASKING:
                self._admission = AdmissionState.REFUSED
            if self._admission is AdmissionState.WAITING:
                self._stop_waiting()
                self._context.unseated.add(self, self.host)
            if self._admission is AdmissionState.ADMITTED:
                self.responder.take_back_promise()
                self._context.connections.add_closing(self)
            self.transport.unregisterProducer()  # a paused push producer would keep the transport open for ever
        super().close()

    def responseFinished(self) -> None:
        """Close the connection with `ERROR shutdown` if the server is draining, now that nothing is under way."""
        if self._context.connections.is_draining and self.is_receiving:
            self._disconnect_with(errors.Shutdown(), "shutdown")

    def shut_down(self) -> None:
        """Close the connection with `ERROR shutdown`, now or as soon as the response under way is complete."""
        if self._admission is AdmissionState.HANDSHAKING:
            self.abort()
        elif self.is_receiving and not self._is_responding():
            self._disconnect_with(errors.Shutdown(), "shutdown")

    def abort_or_cancel(self) -> None:
        """End the connection at the end of the drain: with an ERROR line where that is possible, else with a reset."""
        if self.is_receiving and self._is_working():
            self.responder.cancel()
        else:
            self.close_reason = "shutdown"
            self.abort()

    def _is_responding(self) -> bool:
        return self._admission is AdmissionState.ADMITTED and self.responder.state is not ResponseState.IDLE

    def _is_working(self) -> bool:
        return self._admission is AdmissionState.ADMITTED and self.responder.state is ResponseState.WORKING

    def lingerTick(self) -> None:
        """Free the seat if the peer has nearly everything; called while the connection lingers in its close."""
        self.release_seat()

    def release_seat(self) -> None:
        """Free the seat if the peer has taken nearly everything: until then it is served, however slowly it reads."""
        if self._admission is not AdmissionState.ADMITTED or self.state is not ConnectionState.LINGERING:
            return
        if (outstanding_bytes(self.transport) or 0) <= UNACKNOWLEDGED and self._context.unseated.add_released(self):
            self._leave("closed")

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Free the seat, however the connection has ended."""
        super().connectionLost(reason)
        self._stop_timers()
        if self._admission in (AdmissionState.ADMITTED, AdmissionState.RELEASED):
            self.responder.end()
        if self._admission is AdmissionState.WAITING:
            self._stop_waiting()
        clean = reason is None or reason.check(error.ConnectionDone)
        self._leave("closed" if clean else "connection lost")
        if self._admission is AdmissionState.HANDSHAKING:
            self._context.events.refused(self.address, self.host, tls.why_refused(reason and reason.value))
        self._context.unseated.discard(self)
        self._context.connections.discard(self)

    def _stop_waiting(self) -> None:
        self._admission = AdmissionState.REFUSED
        self._waiter.leave()

    def _leave(self, reason: str) -> None:
        if self._admission is not AdmissionState.ADMITTED:
            return
        self._admission = AdmissionState.RELEASED
        self.responder.seat.release()
        self._context.connections.discard_closing(self)
        self._context.events.left(self.responder.seat, self.close_reason or reason)
        if self._context.waiting is not None:
            self._context.waiting.call_up()

    def eviction_rank(self) -> EvictionRank:
        """Return which of the connections without a seat this one is; see `UnseatedConnection`."""
        if self._admission is AdmissionState.ASKING:
            return EvictionRank.ASKING
        if self._admission is AdmissionState.HANDSHAKING:
            if tls.has_begun(self.transport):
                return EvictionRank.HANDSHAKING
            return EvictionRank.BEGINNING if has_heard(self.transport) else EvictionRank.SILENT
        has_all = self.state is ConnectionState.LINGERING and not outstanding_bytes(self.transport)
        return EvictionRank.NOTHING if has_all else EvictionRank.REFUSED

    def _stop_timers(self) -> None:
        self._idle.stop()
        self._line.stop()
        self._stall.stop()
