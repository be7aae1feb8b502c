"""Threads that make one call after the other, and a pool of them."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Protocol

from twisted.logger import Logger

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


class WorkerPool:
    """Starts workers as they are needed, and keeps those that are free for the next task."""

    log = Logger()

    def __init__(self, start: Callable[[], Worker]) -> None:
        """Begin without workers; `start()` returns another one, or raises RuntimeError where there can't be one."""
        self.count = 0
        """Workers that have not ended, whether they are free or not."""
        self._start = start
        self._idle: list[Worker] = []
        self._is_limited = False

    def take(self, most: int) -> Worker | None:
        """Return a worker that is free, or a new one where there are fewer than `most`; None where neither can be."""
        if self._idle:
            return self._idle.pop()
        if self.count >= most:
            return None
        try:
            worker = self._start()
        except RuntimeError:  # a limit of the system: those that there are must do
            self._tell_of_limit()
            return None
        self._is_limited = False
        self.count += 1
        return worker

    def _tell_of_limit(self) -> None:
        """Log it once, and again when it was over in between."""
        if not self._is_limited:
            self.log.warn("The system gives no more threads: {count} must do", count=self.count, event="threads")
        self._is_limited = True

    def give_back(self, worker: Worker) -> None:
        """Keep `worker`, whose task has ended, for the next one."""
        self._idle.append(worker)

    def end(self, worker: Worker) -> None:
        """Let `worker`, whose task has ended, end as well."""
        worker.quit()
        self.count -= 1

    def close(self) -> None:
        """End the workers that are free."""
        while self._idle:
            self.end(self._idle.pop())
