"""Timeouts of a connection: a timer that is cheap to restart, and a timeout for a peer that takes nothing.

The clock is always given: the reactor, or a `twisted.internet.task.Clock`. The reactor's own is the wall clock, until
`use_monotonic_clock` has replaced it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from chatfile.transports import acknowledged_bytes, is_reset, outstanding_bytes

_AT_ONCE = 1e-6
"""Seconds: a deadline that has come, where 0 would mean that there is none."""


def use_monotonic_clock(reactor: Any) -> None:
    """Make `reactor` measure time by a clock that nobody sets. Call it at the start of a program.

    Twisted's own `reactor.seconds` is the wall clock: if that is set back by an hour, every timer of the process is an
    hour late; if it is set forward, all of them fire at once. After this call `reactor.seconds()` is no time of day any
    more, and not to be compared with what it returned before. Calls that are scheduled already keep their times. A
    second call changes nothing.
    """
    if reactor.seconds is time.monotonic:
        return
    left = [(call, call.getTime() - reactor.seconds()) for call in reactor.getDelayedCalls()]
    reactor.seconds = time.monotonic
    for call, seconds in left:
        call.seconds = time.monotonic
        call.reset(seconds)


class Timer:
    """Fires once, when the seconds that it was last given are over.

    To give it more time costs a comparison: the delayed call stays with the reactor, and is made anew when it is due.
    """

    __slots__ = ("_call", "_clock", "_due", "_fire", "_left")

    def __init__(self, clock: IReactorTime, fire: Callable[[], None]) -> None:
        """Call `fire()` when the time is over; the timer is not running yet."""
        self._clock = clock
        self._fire = fire
        self._due: float | None = None
        self._call: IDelayedCall | None = None
        self._left: float | None = None

    @property
    def is_running(self) -> bool:
        """Tell whether it is going to fire."""
        return self._due is not None

    def restart(self, seconds: float) -> None:
        """Fire `seconds` from now instead of at the time that was given before; 0 means never."""
        self._left = None
        if not seconds:
            self._due = None
            return
        due = self._due = self._clock.seconds() + seconds
        if self._call is not None and self._call.getTime() <= due:
            return
        self.stop()
        self._due = due
        self._call = self._clock.callLater(seconds, self._wake)

    def stop(self) -> None:
        """Don't fire, and leave no call with the reactor."""
        self._due = self._left = None
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def pause(self) -> None:
        """Do not fire until `resume`, which gives it the time that is left now."""
        if self._due is not None:
            left = max(self._due - self._clock.seconds(), _AT_ONCE)
            self.stop()
            self._left = left

    def resume(self) -> None:
        """Run on after a `pause`, unless it was restarted or stopped since."""
        if self._left is not None:
            self.restart(self._left)

    def _wake(self) -> None:
        self._call = None
        if self._due is None:
            return
        early = self._due - self._clock.seconds()
        if early > 0:
            self._call = self._clock.callLater(early, self._wake)
        else:
            self._due = None
            self._fire()


class MonitoredOutput(Protocol):
    """A connection, as a `StallTimeout` asks it."""

    def bytes_written(self) -> int:
        """Count the bytes given to the transport so far; called where the system does not know what is acknowledged."""

    def has_pending_output(self) -> bool:
        """Tell whether something waits in this process that the system does not know of, as before a TLS handshake."""

    def is_active(self) -> bool:
        """Tell whether more is going to be sent, even if the peer has taken everything so far."""

    def on_progress(self) -> None:
        """Hear that the peer has not stalled; called several times while it has time left."""


class StallTimeout:
    """Fires when the peer has taken nothing of what was sent to it for too long.

    Where the platform tells, only what the peer has acknowledged counts: the kernel's buffer takes megabytes for a peer
    that reads nothing. It runs while something is outstanding or going to be sent, then stops by itself.
    """

    __slots__ = ("_call", "_clock", "_fire", "_interval", "_output", "_seconds", "_since", "_taken")
    _LOOKS = 20
    """How often it looks in the time that it grants: so it is late by at most a tenth of that."""
    _GRANTED_IF_NEVER = 60.0

    def __init__(
        self,
        clock: IReactorTime,
        seconds: float,
        output: MonitoredOutput,
        fire: Callable[[], None],
        *,
        within: float = 0.0,
    ) -> None:
        """Call `fire()` when the peer has taken nothing of `output` for `seconds` (0: never).

        It calls `on_progress` often enough for another timer of `within` seconds to be restarted by that.
        """
        self._clock = clock
        self._seconds = seconds
        self._output = output
        self._fire = fire
        limits = [limit for limit in (seconds, within) if limit]
        self._interval = min(limits, default=self._GRANTED_IF_NEVER) / self._LOOKS
        self._call: IDelayedCall | None = None
        self._taken: object = None
        self._since = 0.0

    def start(self, transport: object) -> None:
        """Begin to look, when something was sent to `transport`; does nothing if it looks already."""
        if self._call is None:
            self._taken = self._measure(transport)
            self._since = self._clock.seconds()
            self._call = self._clock.callLater(self._interval, self._look, transport)

    def stop(self) -> None:
        """Look no more, and leave no call with the reactor."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _measure(self, transport: object) -> object:
        acknowledged = acknowledged_bytes(transport)
        return (outstanding_bytes(transport), self._output.bytes_written()) if acknowledged is None else acknowledged

    def _look(self, transport: object) -> None:
        self._call = None
        is_outstanding = self._output.has_pending_output() or bool(outstanding_bytes(transport))
        if not is_outstanding and not self._output.is_active():
            return
        now, taken = self._clock.seconds(), self._measure(transport)
        if not is_outstanding:
            self._taken = None  # the time begins at the first look at which there is something to take
        elif taken != self._taken:
            self._taken, self._since = taken, now
        if is_reset(transport) or (is_outstanding and self._is_over(now)):
            self._fire()
            return
        self._call = self._clock.callLater(self._interval, self._look, transport)
        self._output.on_progress()

    def _is_over(self, now: float) -> bool:
        return self._seconds > 0 and now - self._since >= self._seconds
