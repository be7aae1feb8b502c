"""The log of the times in which the engine is away."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger


class OutageLog:
    """Logs each reason once for each time that the engine is away, and that it is back.

    An engine that comes and goes, or has another reason each time, can't fill the log either.
    """

    log = Logger()
    QUIET = 10.0
    """Seconds in which no reason is told twice."""
    MOST = 10
    """Reasons that are told in this time, and those that are told of one outage."""

    def __init__(self, engine: str, clock: IReactorTime) -> None:
        """Tell of the engine of that name; `clock` measures the seconds."""
        self._engine = engine
        self._clock = clock
        self._of_this_outage: set[str] = set()
        self._recent: dict[str, float] = {}  # when each was told
        self._is_told_back = False
        self.reason = ""
        """Why it is away; empty as long as it is there, or was not tried yet."""

    def away(self, why: str) -> None:
        """Tell that the engine is away, or why it still is."""
        self.reason = why
        now = self._clock.seconds()
        self._recent = {each: told for each, told in self._recent.items() if now - told < self.QUIET}
        known = self._of_this_outage | self._recent.keys()
        if why in known or max(len(self._of_this_outage), len(self._recent)) >= self.MOST:
            return
        self._of_this_outage.add(why)
        self._recent[why] = now
        self._is_told_back = False
        self.log.warn(
            "The engine at {engine} is away: {why}. Until it is back, nobody new is let in",
            engine=self._engine, why=why, event="engine",
        )  # fmt: skip

    def back(self) -> None:
        """Tell that the engine is there, unless that is what the log says last."""
        self.reason = ""
        self._of_this_outage.clear()
        if not self._is_told_back:
            self._is_told_back = True
            self.log.info("Clients are counted at the engine {engine}", engine=self._engine, event="engine")
