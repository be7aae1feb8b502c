"""Lines in both directions, and the ends of a connection."""

from __future__ import annotations

from twisted.internet.interfaces import IHalfCloseableProtocol, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from chatfile.lines.incoming import LineInput
from chatfile.lines.states import Input, PauseReason, Phase
from chatfile.timeouts import StallTimeout, Timer
from chatfile.transports import is_half_closable, outstanding_bytes


@implementer(IHalfCloseableProtocol)
class LineProtocol(LineInput):
    """A conversation in lines, and its end."""

    __slots__ = ("_flush", "_linger")
    LINGER = 0.5
    """Seconds of patience after the last byte of a close was acknowledged: a close with unread input is a reset."""

    flush_timeout: float = 5.0
    """Seconds a close is given while the peer takes nothing; 0 means for ever."""

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(clock)
        self._linger = Timer(clock, self._stop_lingering)
        self._flush: StallTimeout | None = None

    def sendLine(self, line: bytes) -> None:
        """Send `line` and its end."""
        self.transport.write(line + b"\n")

    def inputEnded(self) -> None:
        """The peer has half-closed, and every line of it was delivered."""
        self.close()

    def outputEnded(self) -> None:
        """In a close: everything was handed to the system, and our end behind it."""

    def lingering(self) -> None:
        """In a close, some time after that: the peer may or may not have taken it all."""

    # --- what the timeouts ask ---

    def bytes_written(self) -> int:
        """See `MonitoredOutput`: what is written in a close was written before it."""
        return 0

    def has_pending_output(self) -> bool:
        """See `MonitoredOutput`."""
        return self.phase is Phase.FLUSHING

    def is_active(self) -> bool:
        """See `MonitoredOutput`: nothing is sent behind a close."""
        return False

    def on_progress(self) -> None:
        """See `MonitoredOutput`."""

    # --- the ends of a connection ---

    def readConnectionLost(self) -> None:
        """The peer has half-closed."""
        if self.phase is not Phase.OPEN:
            self.transport.loseConnection()
        elif self.input is Input.OPEN:
            self.input = Input.ENDED
            self.dataReceived(b"")

    def close(self) -> None:
        """Take no more lines, let everything written arrive, and close; the peer gets `flush_timeout` to take it."""
        if self.phase is not Phase.OPEN:
            return
        if self.is_paused_for(PauseReason.DETACHED):
            self.abort()  # whoever reads in our place expects more; two readers would each get a part of it
            return
        self._begin_flush()
        if self.input is not Input.OPEN or not is_half_closable(self.transport):
            self.transport.loseConnection()
            return
        self.transport.resumeProducing()  # to drop what still comes, and to see the peer's end
        self.transport.loseWriteConnection()

    def _begin_flush(self) -> None:
        self.phase = Phase.FLUSHING
        self.clearLineBuffer()
        self._give_up_turn()
        self._flush = StallTimeout(self.clock, self.flush_timeout, self, self.abort)
        self._flush.start(self.transport)

    def writeConnectionLost(self) -> None:
        """Everything written is with the system, and our end behind it."""
        self.phase = Phase.LINGERING
        self._linger.restart(self.LINGER)
        self.outputEnded()

    def _stop_lingering(self) -> None:
        self.lingering()
        if outstanding_bytes(self.transport):
            self._linger.restart(self.LINGER)
        else:
            self.transport.loseConnection()

    def abort(self) -> None:
        """Reset the connection: the only honest end in the middle of a promised size."""
        if self.phase is not Phase.LOST:
            self.phase = Phase.ABORTED
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: ARG002 -- for heirs
        """Leave no timer behind."""
        self.phase = Phase.LOST
        self.input = Input.DONE
        self.clearLineBuffer()
        self._linger.stop()
        self._give_up_turn()
        if self._flush is not None:
            self._flush.stop()
