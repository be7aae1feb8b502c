"""The times that the engine takes for its answers, counted in steps, as a histogram shows them."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

STEPS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Seconds."""


class AnswerHistogram:
    """Counts answers by the time that they took."""

    def __init__(self) -> None:
        """Begin without an answer."""
        self.total = 0.0
        """Seconds that all of them took together."""
        self._counts = [0] * (len(STEPS) + 1)

    def count(self, seconds: float) -> None:
        """Count an answer that took so many `seconds`."""
        self.total += seconds
        self._counts[bisect_left(STEPS, seconds)] += 1

    def cumulative(self) -> list[tuple[str, int]]:
        """Return how many took at most so many seconds, from few to many; the last is `+Inf`."""
        return list(zip([*map(str, STEPS), "+Inf"], accumulate(self._counts), strict=True))
