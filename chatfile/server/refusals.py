"""Refusals in the log: each one, until there are so many that they would be all that the log holds."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatfile.clocks import Alarm


class RefusalLog:
    """Tells of the first few refusals in some seconds one by one, and of the others by their number."""

    log = Logger()
    SECONDS = 10.0
    ONE_BY_ONE = 10

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._began = -self.SECONDS
        self._count = 0
        self._summary = Alarm(clock, self.sum_up)

    def refused(self, address: str, why: str) -> None:
        """The client at `address` was refused."""
        now = self._clock.seconds()
        if now - self._began >= self.SECONDS:
            self.sum_up()
            self._began = now
        self._count += 1
        if self._count <= self.ONE_BY_ONE:
            self.log.info("{address} is refused: {why}", address=address, why=why, count=1, event="refused")
        elif not self._summary.is_set:
            self._summary.set(self._began + self.SECONDS - now)

    def sum_up(self) -> None:
        """Tell of those that were not told of one by one, now."""
        self._summary.stop()
        more, self._count = max(self._count - self.ONE_BY_ONE, 0), 0
        if more:
            self.log.info("{count} more were refused", count=more, event="refused")
