"""The calls that wait for a thread: those of one client in their order, and the clients in turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from chatfile.disk.workers import Worker


class Call:
    """One call, from when it is asked for until it has returned."""

    __slots__ = (
        "about", "answer", "arguments", "function", "insists", "is_unwanted", "queue", "since", "unwanted", "worker",
    )  # fmt: skip

    def __init__(
        self,
        queue: Queue,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        unwanted: Callable[[Any], object] | None,
        about: Hashable,
        insists: bool,
    ) -> None:
        self.queue = queue
        self.function = function
        self.arguments = arguments
        self.unwanted = unwanted
        self.about = about
        self.insists = insists
        self.answer: Deferred[Any]
        self.is_unwanted = False
        self.since: float
        """When it began, or, while it waits, when it was asked for; by the clock of its lane."""
        self.worker: Worker


class Scheduler(Protocol):
    """Begins calls, each when its turn has come."""

    def add(self, call: Call, /) -> None:
        """Let `call` wait for its turn."""

    def give_up(self, call: Call, /) -> None:
        """Do not begin `call`, or drop its result, for it was cancelled."""


class Queue:
    """The waiting calls of one client, in the order in which it made them; itself an `InThread`."""

    __slots__ = ("_scheduler", "is_slow", "waiting")

    def __init__(self, scheduler: Scheduler) -> None:
        self.waiting: list[Call] = []  # an empty deque would take 0.7 KiB of every idle client
        self.is_slow = False
        self._scheduler = scheduler

    def __call__(
        self,
        call: Callable[..., Any],
        /,
        *arguments: Any,
        unwanted: Callable[[Any], object] | None = None,
        about: Hashable = None,
        insist: bool = False,
    ) -> Deferred[Any]:
        """See `InThread`."""
        asked = Call(self, call, arguments, unwanted, about, insist)
        asked.answer = Deferred(lambda _: self._scheduler.give_up(asked))
        self._scheduler.add(asked)
        return asked.answer


class RoundRobin:
    """The queues that are not empty, in the order of their turns; a turn is one call."""

    def __init__(self) -> None:
        """Begin without queues."""
        self._queues: deque[Queue] = deque()

    def __bool__(self) -> bool:
        """Tell whether any call waits."""
        return bool(self._queues)

    def __len__(self) -> int:
        """Count the calls that wait."""
        return sum(len(queue.waiting) for queue in self._queues)

    def oldest(self) -> Call | None:
        """Return the call that has waited for longest, if any waits."""
        return min((queue.waiting[0] for queue in self._queues), key=lambda call: call.since, default=None)

    def first(self) -> Queue:
        """Return the queue whose turn it is. Raises IndexError if no call waits."""
        return self._queues[0]

    def add(self, call: Call) -> None:
        """Add `call` to its queue."""
        call.queue.waiting.append(call)
        if len(call.queue.waiting) == 1:
            self._queues.append(call.queue)

    def remove(self, call: Call) -> None:
        """Remove `call` from its queue. Raises ValueError if it does not wait."""
        call.queue.waiting.remove(call)
        if not call.queue.waiting:
            self._queues.remove(call.queue)

    def take(self) -> Call:
        """Remove and return the first call of the queue whose turn it is, and put that queue behind all others."""
        queue = self._queues.popleft()
        call = queue.waiting.pop(0)
        if queue.waiting:
            self._queues.append(queue)
        return call

    def take_all_but_insisting(self) -> list[Call]:
        """Remove all calls that do not insist, and return them."""
        queues, self._queues = self._queues, deque()
        taken: list[Call] = []
        for queue in queues:
            taken += [call for call in queue.waiting if not call.insists]
            queue.waiting = [call for call in queue.waiting if call.insists]
            if queue.waiting:
                self._queues.append(queue)
        return taken

    def clear(self) -> None:
        """Forget all queues, so that no more calls are begun."""
        self._queues.clear()
