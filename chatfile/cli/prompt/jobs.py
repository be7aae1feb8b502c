"""Lines that were typed, carried out one after the other: the connection answers in order, too."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.python.failure import Failure

from chatfile.cli.commands import LeaveServer
from chatfile.cli.get import FileQueue
from chatfile.cli.prompt.commands import PromptCommand


class Job:
    """A line and what it asks for."""

    def __init__(self, line: str, command: PromptCommand) -> None:
        """Not begun."""
        self.line = line
        self.command = command
        self.queue: FileQueue | None = None
        """The files that it fetches, once they are known."""

    @property
    def is_last(self) -> bool:
        """Whether nothing can come behind it."""
        return isinstance(self.command, LeaveServer)


class Jobs:
    """Those that wait and the one that is carried out. While they are held, none begins."""

    def __init__(
        self,
        carry_out: Callable[[Job], Coroutine[Deferred[Any], Any, None]],
        report: Callable[[BaseException], None],
    ) -> None:
        """`report` is told of what `carry_out` fails with: the program is at fault."""
        self.current: Job | None = None
        self.waiting: deque[Job] = deque()
        self._carry_out = carry_out
        self._report = report
        self._is_held = False
        self._is_beginning = False
        self._doing: Deferred[None] | None = None
        self._idle: list[Deferred[None]] = []

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return self.current is None

    @property
    def are_ending(self) -> bool:
        """Whether the last one of all is among them."""
        return any(job.is_last for job in (self.current, *self.waiting) if job is not None)

    def add(self, job: Job) -> None:
        """Carry it out behind the others."""
        self.waiting.append(job)
        self._begin()

    def keep(self, job: Job) -> None:
        """Carry it out once more, before the others, and none before `go_on`."""
        self.waiting.appendleft(job)
        self.hold()

    def hold(self) -> None:
        """Begin nothing more."""
        self._is_held = True

    def go_on(self) -> None:
        """Begin again."""
        self._is_held = False
        self._begin()

    def stop(self) -> Deferred[None]:
        """End the one that is under way, and begin nothing more; the result comes when it has ended."""
        self.hold()
        if self._doing is not None:
            self._doing.cancel()
        return self.idle()

    def idle(self) -> Deferred[None]:
        """Fires when nothing is under way."""
        if self.is_idle:
            return succeed(None)
        waiting: Deferred[None] = Deferred(self._idle.remove)
        self._idle.append(waiting)
        return waiting

    def _begin(self) -> None:
        if self._is_beginning:  # one that took no time has ended within it
            return
        self._is_beginning = True
        while self.current is None and self.waiting and not self._is_held:
            self.current = self.waiting.popleft()
            self._doing = Deferred.fromCoroutine(self._carry_out(self.current))
            self._doing.addErrback(self._failed)
            self._doing.addCallback(self._ended)
        self._is_beginning = False
        if self.current is None:
            idle, self._idle = self._idle, []
            for waiting in idle:
                waiting.callback(None)

    def _failed(self, failure: Failure) -> None:
        if failure.value is not None and not failure.check(CancelledError):
            self._report(failure.value)

    def _ended(self, _: object) -> None:
        self.current = self._doing = None
        self._begin()
