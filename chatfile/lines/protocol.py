"""The line protocol that both ends extend: lines in turns, pausing, half-close, and a close that loses nothing."""

from __future__ import annotations

import socket

from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IPushProducer, IReactorTime
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from chatfile.lines.splitter import LineSplitter, Skipped
from chatfile.lines.states import RECEIVING, ConnectionEvent, ConnectionState, PauseReason, next_state
from chatfile.timeouts import StallTimeout, Timer
from chatfile.transports import ILineTransport, is_half_closable, outstanding_bytes, plain_socket


@implementer(IHalfCloseableProtocol, IPushProducer)
class LineProtocol(LineReceiver):
    """A conversation in lines, in both directions, from the connection to its end.

    Twisted's `LineReceiver` with its contract kept. A subclass implements `lineReceived`, `rawDataReceived` and
    `lineTooLong`.
    """

    # An idle client is to cost little, and a dict of so many attributes is 1.5 KB.
    __slots__ = ("_flush", "_is_reading", "_linger", "_pauses", "_turn", "clock", "splitter", "state")
    delimiter = b"\n"
    TURN = 64
    """Lines delivered before the other connections have their turn."""
    READ_AHEAD = 16 * 1024
    """Bytes kept while lines are paused before reading stops too; as long as we read, a reset is noticed at once."""
    HEARS_TELNET = True
    """Whether the peer may be a telnet client: then its commands and negotiation are taken out."""
    LAST_LINE_COUNTS = True
    """Whether the last bytes before a half-close are a line even without LF."""
    LINGER = 0.5
    """Seconds to wait after the last byte was acknowledged: to close with unread input would reset the connection."""
    flush_timeout: float = 5.0
    """Seconds that a close may take while the peer takes nothing; 0 means for ever."""

    transport: ILineTransport

    def __init__(self, clock: IReactorTime) -> None:
        """Wait for the connection; `clock` measures all times."""
        self.clock = clock
        self.state = ConnectionState.OPEN
        self.splitter = LineSplitter(self.MAX_LENGTH, hears_telnet=self.HEARS_TELNET)
        self._pauses: frozenset[PauseReason] = frozenset()
        self._is_reading = True
        self._turn: IDelayedCall | None = None
        self._linger: Timer | None = None
        self._flush: StallTimeout | None = None

    def _go(self, event: ConnectionEvent) -> None:
        self.state = next_state(self.state, event)

    @property
    def is_receiving(self) -> bool:
        """Tell whether lines are delivered, now or later on: our side has not closed the connection."""
        return self.state in RECEIVING

    # --- lines, in both directions ---

    def sendLine(self, line: bytes) -> None:
        """Send `line` and its end."""
        self.transport.write(line + b"\n")

    def dataReceived(self, data: bytes) -> None:
        """Deliver the lines that are complete with `data`, unless something pauses that; drop it in a close."""
        if self.state in RECEIVING:
            self.splitter.feed(data)
            self._deliver()

    def clearLineBuffer(self) -> bytes:
        """Remove and return the bytes that were not delivered yet."""
        return self.splitter.take_rest()

    def _deliver(self) -> None:
        if self._busyReceiving:
            return
        self._busyReceiving = True
        try:
            self._deliver_turn()
        finally:
            self._busyReceiving = False
        self._update_reading()

    def _deliver_turn(self) -> None:
        left, splitter = self.TURN, self.splitter
        while splitter.waiting and not self._pauses and self.state in RECEIVING:
            if not left:
                self._pauses |= {PauseReason.YIELD}
                self._turn = self.clock.callLater(0, self._take_turn)
            elif self.line_mode and splitter.take_burst(self.linesReceived):
                pass
            elif not self._deliver_next():
                break
            left -= 1
        if self.state is ConnectionState.HALF_CLOSED and not self._pauses:
            self._deliver_end()

    def _deliver_next(self) -> bool:
        """Deliver raw bytes, or the next line; False where that is not complete."""
        if self.line_mode:
            return self._deliver_line(self.splitter.next_line())
        self.rawDataReceived(self.splitter.take_rest())
        return True

    def _deliver_line(self, line: bytes | Skipped | None) -> bool:
        if line is None:
            return False
        if isinstance(line, Skipped):
            self.lineTooLong()
        else:
            self.lineReceived(line)
        return True

    def _deliver_end(self) -> None:
        """Deliver the last line of a peer that has half-closed, then close."""
        last = self.splitter.last_line()
        if self.line_mode and self.LAST_LINE_COUNTS:
            self._deliver_line(last)
        if not self._pauses:
            self.close()

    # --- for subclasses ---

    def lineReceived(self, line: bytes) -> None:
        """Take a line, given without its end."""
        raise NotImplementedError

    def linesReceived(self, buffer: bytes, start: int) -> int:  # noqa: ARG002 -- for subclasses
        """Take some of the whole lines in `buffer` from `start` on, and return where those end.

        All others are delivered one by one, to `lineReceived`.
        """
        return start

    def rawDataReceived(self, data: bytes) -> None:
        """Take bytes, in raw mode."""
        raise NotImplementedError

    def lineTooLong(self) -> None:
        """Hear of a line of more than MAX_LENGTH bytes, which is being dropped; the next one is delivered again."""
        raise NotImplementedError

    def readStateChanged(self) -> None:
        """Hear that some lines were delivered, or that the reasons to pause have changed."""

    def lingerTick(self) -> None:
        """Hear, in a close, that our end is out, and later on that the peer was given some more time to take it all."""

    # --- pausing ---

    def pause(self, why: PauseReason) -> None:
        """Deliver nothing, and read little, until `resume(why)`."""
        self._pauses |= {why}
        self._update_reading()

    def resume(self, why: PauseReason) -> None:
        """Deliver the lines that wait, unless another reason to pause is left."""
        self._pauses -= {why}
        if not self._pauses and self.state in RECEIVING:
            self._deliver()

    def is_paused_for(self, why: PauseReason) -> bool:
        """Tell whether `why` is a reason at present."""
        return why in self._pauses

    def detach_socket(self) -> socket.socket | None:
        """Return the socket, which the caller reads until `resume(PauseReason.DETACHED)`.

        Returns None where it must not: over TLS, where bytes wait here, while paused, and in a close.
        """
        if self.state is not ConnectionState.OPEN or self._pauses or self.splitter.waiting:
            return None
        detached = plain_socket(self.transport)
        if detached is not None:
            self.pause(PauseReason.DETACHED)
        return detached

    def _take_turn(self) -> None:
        self._turn = None
        self.resume(PauseReason.YIELD)

    def _cancel_turn(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _update_reading(self) -> None:
        """Start or stop reading, once per burst of lines, for each change is a system call."""
        if self._busyReceiving or self.state not in RECEIVING:
            return
        self.paused = bool(self._pauses)
        wants_to_read = not self._pauses or (
            PauseReason.DETACHED not in self._pauses and self.splitter.waiting < self._read_ahead()
        )
        if wants_to_read != self._is_reading:
            self._is_reading = wants_to_read
            if not wants_to_read:
                self.transport.pauseProducing()
            elif self.state is ConnectionState.OPEN:
                self.transport.resumeProducing()
        self.readStateChanged()

    def _read_ahead(self) -> int:
        """Return how many bytes are kept while lines are paused; of a peer that waits, there can be very many, one."""
        return 1 if PauseReason.QUEUED in self._pauses else self.READ_AHEAD

    def pauseProducing(self) -> None:
        """Deliver no more lines, whose replies would fill it further: the transport has enough to write."""
        self.pause(PauseReason.BACKPRESSURE)

    def resumeProducing(self) -> None:
        """Go on: the transport has written everything."""
        self.resume(PauseReason.BACKPRESSURE)

    def stopProducing(self) -> None:
        """Do nothing yet: the connection is going away, as `connectionLost` will tell."""

    # --- the output that the flush timeout watches; see `MonitoredOutput` ---

    def bytes_written(self) -> int:
        """Return 0: all that is sent in a close was written before it."""
        return 0

    def has_pending_output(self) -> bool:
        """Tell whether the transport is still writing what was written before a close."""
        return self.state in (ConnectionState.FLUSHING, ConnectionState.DISCONNECTING)

    def is_active(self) -> bool:
        """Return False: nothing is written after a close."""
        return False

    def on_progress(self) -> None:
        """Do nothing; see `MonitoredOutput`."""

    # --- the ends of a connection ---

    def readConnectionLost(self) -> None:
        """Hear that the peer has half-closed."""
        self._go(ConnectionEvent.PEER_CLOSED)
        if self.state is ConnectionState.HALF_CLOSED:
            self._deliver()
        else:
            self._stop_linger()
            self.transport.loseConnection()

    def close(self) -> None:
        """Take no more lines, let everything written arrive, and close; the peer gets `flush_timeout` to take it."""
        if self.state not in RECEIVING:
            return
        if PauseReason.DETACHED in self._pauses:
            self.abort()  # another reader of the socket expects more, and two readers would each get a part
            return
        can_half_close = self.state is ConnectionState.OPEN and is_half_closable(self.transport)
        self._go(ConnectionEvent.HALF_CLOSE if can_half_close else ConnectionEvent.DISCONNECT)
        self.splitter.take_rest()
        self._cancel_turn()
        self._flush = StallTimeout(self.clock, self.flush_timeout, self, self.abort)
        self._flush.start(self.transport)
        if can_half_close:
            self.transport.resumeProducing()  # to drop what still comes, and to see the peer's end
            self.transport.loseWriteConnection()
        else:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Hear that everything written is with the system, and our end behind it."""
        self._go(ConnectionEvent.FLUSHED)
        self._linger = Timer(self.clock, self._end_linger)
        self._linger.restart(self.LINGER)
        self.lingerTick()

    def _end_linger(self) -> None:
        self.lingerTick()
        if self._linger is not None and outstanding_bytes(self.transport):
            self._linger.restart(self.LINGER)
        else:
            self._go(ConnectionEvent.DISCONNECT)
            self.transport.loseConnection()

    def abort(self) -> None:
        """Reset the connection: the only honest end in the middle of a promised size."""
        if self.state not in (ConnectionState.ABORTED, ConnectionState.CLOSED):
            self._go(ConnectionEvent.ABORT)
            self._stop_linger()
            self.transport.abortConnection()

    def _stop_linger(self) -> None:
        if self._linger is not None:
            self._linger.stop()  # or it might end before the connection is lost

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: ARG002 -- for subclasses
        """Leave no timer behind."""
        self._go(ConnectionEvent.LOST)
        self.splitter.take_rest()
        self._cancel_turn()
        self._stop_linger()
        if self._flush is not None:
            self._flush.stop()
