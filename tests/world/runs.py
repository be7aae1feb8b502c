"""Runs worlds, one after the other: what they share in place of the system, and what they must not leave behind."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogBeginner, globalLogPublisher

from chatfile import fdio, paths, repository, timeouts
from chatfile.digests import Digests
from chatfile.digests import digests as digests_module
from chatfile.downloads import ahead, manifest
from chatfile.partfile import names, opening, part, present, saving, spelling, together
from chatfile.receiving import buffered, incoming_file
from chatfile.sending import copying, memory
from chatfile.server import pacing, small_files, timers, waiting
from tests.support.leftovers import open_descriptors
from tests.support.torture import Seam
from tests.support.wires import let_the_system_tell
from tests.world.plan import PIECE, SMALL
from tests.world.schedule import Event, Schedule
from tests.world.world import World

MODULES = (
    repository, small_files, digests_module, fdio, paths, copying, names, opening, part, present, saving, spelling,
    together, incoming_file, manifest,
)  # fmt: skip
"""Those whose calls to the system may fail."""
MEMORY = "/dev/shm"
"""Where files are fast, and the same on every machine."""


class Surroundings:
    """What modules see of the system beside their files: the time, and what is in memory."""

    def __init__(self) -> None:
        self.schedule = Schedule(0)

    def monotonic(self) -> float:
        return self.schedule.now

    def sleep(self, seconds: float) -> None:
        """In a thread, which nobody waits for."""

    def read_cached(self, descriptor: int, buffer: memoryview, offset: int) -> int:
        return 0 if self.schedule.chance(0.4) else os.preadv(descriptor, [buffer], offset)


class Log:
    """The faults that were logged, or that nobody could be told of."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.cuts: list[str] = []

    def clear(self) -> None:
        self.faults, self.cuts = [], []

    def hear(self, event: LogEvent) -> None:
        if event.get("event") == "cut":
            self.cuts.append(formatEvent(event))
        elif event.get("log_level") in (LogLevel.error, LogLevel.critical):
            failure = event.get("log_failure")
            self.faults.append(f"{formatEvent(event)}\n{failure.getTraceback() if failure else ''}")

    def hear_unraisable(self, unraisable: Any) -> None:
        self.faults.append(f"{unraisable.err_msg} {unraisable.exc_value!r} in {unraisable.object!r}")


class Failed(Exception):
    """The world of a seed, in which a promise was broken."""

    def __init__(self, seed: int, world: World, error: BaseException) -> None:
        super().__init__(f"seed {seed}: {type(error).__name__}: {error}\npython -m tests.world --seed {seed}")
        self.seed = seed
        self.plan = world.plan
        self.trace = world.schedule.trace


class Worlds:
    """Makes one world after the other."""

    def __init__(self, seam: Seam, surroundings: Surroundings, log: Log) -> None:
        self._seam = seam
        self._surroundings = surroundings
        self._log = log
        self._has_failed = False
        self._folder = ""

    def forget_failed(self) -> None:
        """What a world leaves that was broken off awakes at its end once more, and has to be collected again."""
        self._surroundings.schedule = Schedule(0)
        for _ in range(4 * self._has_failed):
            gc.collect()
        for number, what in open_descriptors("self").items():
            if self._has_failed and what.startswith(self._folder):
                os.close(int(number))
        self._has_failed = False
        self._log.clear()

    def run(self, seed: int) -> list[Event]:
        """Return the trace of the world of that seed. Raises `Failed`."""
        self.forget_failed()
        self._folder = folder = tempfile.mkdtemp(dir=MEMORY if os.path.isdir(MEMORY) else None)
        before = len(open_descriptors("self"))
        world = World(seed, Path(folder), self._seam)
        self._surroundings.schedule = world.schedule
        try:
            world.run()
            gc.collect()  # an error that nobody took is logged then
            self._check_what_is_left(world, len(open_descriptors("self")) - before)
        except Exception as error:
            self._has_failed = True
            raise Failed(seed, world, error) from error
        finally:
            self._seam.rest()
            shutil.rmtree(folder)
        return world.schedule.trace

    def _check_what_is_left(self, world: World, descriptors: int) -> None:
        plan, promises = world.plan, world.promises
        promises.hold(not self._log.faults, "no faults of its own", "\n".join(self._log.faults))
        may_cut = plan.server_disk.is_bad or plan.changes > 0
        promises.hold(may_cut or not self._log.cuts, "exact", self._log.cuts)
        promises.hold(descriptors == 0, "leaves nothing behind", f"{descriptors} descriptors")
        promises.check()


def discard_log() -> None:
    """Until it has somewhere to go, the log is kept in memory, with everything that its events speak of."""
    globalLogBeginner.beginLoggingTo([], discardBuffer=True, redirectStandardIO=False)


@contextmanager
def worlds() -> Iterator[Worlds]:
    """What all worlds need in place of the system, until the end of the context."""
    from twisted.internet import reactor  # `connect` looks at it: it is there before descriptors are counted

    assert reactor is not None
    surroundings, log, seam = Surroundings(), Log(), Seam()
    made = Worlds(seam, surroundings, log)
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        _replace_the_system(patch, seam, surroundings)
        patch.setattr(sys, "unraisablehook", log.hear_unraisable)
        globalLogPublisher.addObserver(log.hear)
        stack.callback(globalLogPublisher.removeObserver, log.hear)
        gc.collect()
        gc.freeze()  # what is there already is not looked at again
        gc.disable()  # when it comes must not depend on what ran before
        stack.callback(gc.enable)
        stack.callback(made.forget_failed)
        yield made


def _replace_the_system(patch: pytest.MonkeyPatch, seam: Seam, surroundings: Surroundings) -> None:
    seam.install(patch, *MODULES)
    let_the_system_tell(patch)
    for module in (timers, timeouts, waiting):
        patch.setattr(module, "is_reset", lambda end: end.was_reset)
    patch.setattr(pacing, "acknowledged_bytes", lambda end: end.taken)
    patch.setattr(pacing, "outstanding_bytes", lambda end: len(end.unread))
    for module in (small_files, memory, opening):
        patch.setattr(module, "time", surroundings)
    patch.setattr(copying, "read_cached", surroundings.read_cached)
    _make_all_small(patch)


def _make_all_small(patch: pytest.MonkeyPatch) -> None:
    """What takes megabytes elsewhere happens with a few thousand bytes."""
    patch.setattr(copying.CopyingSender, "PIECE", PIECE)
    patch.setattr(Digests, "TURN", PIECE)
    patch.setattr(fdio, "_BUFFER", PIECE)
    patch.setattr(buffered.BufferedReceiver, "BATCH", 2 * PIECE)
    patch.setattr(ahead.DownloadAhead, "REQUESTS", 2)
    for module in (small_files, ahead):
        patch.setattr(module, "SMALL", SMALL)
