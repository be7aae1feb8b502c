"""The lag of the reactor: how late it turns to what is due, because something keeps it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from chatfile.metrics.sources import Fact


class ReactorLag:
    """Looks a few times a second at how late its own timer fires.

    Nobody can ask a reactor that stands still, so it keeps the worst of the last minute as well, for an alarm.
    """

    INTERVAL = 0.25
    """Seconds: what keeps the reactor is told as up to so much shorter than it was."""
    WINDOW = 60.0
    """Seconds for which the worst lag is kept; no shorter than from one scrape to the next."""

    def __init__(self, clock: IReactorTime) -> None:
        """Measure the reactor `clock`, from `start` on."""
        self.latest = 0.0
        """Seconds."""
        self._clock = clock
        self._due = 0.0
        self._call: IDelayedCall | None = None
        self._worst: deque[tuple[float, float]] = deque()  # when, how late; the worst first

    @property
    def worst(self) -> float:
        """Return the worst lag of the last minute, in seconds."""
        self._forget()
        return self._worst[0][1] if self._worst else 0.0

    def start(self) -> None:
        """Begin to look."""
        self._due = self._clock.seconds() + self.INTERVAL
        self._call = self._clock.callLater(self.INTERVAL, self._look)

    def stop(self) -> None:
        """Look no more, and leave no call with the reactor."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        now = self._clock.seconds()
        self.latest = max(now - self._due, 0.0)
        self._forget()
        while self._worst and self._worst[-1][1] <= self.latest:
            self._worst.pop()
        self._worst.append((now, self.latest))
        self.start()

    def _forget(self) -> None:
        before = self._clock.seconds() - self.WINDOW
        while self._worst and self._worst[0][0] < before:
            self._worst.popleft()

    def families(self) -> Iterator[Metric]:
        """See `MetricSource`."""
        yield GaugeMetricFamily(
            "chatfile_reactor_lag_seconds", "How late the reactor's latest timer fired.", self.latest
        )
        yield GaugeMetricFamily(
            "chatfile_reactor_lag_max_seconds", "The worst such lag of the last minute.", self.worst
        )

    def facts(self) -> Iterator[Fact]:
        """See `MetricSource`."""
        yield "Worst lag lately", f"{self.worst * 1000:,.1f} ms"
