"""The list of benchmarks: their names, what they compare, and what is wished for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.measure import Figures
from tests.bench.session import Session

Measure = Callable[[Session], Figures]


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit of the median: of the ratio ours / theirs, or in `unit` where there is no peer."""

    sign: str
    limit: float
    unit: str = ""

    def is_met(self, value: float) -> bool:
        """Whether a median is on the right side."""
        return value >= self.limit if self.sign == "≥" else value <= self.limit

    def __str__(self) -> str:
        return f"{self.sign} {self.limit:g} {self.unit}".rstrip()


def at_least(limit: float, unit: str = "") -> Goal:
    """More is better."""
    return Goal("≥", limit, unit)


def at_most(limit: float, unit: str = "") -> Goal:
    """Less is better."""
    return Goal("≤", limit, unit)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One row of the table."""

    name: str
    title: str
    goal: Goal | None
    """None where the figure is only told."""
    measure: Measure


BENCHMARKS: dict[str, Benchmark] = {}
"""By name; filled as the modules of the subjects are imported."""


def benchmark(name: str, title: str, goal: Goal | None) -> Callable[[Measure], Measure]:
    """Enter a function into the list; `title` says what is measured against what."""

    def enter(measure: Measure) -> Measure:
        BENCHMARKS[name] = Benchmark(name, title, goal, measure)
        return measure

    return enter
