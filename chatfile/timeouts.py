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
    """Let `reactor` measure by a clock that nobody sets; to be called at the start of a program.

    Twisted's own `reactor.seconds` is the wall clock: when somebody sets that back an hour, every timer of the process
    is an hour late; set forward, all fire at once. After this call `reactor.seconds()` tells no time of day any more.
    Calls that are scheduled already stay due when they were; who has taken a time from `reactor.seconds()` before must
    not compare it with a later one. To call it again changes nothing.
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

    Giving it more time costs a comparison: the reactor's call that is under way is left to find out.
    """

    __slots__ = ("_call", "_clock", "_due", "_fire", "_left")

    def __init__(self, clock: IReactorTime, fire: Callable[[], None]) -> None:
        """Call `fire()` when the time comes; the timer is not running yet."""
        self._clock = clock
        self._fire = fire
        self._due: float | None = None
        self._call: IDelayedCall | None = None
        self._left: float | None = None

    @property
    def is_running(self) -> bool:
        """Whether it is going to fire."""
        return self._due is not None

    def restart(self, seconds: float) -> None:
        """Fire `seconds` from now, and not at any time that was given before; 0 means never."""
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
        """Stand still: what remains until it fires is kept for `resume`."""
        if self._due is not None:
            left = max(self._due - self._clock.seconds(), _AT_ONCE)
            self.stop()
            self._left = left

    def resume(self) -> None:
        """Go on after a `pause`, if there was one and it was not restarted since."""
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
    """A connection whose peer is to take what is sent to it."""

    def bytes_written(self) -> int:
        """Count the bytes given to the transport so far; asked where the system does not tell what is acknowledged."""

    def has_pending_output(self) -> bool:
        """Tell whether the transport still has something to write, of which the system does not know yet.

        So it is, say, with what TLS keeps before its handshake.
        """

    def is_active(self) -> bool:
        """Tell whether more is going to be sent, though the peer may have taken everything so far."""

    def on_progress(self) -> None:
        """Hear, several times in the time that the peer is granted, that it is not over yet."""


class StallTimeout:
    """Fires when the peer has taken nothing, for too long, of what was sent to it.

    What counts is what the peer acknowledged, where the platform tells; a kernel's buffer takes megabytes on behalf of
    a peer that reads nothing. It runs while something is outstanding or is going to be, then stops by itself.
    """

    __slots__ = ("_call", "_clock", "_fire", "_interval", "_output", "_seconds", "_since", "_taken")
    _LOOKS = 20
    """So often it looks in the time that it grants: it is at most a tenth of that late."""
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
        """Grant the peer `seconds` (0: for ever) to take some of `output`, then call `fire()`.

        It looks often enough for a time limit of `within` seconds as well.
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
        """Begin to look, where something was sent and it does not look already."""
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
            self._taken = None  # it counts from the first look at which there is something to take
        elif taken != self._taken:
            self._taken, self._since = taken, now
        if is_reset(transport) or (is_outstanding and self._is_over(now)):
            self._fire()
            return
        self._call = self._clock.callLater(self._interval, self._look, transport)
        self._output.on_progress()

    def _is_over(self, now: float) -> bool:
        return self._seconds > 0 and now - self._since >= self._seconds
