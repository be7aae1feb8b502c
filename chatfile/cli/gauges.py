"""How far a transfer is, how fast it goes, and how long it will still take."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import accumulate

from chatfile.downloads import Stage, Step

_WINDOW = 5.0
"""Seconds over which a rate is measured: long enough to be steady, short enough to be true."""


class Gauge:
    """One transfer; sizes in bytes, times from `seconds`."""

    def __init__(self, name: str, seconds: Callable[[], float], *, part_of: Overall | None = None) -> None:
        """Nothing came yet."""
        self.name = name
        self.size = 0
        self.at = 0
        self.resumed_from = 0
        self.step: Step | None = None
        self._part_of = part_of
        self._seconds = seconds
        self._came = 0
        self._samples = deque([(seconds(), 0)])

    def stage(self, stage: Stage) -> None:
        """A step of the download begins."""
        if stage.step is Step.RECEIVING:
            self.resumed_from = stage.at
            self._samples = deque([(self._seconds(), self._came)])
        self.step, self.at, self.size = stage.step, stage.at, stage.size

    def came(self, count: int) -> None:
        """So many more bytes came."""
        self.at += count
        self._came += count
        if self.step is Step.RECEIVING and self.at == self.size:
            self.step = Step.VERIFYING
        if self._part_of is not None:
            self._part_of.came(count)

    def measure(self) -> None:
        """Look at the clock; called now and then, it makes the rate that of the last seconds."""
        now = self._seconds()
        if now > self._samples[-1][0]:
            self._samples.append((now, self._came))
        while len(self._samples) > 2 and self._samples[1][0] <= now - _WINDOW:  # noqa: PLR2004 -- two make a rate
            self._samples.popleft()

    @property
    def rate(self) -> float | None:
        """Bytes a second; None where it is too early to tell."""
        (began, before), (ended, after) = self._samples[0], self._samples[-1]
        return (after - before) / (ended - began) if ended > began else None

    @property
    def seconds_left(self) -> float | None:
        """As long as it goes on like this; None where nobody can tell."""
        return max(self.size - self.at, 0) / self.rate if self.rate else None


class Overall(Gauge):
    """Several transfers, one after the other."""

    def __init__(self, sizes: Sequence[int], seconds: Callable[[], float]) -> None:
        """Of files of these sizes."""
        super().__init__("", seconds)
        self.step = Step.RECEIVING
        self.size = sum(sizes)
        self.files = len(sizes)
        self.done = 0
        """How many are over, whether they came or not."""
        self._before = [0, *accumulate(sizes)]

    def begin(self, number: int) -> None:
        """It is the turn of this one, counted from 0."""
        self.done = number
        self.name = f"{number} of {self.files} files"

    def follow(self, current: Gauge | None) -> None:
        """Be as far as the `current` one is; where there is none, or it is only checked, stay."""
        begin, end = self._before[self.done], self._before[min(self.done + 1, self.files)]
        if current is not None and current.step in (Step.RECEIVING, Step.VERIFYING):
            self.at = min(begin + current.at, end)
        self.at = max(self.at, begin)
