"""One seed: every choice that is made, the time at which everything happens, and the trace of all that."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer


class VirtualCall:
    """A call that waits for its time; see `IDelayedCall`."""

    __slots__ = ("act", "is_cancelled", "is_made", "time")

    def __init__(self, time: float, act: Callable[[], object]) -> None:
        self.time = time
        self.act = act
        self.is_made = self.is_cancelled = False

    def getTime(self) -> float:
        return self.time

    def active(self) -> bool:
        return not (self.is_made or self.is_cancelled)

    def cancel(self) -> None:
        if self.is_cancelled:
            raise AlreadyCancelled
        if self.is_made:
            raise AlreadyCalled
        self.is_cancelled = True


@implementer(IReactorTime)
class VirtualClock:
    """Time that passes from one call to the next: `task.Clock` sorts all of them for each."""

    def __init__(self) -> None:
        self._now = 0.0
        self._count = 0
        self._calls: list[tuple[float, int, VirtualCall]] = []

    def seconds(self) -> float:
        return self._now

    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any, **kw: Any) -> VirtualCall:  # noqa: A002
        assert delay >= 0
        act = partial(callable, *args, **kw) if args or kw else callable
        call = VirtualCall(self._now + delay, act)
        self._count += 1  # of two at one time, the first comes first
        heappush(self._calls, (call.time, self._count, call))
        return call

    def getDelayedCalls(self) -> list[VirtualCall]:
        return [call for _, _, call in self._calls if call.active()]

    def make_next(self, until: float) -> bool:
        """Make the next call, at its time; False where none is due by `until`."""
        while self._calls and self._calls[0][0] <= until:
            time, _, call = heappop(self._calls)
            if not call.is_cancelled:
                self._now, call.is_made = time, True
                call.act()
                return True
        return False


class Event(NamedTuple):
    """Something that happened, at a time in virtual seconds."""

    at: float
    what: str
    details: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.at:9.4f}  {self.what}  {' '.join(map(str, self.details))}"


class Schedule:
    """Whatever happens in a world is a call of its clock, at a time that is drawn: so the seed decides the order."""

    MOST = 30_000
    """Calls after which a world is taken for one that never comes to rest."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.clock = VirtualClock()
        self.trace: list[Event] = []
        self.calls = 0

    @property
    def now(self) -> float:
        return self.clock.seconds()

    def note(self, what: str, *details: Any) -> None:
        self.trace.append(Event(self.clock.seconds(), what, details))

    def note_bytes(self, what: str, who: str, data: bytes) -> None:
        self.note(what, who, len(data), f"{zlib.crc32(data):08x}")

    def chance(self, of: float) -> bool:
        return self.random.random() < of

    def soon(self, most: float) -> float:
        """Seconds up to `most`, mostly a few of them."""
        return self.random.random() ** 3 * most

    def later(self, seconds: float, call: Callable[..., Any], *arguments: Any) -> IDelayedCall:
        return self.clock.callLater(seconds, call, *arguments)

    def sleep(self, seconds: float) -> Deferred[None]:
        return deferLater(self.clock, seconds)

    def run(self, until: float, after_each: Callable[[], None]) -> None:
        """Let happen what is due by the time of `until`; stop when nothing is."""
        while self.clock.make_next(until):
            self.calls += 1
            assert self.calls < self.MOST, "the world does not come to rest"
            after_each()
