"""Threads that make one call after the other."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Protocol

Task = Callable[[], None]


class Worker(Protocol):
    """Carries out tasks, which raise nothing, one after the other."""

    def do(self, task: Task, /) -> None:
        """Carry out `task` behind those given before."""

    def quit(self) -> None:
        """End, behind the tasks that were given."""


class ThreadWorker:
    """A daemonic thread: the interpreter does not wait for it, whatever call it is in."""

    def __init__(self) -> None:
        """Start it. Raises RuntimeError where the system gives no more threads."""
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        Thread(target=_work, args=(self._tasks,), daemon=True, name="chatfile disk").start()

    def do(self, task: Task, /) -> None:
        """See `Worker`."""
        self._tasks.put(task)

    def quit(self) -> None:
        """See `Worker`."""
        self._tasks.put(None)


def _work(tasks: SimpleQueue[Task | None]) -> None:
    while (task := tasks.get()) is not None:
        task()
        del task  # or what it holds would be kept until the next one comes
