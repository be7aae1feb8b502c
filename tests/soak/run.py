"""One run: the servers, the crowds, the samples, and the end."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import gatherResults
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread

from tests.soak.crowd import Crowd
from tests.soak.ending import check_descriptors, check_end, check_log, check_seats
from tests.soak.limits import BRIEF, USUAL
from tests.soak.scenes import Scene, lay_out_all, possible

THREADS = 100
"""For actors that block, and for the disk of those that do not."""
BRIEFLY = 60.0
"""A run of fewer seconds has shorter limits, so that they ring in it at all."""
SAMPLES = 1000


@dataclass
class Held:
    """What a process had in the end."""

    peak: float
    """Memory in MiB, the most that it ever had."""
    descriptors: int


@dataclass
class Run:
    """Servers among their clients, and what they held."""

    seconds: float
    """As wished for, and in the end as it was."""
    seed: str
    scenes: list[Scene]
    held: dict[int, Held] = field(default_factory=dict)
    """By process."""
    is_over: bool = False
    """Whether it came to its own end."""

    async def act(self, reactor: Any) -> None:
        """From the first client to the end of the servers."""
        reactor.suggestThreadPoolSize(THREADS)
        began = time.monotonic()
        looking = LoopingCall(self._look, began + self.seconds)
        looking.start(max(0.1, self.seconds / SAMPLES))
        await gatherResults(
            Crowd(reactor, scene.stage, self.seconds, f"{self.seed} {scene.name}").perform(scene.actors)
            for scene in self.scenes
        )
        looking.stop()
        self.seconds = time.monotonic() - began
        for scene in self.scenes:
            await deferToThread(self._end, scene)
        self.is_over = True

    def _look(self, until: float) -> None:
        """Behind that time the last ones go home, which is no part of any slope."""
        if time.monotonic() < until:
            for scene in self.scenes:
                for gauge in scene.gauges:
                    gauge.look()

    def _end(self, scene: Scene) -> None:
        """The others are checked as well, whatever one finds."""
        _check(scene, check_seats, scene.stage)
        for gauge in scene.gauges:
            _check(scene, check_descriptors, gauge)
            _check(scene, gauge.check, scene.stage.seats)
            self.held[gauge.pid] = Held(gauge.peak(), gauge.descriptors())
            _check(scene, check_end, gauge.pid)
        for log in scene.logs:
            _check(scene, check_log, log)

    @property
    def wrongs(self) -> list[str]:
        """Every broken promise, and in which scene."""
        return [f"{scene.name}: {wrong}" for scene in self.scenes for wrong in scene.stage.tally.wrongs]


def _check(scene: Scene, check: Callable[..., None], *arguments: object) -> None:
    try:
        check(*arguments)
    except Exception as error:  # whatever it may raise is what was to be found
        scene.stage.tally.wrong(f"at the end: {error or type(error).__name__}")


@contextmanager
def prepared(seconds: float, seed: str) -> Iterator[Run]:
    """The servers with their files, before anybody comes; nothing is left of them at the end."""
    limits = BRIEF if seconds < BRIEFLY else USUAL
    with tempfile.TemporaryDirectory(prefix="chatfile-soak-") as name, ExitStack() as stack:
        shelf = lay_out_all(Path(name, "served"), Random(seed))
        run = Run(seconds, seed, [])
        for play in possible():
            scratch = Path(name, play.__name__)
            scratch.mkdir()
            run.scenes.append(stack.enter_context(play(scratch, shelf, limits)))
        yield run
