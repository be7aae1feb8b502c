"""The threads that make calls, one after the other, and a pool of them."""

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
        """Carry out `task` after those that were given before."""

    def quit(self) -> None:
        """End after the tasks that were given before."""


class ThreadWorker:
    """A daemonic thread: the interpreter does not wait for it, whatever call it is in."""

    def __init__(self) -> None:
        """Start the thread. Raises RuntimeError if the system gives no more threads."""
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
        del task  # or the objects of its call would be kept until the next one comes


class WorkerPool:
    """Starts workers as needed, and keeps free ones for the next task."""

    log = Logger()

    def __init__(self, start: Callable[[], Worker]) -> None:
        """Begin without workers; `start()` returns a new one, or raises RuntimeError if there can't be more."""
        self.count = 0
        """All workers that have not ended, free or not."""
        self._start = start
        self._idle: list[Worker] = []
        self._is_limited = False

    def take(self, most: int) -> Worker | None:
        """Return a free worker, or a new one if there are fewer than `most`; None if there can't be a new one."""
        if self._idle:
            return self._idle.pop()
        if self.count >= most:
            return None
        try:
            worker = self._start()
        except RuntimeError:  # a limit of the system: go on with the workers that there are
            self._tell_of_limit()
            return None
        self._is_limited = False
        self.count += 1
        return worker

    def _tell_of_limit(self) -> None:
        """Log that the system gives no more threads: once, until it has given one again."""
        if not self._is_limited:
            self.log.warn("The system gives no more threads: {count} must do", count=self.count, event="threads")
        self._is_limited = True

    def give_back(self, worker: Worker) -> None:
        """Keep `worker`, whose task has ended, for the next task."""
        self._idle.append(worker)

    def end(self, worker: Worker) -> None:
        """End `worker`, whose task has ended."""
        worker.quit()
        self.count -= 1

    def close(self) -> None:
        """End the free workers."""
        while self._idle:
            self.end(self._idle.pop())
