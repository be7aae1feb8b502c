"""One run: the server, the crowd, the samples, and the end."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread

from tests.bench import peers
from tests.soak.crowd import Crowd, cast
from tests.soak.disk import Disk
from tests.soak.ending import check_descriptors, check_end, check_log, check_seats
from tests.soak.files import lay_out
from tests.soak.gauge import Gauge
from tests.soak.limits import BRIEF, USUAL
from tests.soak.stage import Stage
from tests.soak.waiting import wait_until

SEATS = 20
"""For every actor one and a few more: it is the throng that makes the server full."""
THREADS = 40
"""For actors that block, and for the disk of those that do not."""
BRIEFLY = 60.0
"""A run of fewer seconds has shorter limits, so that they ring in it at all."""
SAMPLES = 1000


@dataclass
class Run:
    """A server among its clients, and what it held."""

    seconds: float
    """As wished for, and in the end as it was."""
    seed: str
    stage: Stage
    disk: Disk
    gauge: Gauge
    log: Path
    peak: float = 0.0
    """Memory in MiB."""
    descriptors: int = 0
    """At the end."""
    is_over: bool = False
    """Whether it came to its own end."""

    async def act(self, reactor: Any) -> None:
        """From the first client to the end of the server."""
        reactor.suggestThreadPoolSize(THREADS)
        began = time.monotonic()
        looking = LoopingCall(self._look, began + self.seconds)
        looking.start(max(0.1, self.seconds / SAMPLES))
        await Crowd(reactor, self.stage, self.seconds, self.seed).perform(cast(self.stage, self.disk))
        looking.stop()
        self.seconds = time.monotonic() - began
        await deferToThread(self._end)
        self.is_over = True

    def _look(self, until: float) -> None:
        """Behind that time the last ones go home, which is no part of any slope."""
        if time.monotonic() < until:
            self.gauge.look()

    def _end(self) -> None:
        self._check(lambda: check_seats(self.stage))
        self._check(lambda: check_descriptors(self.gauge))
        self._check(lambda: self.gauge.check(self.seconds))
        self.peak, self.descriptors = self.gauge.peak(), self.gauge.descriptors()
        self._check(lambda: check_end(self.gauge.pid))
        self._check(lambda: check_log(self.log))

    def _check(self, check: Callable[[], None]) -> None:
        """The others are checked as well, whatever one finds."""
        try:
            check()
        except Exception as error:  # whatever it may raise is what was to be found
            self.stage.tally.wrong(f"at the end: {error or type(error).__name__}")


@contextmanager
def prepared(seconds: float, seed: str) -> Iterator[Run]:
    """The server with its files, before anybody comes; nothing is left of them at the end."""
    limits = BRIEF if seconds < BRIEFLY else USUAL
    with tempfile.TemporaryDirectory(prefix="chatfile-soak-") as name:
        scratch = Path(name)
        folder = scratch / "served"
        folder.mkdir()
        files, disk = lay_out(folder, Random(seed)), Disk(folder)
        with peers.chatfile(scratch, folder, f"--max-clients={SEATS}", *limits.options) as server:
            stage = Stage(server.port, SEATS, limits, files, scratch)
            yield Run(seconds, seed, stage, disk, _settled(server.pid, stage), next(scratch.glob("chatfile-*.log")))


def _settled(pid: int, stage: Stage) -> Gauge:
    """From the first client on, the reactor has opened all that it keeps; begin when that client has gone."""
    with stage.seated():
        present = Gauge(pid)
    wait_until(lambda: present.descriptors() < present.samples[0].descriptors, "the first client was kept")
    return Gauge(pid)
