"""Threads that a schedule replaces, and a disk that is slow, hangs and fails as it is drawn."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from chatfile.disk import Worker
from chatfile.disk.queues import Call
from tests.support.torture import NOTHING, SHORT, Seam, done_but_refused, refused
from tests.world.schedule import Schedule

FAULTS = (
    refused(errno.EIO),
    refused(errno.EIO),
    refused(errno.ENOSPC, "write", "open", "link", "replace"),
    refused(errno.EMFILE, "open", "dup", "scandir"),
    refused(errno.EACCES, "open", "stat", "unlink"),
    done_but_refused(errno.EIO, "link", "replace", "unlink"),
    SHORT,
    NOTHING,
)


@dataclass
class DiskFaults:
    """How a disk is; it is calm for files called `calm` in any case."""

    calm: str = ""
    slow: frozenset[str] | None = None
    """Names of the files that are slow, and hang at times; None where any may be."""
    slowness: float = 0.0
    """The part of the calls that are slow or hang, of those that may be."""
    failing: float = 0.0
    """The part of the calls amid which something fails."""
    is_over: bool = False
    """Whether it is good from now on."""

    @property
    def is_bad(self) -> bool:
        """Tell whether it is ever slow, or fails."""
        return bool(self.slowness or self.failing)

    def may_be_bad(self, name: str | None) -> bool:
        """Tell whether it may be bad for a call about the file of that name, or about none."""
        if self.is_over or not self.is_bad:
            return False
        return name != self.calm if self.slow is None else name in self.slow


class ScheduledThreads:
    """The threads of one program: each call is made at a time that is drawn, and returns at another."""

    QUICK = 0.002
    HANGS = 9.0
    """Seconds that a call takes, at most: longer than anybody waits for it."""

    def __init__(self, name: str, schedule: Schedule, seam: Seam, faults: DiskFaults) -> None:
        self.faults = faults
        self.made: Callable[[Call], None] = lambda _: None
        """Called behind each call."""
        self.name_of: Callable[[object], str | None] = lambda about: about if isinstance(about, str) else None
        """Tells the file that a call is about."""
        self._name = name
        self._schedule = schedule
        self._seam = seam

    def start(self) -> Worker:
        """Return another thread. Raises RuntimeError where the system gives no more of them."""
        if self.faults.failing and not self.faults.is_over and self._schedule.chance(self.faults.failing):
            raise RuntimeError
        return _ScheduledThread(self)

    def in_reactor(self, call: Callable[..., object], *arguments: Any) -> None:
        """Have the reactor call it, as `callFromThread` does."""
        self._schedule.later(self._schedule.soon(self.QUICK), call, *arguments)

    def do(self, task: partial[None]) -> None:
        """Make the call of a lane's task."""
        (call,) = task.args
        self._schedule.later(self._seconds(call), self._make, task, call)

    def _seconds(self, call: Call) -> float:
        is_slow = self._may_be_bad(call) and self._schedule.chance(self.faults.slowness)
        return self._schedule.soon(self.HANGS if is_slow else self.QUICK)

    def _may_be_bad(self, call: Call) -> bool:
        return self.faults.may_be_bad(self.name_of(call.about))

    def _make(self, task: partial[None], call: Call) -> None:
        if self._may_be_bad(call) and self._schedule.chance(self.faults.failing):
            self._seam.strike(self._schedule.random.choice(FAULTS), self._schedule.random.randrange(6))
        task()
        self._seam.rest()
        self._schedule.note("thread", self._name, _spelled(call.function), *self._seam.struck)
        self._seam.struck = []
        self.made(call)


class _ScheduledThread:
    """A `Worker`: its lane gives it the next task when the one before has returned."""

    def __init__(self, threads: ScheduledThreads) -> None:
        self._threads = threads

    def do(self, task: Any) -> None:
        self._threads.do(task)

    def quit(self) -> None:
        """There is no thread to end."""


def _spelled(function: Any) -> str:
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__qualname__", type(function).__name__))
