"""Time limits of a connection: a deadline that is cheap to move, and a watch over what the peer takes.

The clock is always given: the reactor, or a `twisted.internet.task.Clock`. The reactor's own is the wall clock, until
`use_monotonic_clock` has replaced it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from chatfile.transports import acknowledged_bytes, is_reset, outstanding_bytes

_AT_ONCE = 1e-6
"""Seconds: a deadline that has come, where 0 would mean that there is none."""


def use_monotonic_clock(reactor: Any) -> None:
    """Let `reactor` measure by a clock that nobody sets; to be called at the start of a program.

    Twisted's own `reactor.seconds` is the wall clock: when somebody sets that back an hour, every timer of the process
    is an hour late; set forward, all ring at once. After this call `reactor.seconds()` tells no time of day any more.
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


class Alarm:
    """Rings once, at the time that it was last set to.

    Setting it to a later time costs a comparison: the timer that is under way is left to find out.
    """

    __slots__ = ("_clock", "_due", "_left", "_ring", "_timer")

    def __init__(self, clock: IReactorTime, ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._due: float | None = None
        self._timer: IDelayedCall | None = None
        self._left: float | None = None

    @property
    def is_set(self) -> bool:
        """Whether it is going to ring."""
        return self._due is not None

    def set(self, seconds: float) -> None:
        """Ring `seconds` from now, and not at any time that was set before; 0 means never."""
        self._left = None
        if not seconds:
            self._due = None
            return
        due = self._due = self._clock.seconds() + seconds
        if self._timer is not None and self._timer.getTime() <= due:
            return
        self.stop()
        self._due = due
        self._timer = self._clock.callLater(seconds, self._wake)

    def stop(self) -> None:
        """Don't ring, and leave no timer behind."""
        self._due = self._left = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def pause(self) -> None:
        """Stand still: what remains until it rings is kept for `resume`."""
        if self._due is not None:
            left = max(self._due - self._clock.seconds(), _AT_ONCE)
            self.stop()
            self._left = left

    def resume(self) -> None:
        """Go on after a `pause`, if there was one and it was not set since."""
        if self._left is not None:
            self.set(self._left)

    def _wake(self) -> None:
        self._timer = None
        if self._due is None:
            return
        early = self._due - self._clock.seconds()
        if early > 0:
            self._timer = self._clock.callLater(early, self._wake)
        else:
            self._due = None
            self._ring()


class StallWatch:
    """Notices that the peer takes nothing of what was sent to it.

    What counts is what the peer acknowledged, where the platform tells; a kernel's buffer takes megabytes on behalf of
    a peer that reads nothing. The watch runs while something is outstanding or is going to be, then stops by itself.
    """

    __slots__ = (
        "_busy", "_clock", "_handed", "_interval", "_moving", "_seconds", "_since", "_stalled", "_taken", "_timer",
        "_waiting",
    )  # fmt: skip
    _LOOKS = 20
    """So often it looks in the time that it grants: it is at most a tenth of that late."""
    _GRANTED_IF_NEVER = 60.0

    def __init__(
        self,
        clock: IReactorTime,
        seconds: float,
        stalled: Callable[[], None],
        moving: Callable[[], None],
        handed: Callable[[], int],
        waiting: Callable[[], bool],
        busy: Callable[[], bool] = lambda: False,
        within: float = 0.0,
    ) -> None:
        """Grant the peer `seconds` (0: for ever) before `stalled()` is called; `moving()` is called until then.

        `waiting` tells whether the transport still has something of ours to write, and `handed` how many bytes it was
        given, which must do where the system does not tell what the peer has acknowledged. While `busy()`, more is
        going to be sent, though the peer may have taken everything so far. It looks often enough for a time limit of
        `within` seconds as well.
        """
        self._clock = clock
        self._seconds = seconds
        self._stalled = stalled
        self._moving = moving
        self._handed = handed
        self._waiting = waiting
        self._busy = busy
        limits = [limit for limit in (seconds, within) if limit]
        self._interval = min(limits, default=self._GRANTED_IF_NEVER) / self._LOOKS
        self._timer: IDelayedCall | None = None
        self._taken: object = None
        self._since = 0.0

    def start(self, transport: object) -> None:
        """Something was sent: watch, if that is not so already."""
        if self._timer is None:
            self._taken = self._measure(transport)
            self._since = self._clock.seconds()
            self._timer = self._clock.callLater(self._interval, self._look, transport)

    def stop(self) -> None:
        """Watch no more, and leave no timer behind."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _measure(self, transport: object) -> object:
        acknowledged = acknowledged_bytes(transport)
        return (outstanding_bytes(transport), self._handed()) if acknowledged is None else acknowledged

    def _look(self, transport: object) -> None:
        self._timer = None
        # What waits above the system (TLS before its handshake, say) is not in the system's count.
        is_outstanding = self._waiting() or bool(outstanding_bytes(transport))
        if not is_outstanding and not self._busy():
            return
        now, taken = self._clock.seconds(), self._measure(transport)
        if not is_outstanding:
            self._taken = None  # it counts from the first look at which there is something to take
        elif taken != self._taken:
            self._taken, self._since = taken, now
        if is_reset(transport) or (is_outstanding and self._is_over(now)):
            self._stalled()
            return
        self._timer = self._clock.callLater(self._interval, self._look, transport)
        self._moving()

    def _is_over(self, now: float) -> bool:
        return self._seconds > 0 and now - self._since >= self._seconds
