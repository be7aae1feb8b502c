"""The timers of one client: what it may keep the server waiting for, and for how long (see `Timeouts`)."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from chatfile import errors
from chatfile.lines import PauseReason
from chatfile.lines.splitter import LineSplitter
from chatfile.server.activity import LeaveReason
from chatfile.server.context import Timeouts
from chatfile.timeouts import MonitoredOutput, StallTimeout, Timer
from chatfile.transports import ILineTransport, is_reset


class TimedConnection(MonitoredOutput, Protocol):
    """A connection, as its timers use it."""

    transport: ILineTransport
    splitter: LineSplitter
    paused: bool
    """Whether no line is delivered at present."""
    close_reason: LeaveReason | None

    def is_paused_for(self, why: PauseReason) -> bool:
        """Tell whether `why` is a reason at present."""

    def disconnect(self, refusal: errors.Refusal, reason: LeaveReason) -> None:
        """Send an ERROR line, and close."""

    def abort(self) -> None:
        """Reset."""


class ClientTimers:
    """Ends a connection whose client says nothing, does not finish a line, or takes nothing of what is sent to it."""

    __slots__ = ("_clock", "_connection", "_idle", "_line", "_line_number", "_lines_seen", "_stall", "_timeouts")

    def __init__(self, connection: TimedConnection, clock: IReactorTime, timeouts: Timeouts) -> None:
        """Begin with none of them running."""
        self._connection = connection
        self._clock = clock
        self._timeouts = timeouts
        self._idle = Timer(clock, self._idle_for_too_long)
        self._line: Timer | None = None  # most lines come in one piece
        self._line_number = 0  # of the unfinished line that its timer is running for
        self._lines_seen = 0
        self._stall = StallTimeout(clock, timeouts.stall, connection, self._stalled, within=timeouts.idle)

    def update(self) -> None:
        """Restart, pause or resume them: some lines were delivered, or what pauses them has changed."""
        connection = self._connection
        has_lines = connection.splitter.count != self._lines_seen
        if has_lines or connection.is_paused_for(PauseReason.BUSY) or not self._idle.is_running:
            self.restart_idle()
        if self._line_number or connection.splitter.is_amid_line:
            self._update_line()
        self.watch_output()

    def restart_idle(self) -> None:
        """Restart the idle timer, or stop it while a response is under way: then no client is idle."""
        is_busy = self._connection.is_paused_for(PauseReason.BUSY)
        self._idle.restart(0 if is_busy else self._timeouts.idle)
        self._lines_seen = self._connection.splitter.count

    def watch_output(self) -> None:
        """Have the client take what is sent to it within the time of a stall: its network may be gone."""
        self._stall.start(self._connection.transport)

    def stop(self) -> None:
        """Stop all of them, and leave no call with the reactor."""
        self._idle.stop()
        if self._line is not None:
            self._line.stop()
        self._stall.stop()

    def _update_line(self) -> None:
        """Start, pause or stop the timer of the line that has begun: it runs only while the server reads."""
        splitter = self._connection.splitter
        line = self._line = self._line or Timer(self._clock, self._line_took_too_long)
        if not splitter.is_amid_line:
            self._line_number = 0
            line.restart(0)
            return
        if self._line_number != splitter.count + 1:
            self._line_number = splitter.count + 1
            line.restart(self._timeouts.line)
        if self._connection.paused:
            line.pause()
        else:
            line.resume()

    def _idle_for_too_long(self) -> None:
        self._connection.disconnect(errors.IdleTimeout(seconds=self._timeouts.idle), LeaveReason.IDLE)

    def _line_took_too_long(self) -> None:
        refusal = errors.IdleTimeout.amid_line(seconds=self._timeouts.line)
        self._connection.disconnect(refusal, LeaveReason.UNFINISHED_LINE)

    def _stalled(self) -> None:
        reset = is_reset(self._connection.transport)
        self._connection.close_reason = LeaveReason.RESET if reset else LeaveReason.STALLED
        self._connection.abort()
