"""What the server's process holds, sampled: memory, descriptors and threads, and how steeply they rise."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from chatfile.disk.disk import LEAST
from tests.bench.measure import peak_bytes, resident_bytes
from tests.bench.peers import Peer
from tests.soak.stage import Stage
from tests.soak.waiting import wait_until

MIB = 1 << 20
HOUR = 3600.0
LARGEST_GROWTH = 24.0
"""MiB, from before the first client on: buffers for all of them, and the threads that read and hash."""
STEEPEST = 8.0
"""MiB an hour; a hundred bytes lost with each connection would be more."""
LONG = 1000.0
"""Seconds of samples from which on a slope says something."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process held at a time of the monotonic clock."""

    time: float
    memory: float
    """In MiB."""
    descriptors: int
    threads: int


class Gauge:
    """The samples of one process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.samples: list[Sample] = []
        self.look()

    def look(self) -> None:
        try:
            now = Sample(time.monotonic(), resident_bytes(self.pid) / MIB, self.descriptors(), self.threads())
        except (FileNotFoundError, ProcessLookupError):
            return  # it has just been killed
        self.samples.append(now)

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/task"))

    @property
    def most_threads(self) -> int:
        """Of all samples."""
        return max(sample.threads for sample in self.samples)

    def peak(self) -> float:
        """The most memory that it ever had, in MiB."""
        return peak_bytes(self.pid) / MIB

    @property
    def seconds(self) -> float:
        """From the first sample to the last."""
        return self.samples[-1].time - self.samples[0].time

    def check(self, clients: int) -> None:
        """Bounded, and behind a long run level as well."""
        assert self.most_threads <= _allowed_threads(clients), f"{self.most_threads} threads"
        grown = self.peak() - self.samples[0].memory
        assert grown <= LARGEST_GROWTH, f"memory grew by {grown:.1f} MiB"
        if self.seconds >= LONG:
            assert self.memory_slope() <= STEEPEST, f"memory grows by {self.memory_slope():.1f} MiB an hour"

    def memory_slope(self) -> float:
        """MiB an hour, over the second half: in the first, caches fill."""
        return slope([(sample.time, sample.memory) for sample in self._second_half()])

    def descriptor_slope(self) -> float:
        """Descriptors an hour, likewise."""
        return slope([(sample.time, sample.descriptors) for sample in self._second_half()])

    def _second_half(self) -> list[Sample]:
        return self.samples[len(self.samples) // 2 :]


def settled(stage: Stage, server: Peer) -> Gauge:
    """From its first client on, a reactor has opened all that it keeps; begin when that client has gone."""
    client, _ = stage.let_in(server.port)
    with client:
        present = Gauge(server.pid)
    wait_until(lambda: present.descriptors() < present.samples[0].descriptors, "the first client was kept")
    return Gauge(server.pid)


def _allowed_threads(clients: int) -> int:
    """The reactor's, those of the lanes for listings and trees, and those for files and for digests."""
    return 2 + 4 + 4 + 2 * max(clients, LEAST)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """By least squares, an hour; 0 where there are too few points."""
    if len(points) < 2:
        return 0.0
    middle = [sum(column) / len(points) for column in zip(*points, strict=True)]
    spread = sum((x - middle[0]) ** 2 for x, _ in points)
    return HOUR * sum((x - middle[0]) * (y - middle[1]) for x, y in points) / spread
