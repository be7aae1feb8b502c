"""How far a transfer is, how fast it goes, and how long it will still take: in bytes, and bytes a second."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import accumulate

from chatfile.downloads import Stage, Step

_WINDOW = 5.0
"""Seconds over which a rate is measured: long enough to be steady, short enough to be true."""
_PAUSE = 0.1
"""Seconds between two looks at the clock that are kept, and before which nobody can tell a rate."""


class Meter:
    """Counts the bytes that are here, of so many, and measures the rate at which they come."""

    def __init__(self, name: str, size: int, seconds: Callable[[], float]) -> None:
        """Count from 0; `seconds` is the clock."""
        self.name = name
        self.size = size
        self.at = 0
        self.received = 0
        """Of the bytes that are here, those that came since it began: what was resumed was here before."""
        self.step: Step | None = None
        self._seconds = seconds
        self._restart()

    def _restart(self) -> None:
        """Measure from now on."""
        self._samples = deque([(self._seconds(), self.received)])

    def advance(self, count: int) -> None:
        """Count so many bytes that came."""
        self.at += count
        self.received += count
        if self._seconds() - self._samples[-1][0] >= _PAUSE:
            self.measure()

    def measure(self) -> None:
        """Look at the clock; called now and then, it makes the rate that of the last seconds."""
        now = self._seconds()
        if now > self._samples[-1][0]:
            self._samples.append((now, self.received))
        while len(self._samples) > 1 and self._samples[1][0] <= now - _WINDOW:
            self._samples.popleft()

    @property
    def rate(self) -> float | None:
        """Return the rate, ever less where nothing comes; None where it is too early to tell."""
        began, before = self._samples[0]
        passed = self._seconds() - began
        return (self.received - before) / passed if passed >= _PAUSE else None

    @property
    def seconds_left(self) -> float | None:
        """Return the seconds that are left at this rate; None where nobody can tell."""
        rate = self.rate
        return max(self.size - self.at, 0) / rate if rate else None


class TransferMeter(Meter):
    """The meter of one file."""

    def __init__(self, name: str, seconds: Callable[[], float], total: TotalMeter | None = None) -> None:
        """Wait for the first step; what comes counts for the `total` of several files, too."""
        super().__init__(name, 0, seconds)
        self.resumed_from = 0
        self._total = total
        self._began = self._latest = 0.0

    @property
    def average_rate(self) -> float | None:
        """Return the rate from the first byte that was waited for to the latest one; None before there is one."""
        return self.received / (self._latest - self._began) if self._latest > self._began else None

    def stage(self, stage: Stage) -> None:
        """Note which step of the download begins, and how far it is."""
        if stage.step is Step.RECEIVING:
            self.resumed_from = stage.at
            self._restart()
            self._began = self._latest = self._samples[0][0]
        self.step, self.at, self.size = stage.step, stage.at, stage.size
        if self._total is not None:
            self._total.follow(self)

    def advance(self, count: int) -> None:
        """See `Meter`; the last byte is followed by the digest."""
        super().advance(count)
        self._latest = self._seconds()
        if self.step is Step.RECEIVING and self.at == self.size:
            self.step = Step.VERIFYING
        if self._total is not None:
            self._total.advance(count)
            self._total.follow(self)


class TotalMeter(Meter):
    """The meter of several files, one after the other."""

    def __init__(self, sizes: Sequence[int], seconds: Callable[[], float]) -> None:
        """Count up to the sum of the sizes; one that is not known is negative."""
        known = [max(size, 0) for size in sizes]
        super().__init__("", sum(known), seconds)
        self.step = Step.RECEIVING
        self.files = len(sizes)
        self.done = 0
        """How many files are over, whether they came or not."""
        self.is_exact = known == list(sizes)
        """Whether all sizes are known."""
        self._starts = [0, *accumulate(known)]

    def begin(self, number: int) -> None:
        """Turn to the file with this number, from 0 on; those before it are over."""
        self.done = number
        self.name = f"{number} of {self.files} files"
        self.at = max(self.at, self._starts[number])

    def follow(self, current: TransferMeter) -> None:
        """Be as far as `current` is, the file whose turn it is; not while it is only checked."""
        if current.step in (Step.RECEIVING, Step.VERIFYING):
            start, end = self._starts[self.done], self._starts[min(self.done + 1, self.files)]
            self.at = min(start + current.at, end)
