"""The progress of transfers, their rate, and the time left: in bytes, bytes a second, and seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import accumulate

from chatfile.downloads import Stage, Step

_WINDOW = 5.0
"""Seconds over which a rate is measured: long enough to be steady, short enough to be true."""
_PAUSE = 0.1
"""Seconds between two samples, at least, and before there is a rate at all."""


class Meter:
    """Counts the bytes of a transfer that have arrived, out of `size`, and measures their rate."""

    def __init__(self, name: str, size: int, seconds: Callable[[], float]) -> None:
        """Count from 0 up to `size` bytes; `seconds` returns the time in seconds."""
        self.name = name
        self.size = size
        self.at = 0
        self.received = 0
        """The bytes that came since this transfer began, without those that were here before it was resumed."""
        self.step: Step | None = None
        self._seconds = seconds
        self._restart()

    def _restart(self) -> None:
        """Begin to measure the rate anew."""
        self._samples = deque([(self._seconds(), self.received)])

    def advance(self, count: int) -> None:
        """Count bytes that have just come."""
        self.at += count
        self.received += count
        if self._seconds() - self._samples[-1][0] >= _PAUSE:
            self.measure()

    def measure(self) -> None:
        """Take a sample. Called now and then, so that the rate is that of the last five seconds."""
        now = self._seconds()
        if now > self._samples[-1][0]:
            self._samples.append((now, self.received))
        while len(self._samples) > 1 and self._samples[1][0] <= now - _WINDOW:
            self._samples.popleft()

    @property
    def rate(self) -> float | None:
        """Return the rate in bytes a second, which falls where nothing comes; None where it is too early to tell."""
        began, before = self._samples[0]
        passed = self._seconds() - began
        return (self.received - before) / passed if passed >= _PAUSE else None

    @property
    def seconds_left(self) -> float | None:
        """Return the seconds left at the present rate; None where there is no rate, or it is 0."""
        rate = self.rate
        return max(self.size - self.at, 0) / rate if rate else None


class TransferMeter(Meter):
    """The meter of one file."""

    def __init__(self, name: str, seconds: Callable[[], float], total: TotalMeter | None = None) -> None:
        """Wait for the first step; bytes count for `total`, the meter of several files, too."""
        super().__init__(name, 0, seconds)
        self.resumed_from = 0
        self._total = total
        self._began = self._latest = 0.0

    @property
    def average_rate(self) -> float | None:
        """Return the bytes a second from the begin of receiving to the latest byte; None before there is one."""
        return self.received / (self._latest - self._began) if self._latest > self._began else None

    def stage(self, stage: Stage) -> None:
        """Follow the download, of which another step begins."""
        if stage.step is Step.RECEIVING:
            self.resumed_from = stage.at
            self._restart()
            self._began = self._latest = self._samples[0][0]
        self.step, self.at, self.size = stage.step, stage.at, stage.size
        if self._total is not None:
            self._total.follow(self)

    def advance(self, count: int) -> None:
        """Count bytes that have just come. After the last one, the file is being verified."""
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
        """Count up to the sum of `sizes`, in bytes, where an unknown one is negative."""
        known = [max(size, 0) for size in sizes]
        super().__init__("", sum(known), seconds)
        self.step = Step.RECEIVING
        self.files = len(sizes)
        self.done = 0
        """How many files are finished, whether they came or failed."""
        self.is_exact = known == list(sizes)
        """Whether all sizes are known."""
        self._starts = [0, *accumulate(known)]

    def begin(self, number: int) -> None:
        """Turn to the file with this number, from 0 on; those before it are finished."""
        self.done = number
        self.name = f"{number} of {self.files} files"
        self.at = max(self.at, self._starts[number])

    def follow(self, current: TransferMeter) -> None:
        """Take over the progress of `current`, the file under way, unless it is only being checked."""
        if current.step in (Step.RECEIVING, Step.VERIFYING):
            start, end = self._starts[self.done], self._starts[min(self.done + 1, self.files)]
            self.at = min(start + current.at, end)
