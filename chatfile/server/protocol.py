"""The protocol of one connection: for a newcomer at first, then for a client that has a seat, to its end."""

from __future__ import annotations

from twisted.internet import error
from twisted.internet.interfaces import IAddress, IFileDescriptorReceiver, IHandshakeListener
from twisted.python.failure import Failure
from zope.interface import implementer

from chatfile import errors, wire
from chatfile.admission import Seat
from chatfile.disk import run_unawaited
from chatfile.fdio import close_quietly
from chatfile.lines import ConnectionState, LineProtocol, PauseReason
from chatfile.server.activity import LeaveReason
from chatfile.server.context import ServerContext
from chatfile.server.newcomer import AdmissionState, Newcomer
from chatfile.server.responder import Responder
from chatfile.server.response_writer import ResponseState
from chatfile.server.timers import ClientTimers
from chatfile.server.unseated import EvictionRank
from chatfile.transports import (
    ILineTransport,
    describe_client,
    do_not_pace,
    is_tcp,
    outstanding_bytes,
    probe_when_silent,
    take_small_turns,
)

UNACKNOWLEDGED = 64 * 1024
"""Bytes that a peer may have read to our end without having acknowledged them yet: RFC 1122 lets it wait with less than
two segments, and those of the loopback interface are that long."""


@implementer(IHandshakeListener, IFileDescriptorReceiver)
class ChatFileProtocol(LineProtocol):
    """One connection: of a newcomer at first, and of a client that has a seat and a responder when it was admitted."""

    __slots__ = ("_context", "_newcomer", "_timers", "address", "close_reason", "host", "responder")
    MAX_LENGTH = wire.MAX_REQUEST
    TURN = 32
    """Lines; each costs some 20 microseconds where it is a bad one."""

    responder: Responder
    """There from the admission on; its seat is given back when the client does not need it any more."""

    def __init__(self, context: ServerContext, client: IAddress | None) -> None:
        """Wait for the connection of a client whose address is `client`; that of the transport may be a proxy's."""
        super().__init__(context.clock)
        self.flush_timeout = context.timeouts.flush
        self.close_reason: LeaveReason | None = None
        self.address, self.host = describe_client(client)
        self._context = context
        self._newcomer: Newcomer | None = Newcomer(self, context)  # until the admission
        self._timers = ClientTimers(self, context.clock, context.timeouts)

    # --- coming ---

    def connectionMade(self) -> None:
        """Let the client in; over TLS, when it has shown that it speaks that."""
        self._tune(self.transport)
        self.transport.registerProducer(self, True)
        if self._newcomer is not None:
            self._newcomer.begin()

    def _tune(self, transport: ILineTransport) -> None:
        take_small_turns(transport)
        if is_tcp(transport):
            transport.setTcpNoDelay(True)  # the END line must not wait for an acknowledgement
            transport.setTcpKeepAlive(True)
            probe_when_silent(transport, self._context.timeouts.stall)
            do_not_pace(transport)

    def handshakeCompleted(self) -> None:
        """Let the client in, that has shown that it speaks TLS."""
        if self._newcomer is not None:
            self._newcomer.handshake_completed()

    def begin_waiting(self) -> None:
        """Deliver no more lines until the client has a seat; the line alone bounds how many such clients there are."""
        self._context.unseated.discard(self)
        self.pause(PauseReason.QUEUED)

    def position_sent(self) -> None:
        """Have a client that waits take what it was told in time."""
        self._timers.watch_output()

    def take_seat(self, seat: Seat) -> None:
        """Greet the client, and answer what it has said already, if it has waited."""
        self.responder = Responder(self, seat, self._context)
        self._newcomer = None
        self._context.unseated.discard(self)
        self._context.events.admitted(seat)
        self.responder.welcome()
        self._timers.update()
        if self.is_paused_for(PauseReason.QUEUED):
            self.resume(PauseReason.QUEUED)

    # --- lines ---

    def lineReceived(self, line: bytes) -> None:
        """Have a request answered."""
        if self._newcomer is not None:
            self._newcomer.handle_line(line)
        else:
            self.responder.handle_line(line)

    def linesReceived(self, buffer: bytes, start: int) -> int:
        """Answer many messages at once, or begin to answer several requests for files."""
        if self._newcomer is not None:
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
        if self._newcomer is not None:
            self._newcomer.handle_line(None)
        else:
            self.send_error(errors.LineTooLong(limit=self.MAX_LENGTH))

    def readStateChanged(self) -> None:
        """Look at the timers, or at the wish to wait: some lines were delivered, or what pauses them has changed."""
        if self._newcomer is not None:
            self._newcomer.read_state_changed()
        else:
            self._timers.update()

    def resumeProducing(self) -> None:
        """Go on: the transport has written everything."""
        super().resumeProducing()  # first: a response that waited may fill the transport again at once
        if self._newcomer is None:
            self.responder.output_drained()

    def send_error(self, refusal: errors.Refusal) -> None:
        """Send an ERROR line."""
        self.sendLine(wire.format_reply(wire.Error(refusal.code, str(refusal))))

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """Close a descriptor that the peer has passed over a UNIX socket, and reset the connection.

        It is closed in a thread, since the peer can make that take as long as it wants (a file system of its own, a
        socket that lingers). Without this method, Twisted would close it in the reactor and log a line for each.
        """
        run_unawaited(self._context.close_passed, close_quietly, descriptor)
        self.close_reason = LeaveReason.DESCRIPTORS
        self.abort()

    # --- what the timers ask; see `MonitoredOutput` ---

    def bytes_written(self) -> int:
        """Count the bytes of files that the client was sent."""
        return self.responder.seat.bytes if self.is_receiving and self._newcomer is None else 0

    def has_pending_output(self) -> bool:
        """Tell whether the peer is waited for, as far as this process knows."""
        if not self.is_receiving:
            return super().has_pending_output()
        is_blocked = self._newcomer is None and self.responder.is_blocked
        return self.is_paused_for(PauseReason.BACKPRESSURE) or is_blocked

    def is_active(self) -> bool:
        """Tell whether a response is under way."""
        return self.is_receiving and self.is_paused_for(PauseReason.BUSY)

    def on_progress(self) -> None:
        """Grant more time: a client that takes what was sent is not idle."""
        if self.is_receiving and self._newcomer is None:
            self._timers.restart_idle()

    # --- going ---

    def close(self) -> None:
        """Send no more, and close the connection when everything that was sent has arrived."""
        if self.is_receiving:
            self._timers.stop()
            if self._newcomer is not None:
                self._newcomer.close()
            else:
                self.responder.take_back_promise()
                self._context.connections.add_closing(self)
            self.transport.unregisterProducer()  # a paused push producer would keep the transport open for ever
        super().close()

    def disconnect(self, refusal: errors.Refusal, reason: LeaveReason) -> None:
        """Send an ERROR line, and close; `reason` is for the log."""
        self.close_reason = reason
        self.send_error(refusal)
        self.close()

    def responseFinished(self) -> None:
        """Close the connection with `ERROR shutdown` if the server is draining, now that nothing is under way."""
        if self._context.connections.is_draining and self.is_receiving:
            self.disconnect(errors.Shutdown(), LeaveReason.SHUTDOWN)

    def shut_down(self) -> None:
        """Close the connection with `ERROR shutdown`, now or as soon as the response under way is complete."""
        if self._newcomer is not None and self._newcomer.state is AdmissionState.HANDSHAKING:
            self.abort()
        elif self.is_receiving and self._response_state() is ResponseState.IDLE:
            self.disconnect(errors.Shutdown(), LeaveReason.SHUTDOWN)

    def abort_or_cancel(self) -> None:
        """End the connection at the end of the drain: with an ERROR line where that is possible, else with a reset."""
        if self.is_receiving and self._response_state() is ResponseState.WORKING:
            self.responder.cancel()
        else:
            self.close_reason = LeaveReason.SHUTDOWN
            self.abort()

    def _response_state(self) -> ResponseState:
        return ResponseState.IDLE if self._newcomer is not None else self.responder.state

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Free the seat, however the connection has ended."""
        super().connectionLost(reason)
        self._timers.stop()
        if self._newcomer is not None:
            self._newcomer.end(reason)
        else:
            self.responder.end()
            clean = reason is None or reason.check(error.ConnectionDone)
            self._leave(LeaveReason.CLOSED if clean else LeaveReason.LOST)
        self._context.unseated.discard(self)
        self._context.connections.discard(self)

    # --- the seat, which a client may not need any more while its connection is being closed ---

    def lingerTick(self) -> None:
        """Free the seat if the peer has nearly everything; called while the connection lingers in its close."""
        self.release_seat()

    def release_seat(self) -> None:
        """Free the seat if the peer has taken nearly everything: until then it is served, however slowly it reads."""
        is_seated = self._newcomer is None and not self.responder.seat.is_released
        if not is_seated or self.state is not ConnectionState.LINGERING:
            return
        if (outstanding_bytes(self.transport) or 0) <= UNACKNOWLEDGED and self._context.unseated.add_released(self):
            self._leave(LeaveReason.CLOSED)

    def _leave(self, reason: LeaveReason) -> None:
        seat = self.responder.seat
        if seat.is_released:
            return
        seat.release()
        self._context.connections.discard_closing(self)
        self._context.events.left(seat, self.close_reason or reason)
        if self._context.waiting is not None:
            self._context.waiting.call_up()

    def eviction_rank(self) -> EvictionRank:
        """Return which of the connections without a seat this one is; see `UnseatedConnection`."""
        rank = None if self._newcomer is None else self._newcomer.eviction_rank()
        if rank is not None:
            return rank
        has_all = self.state is ConnectionState.LINGERING and not outstanding_bytes(self.transport)
        return EvictionRank.NOTHING if has_all else EvictionRank.REFUSED
