"""A client from its admission to its leaving: the seat, the clocks, the goodbye."""

from __future__ import annotations

import enum
import ipaddress

from twisted.internet import error
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IFileDescriptorReceiver, IHandshakeListener, ISSLTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from chatfile import errors, tls
from chatfile.disk import behind
from chatfile.fdio import close_quietly
from chatfile.lines import PauseReason, Phase
from chatfile.server.conversation import Conversation, Reply
from chatfile.server.standing import Claim
from chatfile.server.table import Table
from chatfile.timeouts import StallTimeout, Timer
from chatfile.transports import (
    ILineTransport,
    do_not_pace,
    has_heard,
    is_reset,
    is_tcp,
    outstanding_bytes,
    probe_when_silent,
    take_small_turns,
    write_now,
)

UNACKNOWLEDGED = 64 * 1024
"""Bytes that a peer may have read to our end without having acknowledged them yet: RFC 1122 lets it wait with less than
two segments, and those of the loopback interface are that long."""


class Place(enum.Enum):
    """Where a client is."""

    DOOR = "its TLS handshake is under way: it is not let in yet"
    SEAT = "at the table"
    REFUSED = "told that there is no seat"
    SERVED = "served, and all but gone"


@implementer(IHandshakeListener, IFileDescriptorReceiver)
class ChatFileProtocol(Conversation):
    """One connection: admitted with a seat and a name, or refused."""

    __slots__ = (
        "_idle", "_line", "_line_number", "_lines_settled", "_place", "_stall", "_table", "_timeouts",
    )  # fmt: skip

    def __init__(self, table: Table) -> None:
        """Not connected yet."""
        super().__init__(
            table.clock, table.repository, table.listings, table.digests, table.visitors, table.events, table.queue()
        )
        self.flush_timeout = table.timeouts.flush
        self._table = table
        self._timeouts = table.timeouts
        self._place = Place.DOOR
        self._idle = Timer(table.clock, self._idle_for_too_long)
        self._line = Timer(table.clock, self._line_took_too_long)
        self._line_number = 0  # of the unfinished line that the clock is running for
        self._lines_settled = 0
        self._stall = StallTimeout(table.clock, table.timeouts.stall, self, self._stalled, within=table.timeouts.idle)

    # --- coming ---

    def connectionMade(self) -> None:
        """Let the client in; over TLS, when it has shown that it speaks that."""
        self._tune(self.transport)
        self.transport.registerProducer(self, True)
        if ISSLTransport.providedBy(self.transport):
            self._table.stand(self, describe(self.transport.getPeer())[1])
            self._line.restart(self._timeouts.line)
        else:
            self._let_in()

    def handshakeCompleted(self) -> None:
        """The TLS handshake is done: until then, who says nothing keeps nobody out."""
        if self._place is Place.DOOR and self.phase is Phase.OPEN:
            self._line.stop()
            self._let_in()

    def _let_in(self) -> None:
        """Greet the client, or tell it that there is no seat."""
        address, host = describe(self.transport.getPeer())
        try:
            self._sit_down(address, host)
        except errors.Refusal as refusal:
            self._events.refused(address, host, str(refusal))
            self._place = Place.REFUSED
            self.refuse(refusal)
            self.close()
            write_now(self.transport)
            self._table.stand(self, host)
            return
        self._events.admitted(self.seat)
        self.greet()
        self.inputSettled()

    def _sit_down(self, address: str, host: str) -> None:
        if self._table.draining:
            raise errors.Shutdown
        try:
            self.seat = self._table.admission.admit(address, host)
        except errors.Full:
            self._table.clear()
            self.seat = self._table.admission.admit(address, host)
        self._table.sit(self)
        self._place = Place.SEAT

    def _tune(self, transport: ILineTransport) -> None:
        take_small_turns(transport)
        if is_tcp(transport):
            transport.setTcpNoDelay(True)  # the END line must not wait for an acknowledgement
            transport.setTcpKeepAlive(True)
            probe_when_silent(transport, self._timeouts.stall)
            do_not_pace(transport)

    # --- the clocks ---

    def inputSettled(self) -> None:
        """After a burst of lines, or a change of what holds them: the clocks follow."""
        if self._place is not Place.SEAT:
            return
        if self.lines != self._lines_settled or self.is_paused_for(PauseReason.BUSY) or not self._idle.is_running:
            self._settle_idle()
        if self._line_number or self.unfinished_line():
            self._settle_line()
        self._stall.start(self.transport)

    def _settle_idle(self) -> None:
        """Nobody is idle while something is under way for them; after that, the clock begins anew."""
        self._idle.restart(0 if self.is_paused_for(PauseReason.BUSY) else self._timeouts.idle)
        self._lines_settled = self.lines

    def _settle_line(self) -> None:
        """The line clock is absolute, from the first byte on, but stands still while we do not read."""
        if not self.unfinished_line():
            self._line_number = 0
            self._line.restart(0)
            return
        if self._line_number != self.lines + 1:
            self._line_number = self.lines + 1
            self._line.restart(self._timeouts.line)
        if self.paused:
            self._line.pause()
        else:
            self._line.resume()

    def bytes_written(self) -> int:
        """See `MonitoredOutput`."""
        return self.seat.record().bytes if self._place is Place.SEAT else 0

    def has_pending_output(self) -> bool:
        """See `MonitoredOutput`."""
        if self.phase is not Phase.OPEN:
            return super().has_pending_output()
        return self.is_paused_for(PauseReason.BACKPRESSURE) or (self.sender is not None and self.sender.waiting)

    def is_active(self) -> bool:
        """See `MonitoredOutput`."""
        return self.phase is Phase.OPEN and self.is_paused_for(PauseReason.BUSY)

    def on_progress(self) -> None:
        """See `MonitoredOutput`: nobody is idle who is taking what was sent."""
        if self.phase is Phase.OPEN:
            self._settle_idle()

    def _idle_for_too_long(self) -> None:
        self._send_away(errors.IdleTimeout(seconds=self._timeouts.idle), "idle")

    def _line_took_too_long(self) -> None:
        if self._place is Place.DOOR:
            self.abort()  # it would not understand a word
            return
        self._send_away(errors.LineTimeout(seconds=self._timeouts.line), "unfinished line")

    def _stalled(self) -> None:
        self.why_left = "reset" if is_reset(self.transport) else "stalled"
        self.abort()

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """Give back what nobody asked for, which can come by a UNIX socket, and reset who has passed it.

        In a thread: a close takes as long as the owner of the file wants (a file system of its own, a socket that
        lingers). Without this method, Twisted makes it here, and a line in the log of each.
        """
        behind(self._in_thread, close_quietly, descriptor)
        self.why_left = "it passed descriptors"
        self.abort()

    # --- going ---

    def _send_away(self, refusal: errors.Refusal, why: str) -> None:
        self.why_left = why
        self.refuse(refusal)
        self.close()

    def close(self) -> None:
        """Say no more; let what was said arrive."""
        if self.phase is Phase.OPEN:
            self._stop_clocks()
            self._promised.take_back()
            self.transport.unregisterProducer()  # a paused push producer would keep the transport open for ever
            if self._place is Place.SEAT:
                self._table.leaving.add(self)
        super().close()

    def replied(self) -> None:
        """The moment to say that the server is going down, if it is."""
        if self._table.draining and self.phase is Phase.OPEN:
            self._send_away(errors.Shutdown(), "shutdown")

    def shut_down(self) -> None:
        """Say goodbye as soon as the reply under way is complete."""
        if self._place is Place.DOOR:
            self.abort()
        elif self.reply is Reply.NONE and self.phase is Phase.OPEN:
            self._send_away(errors.Shutdown(), "shutdown")

    def cut_short(self) -> None:
        """The drain is at its end: tell the client where that can be done, reset it where not."""
        if self.phase is Phase.OPEN and self.reply is Reply.WORKING:
            self.stop_answering()
        else:
            self.why_left = "shutdown"
            self.abort()

    def outputEnded(self) -> None:
        """Our end is out; when the peer has it as well, the seat is free."""
        self.clear_seat()

    def lingering(self) -> None:
        """Some time later."""
        self.clear_seat()

    def clear_seat(self) -> None:
        """Free the seat if the peer has all but taken everything: until then it is served, however slowly."""
        if self._place is not Place.SEAT or self.phase is not Phase.LINGERING:
            return
        if (outstanding_bytes(self.transport) or 0) <= UNACKNOWLEDGED and self._table.standing.keeps(self):
            self._leave("closed")

    def connectionLost(self, reason: Failure | None = None) -> None:
        """However it went, the seat is free now."""
        super().connectionLost(reason)
        self._stop_clocks()
        self._promised.take_back()
        self.stop_answering()
        clean = reason is None or reason.check(error.ConnectionDone)
        self._leave("closed" if clean else "connection lost")
        if self._place is Place.DOOR:
            address, host = describe(self.transport.getPeer())
            self._events.refused(address, host, tls.why_refused(reason and reason.value))
        self._table.forget(self)

    def _leave(self, why: str) -> None:
        if self._place is not Place.SEAT:
            return
        self._place = Place.SERVED
        self.seat.release()
        self._table.leaving.discard(self)
        self._events.left(self.seat, self.why_left or why)

    def claim(self) -> Claim:
        """What it has to lose while it has no seat."""
        if self._place is Place.DOOR:
            if tls.has_begun(self.transport):
                return Claim.SHAKING_HANDS
            return Claim.BEGINNING if has_heard(self.transport) else Claim.SILENT
        has_all = self.phase is Phase.LINGERING and not outstanding_bytes(self.transport)
        return Claim.NOTHING if has_all else Claim.REFUSED

    def _stop_clocks(self) -> None:
        self._idle.stop()
        self._line.stop()
        self._stall.stop()


def describe(address: IAddress) -> tuple[str, str]:
    """The address as `status` shows it, and the host that it counts for: of IPv6, the network that one host can be in.

    Whoever has one address of IPv6 has 2^64 of them (RFC 4291, section 2.5.4).
    """
    if isinstance(address, IPv6Address):
        return f"[{address.host}]:{address.port}", _network(address.host)
    if isinstance(address, IPv4Address):
        return f"{address.host}:{address.port}", address.host
    return "unix", "unix"


def _network(host: str) -> str:
    ip = ipaddress.IPv6Address(host.partition("%")[0])
    if ip.ipv4_mapped is not None:  # at a port for both, IPv4 looks like this
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((ip, 64), strict=False))
