"""The rate at which files were sent lately: a bounded record for the plot of the page."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import pairwise

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class RecentRates:
    """Notes every few seconds how many bytes were sent so far, and keeps that for ten minutes."""

    INTERVAL = 5.0
    """Seconds."""
    SPAN = 600.0
    """Seconds."""

    def __init__(self, clock: IReactorTime, sent_bytes: Callable[[], int]) -> None:
        """Note what `sent_bytes()` returns, the count since the start, from `start` on."""
        self._clock = clock
        self._sent_bytes = sent_bytes
        self._noted: deque[tuple[float, int]] = deque(maxlen=int(self.SPAN / self.INTERVAL) + 1)
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """Begin to note."""
        self._noted.append((self._clock.seconds(), self._sent_bytes()))
        self._call = self._clock.callLater(self.INTERVAL, self.start)

    def stop(self) -> None:
        """Note no more, and leave no call with the reactor."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def rates(self) -> list[tuple[float, float]]:
        """Return, from the oldest to the latest, how many seconds ago it was, and the bytes a second up to then."""
        now = self._clock.seconds()
        return [
            (now - then, (sent - sent_before) / (then - before))
            for (before, sent_before), (then, sent) in pairwise(self._noted)
            if then > before and now - then <= self.SPAN
        ]
