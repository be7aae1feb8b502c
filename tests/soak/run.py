"""One run: the server, the crowd, the samples, and the end."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
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

SEATS = 16
"""As many as there are actors that take one: it is the throng that makes the server full."""
THREADS = 40
"""For actors that block, and for the disk of those that do not."""
BRIEFLY = 60.0
"""A run of fewer seconds has shorter limits, so that they ring in it at all."""
SAMPLES = 1000


@dataclass
class Run:
    """A server among its clients, and what it held."""

    seconds: float
    seed: str
    stage: Stage = field(init=False)
    gauge: Gauge = field(init=False)
    peak: float = 0.0
    """Memory in MiB."""
    descriptors: int = 0
    """At the end."""

    async def run(self, reactor: Any) -> None:
        """From the start of the server to its end."""
        reactor.suggestThreadPoolSize(THREADS)
        limits = BRIEF if self.seconds < BRIEFLY else USUAL
        with tempfile.TemporaryDirectory(prefix="chatfile-soak-") as scratch:
            folder = Path(scratch, "served")
            folder.mkdir()
            files, disk = lay_out(folder, Random(self.seed)), Disk(folder)
            with peers.chatfile(Path(scratch), folder, f"--max-clients={SEATS}", *limits.options) as server:
                self.gauge = Gauge(server.pid)
                self.stage = Stage(server.port, SEATS, limits, files, Path(scratch))
                await self._act(reactor, disk)
                await deferToThread(self._end, server.pid, Path(scratch))

    async def _act(self, reactor: Any, disk: Disk) -> None:
        began = time.monotonic()
        looking = LoopingCall(self.gauge.look)
        looking.start(max(0.1, self.seconds / SAMPLES))
        await Crowd(reactor, self.stage, self.seconds, self.seed).perform(cast(self.stage, disk))
        looking.stop()
        self.seconds = time.monotonic() - began

    def _end(self, pid: int, scratch: Path) -> None:
        log = next(scratch.glob("chatfile-*.log"))
        self._check(lambda: check_seats(self.stage))
        self._check(lambda: check_descriptors(self.gauge))
        self._check(lambda: self.gauge.check(self.seconds))
        self.peak, self.descriptors = self.gauge.peak(), self.gauge.descriptors()
        self._check(lambda: check_end(pid))
        self._check(lambda: check_log(log))

    def _check(self, check: Callable[[], None]) -> None:
        """The others are checked as well, whatever one finds."""
        try:
            check()
        except Exception as error:  # whatever it may raise is what was to be found
            self.stage.tally.wrong(f"at the end: {error or type(error).__name__}")
