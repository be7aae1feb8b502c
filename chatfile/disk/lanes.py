"""A lane: some threads for calls of one kind, shared fairly by those who make them.

All but the calls themselves happens in the reactor, so nothing here is locked. A call goes through these states:

    waiting --begins--> fresh --`patience`--> slow --nobody waits for it, or `timeout`--> lost
       |                  |                    |                                           |
       +---cancelled---> none <----returns-----+-------------------------------------------+

At most `at_once` calls are fresh, for those may compute. One that is slow waits for its disk, and keeps nobody from
beginning; a client whose latest call was slow begins the next one as slow, so that it takes no other's place again. At
most `most` threads are in calls that are not lost. A lost one is replaced, up to `spare` times at once.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatfile.disk.calls import DiskUnavailable, behind
from chatfile.disk.workers import ThreadWorker, Worker
from chatfile.timeouts import Timer

_LOST_ABOUT_ONE = 3
"""Calls that hang about one thing before more of them are refused at once: a file that hangs takes no more threads."""
_AT_ONCE = 1e-6
"""Seconds: a time that has come, where 0 would mean that there is none."""


class _Call:
    """One call, from its beginning or its wait for that to its end."""

    __slots__ = (
        "about", "answer", "arguments", "began", "function", "insists", "is_unwanted", "queue", "unwanted", "worker",
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
        self.began = 0.0
        self.worker: Worker


class Queue:
    """The calls of one client that wait, in the order in which it made them; itself an `InThread`."""

    __slots__ = ("_lane", "is_slow", "waiting")

    def __init__(self, lane: Lane) -> None:
        self.waiting: list[_Call] = []  # an empty deque would take 0.7 KiB of every idle client
        self.is_slow = False
        self._lane = lane

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
        asked = _Call(self, call, arguments, unwanted, about, insist)
        asked.answer = Deferred(lambda _: self._lane.give_up(asked))
        self._lane.add(asked)
        return asked.answer


class Lane:
    """The threads for calls of one kind, started as they are needed."""

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        in_reactor: Callable[..., object],
        *,
        timeout: float,
        at_once: int,
        most: int,
        patience: float,
        spare: int = 64,
        start: Callable[[], Worker] = ThreadWorker,
    ) -> None:
        """Times are in seconds; a `timeout` of 0 is none. `in_reactor` is the reactor's `callFromThread`.

        `start()` gives another worker, or raises RuntimeError where there can't be one.
        """
        self._clock = clock
        self._in_reactor = in_reactor
        self._timeout = timeout
        self._at_once = at_once
        self._most = most
        self._patience = min(patience, timeout or patience)
        self._spare = spare
        self._start = start
        self._line: deque[Queue] = deque()  # those with something waiting, in the order of their turns
        self._fresh: dict[_Call, None] = {}  # each of these in the order in which they began
        self._slow: dict[_Call, None] = {}
        self._lost: dict[_Call, None] = {}
        self._lost_about: Counter[Hashable] = Counter()
        self._cleaner = self.queue()
        self._idle: list[Worker] = []
        self._workers = 0
        self._is_limited = False
        self._alarm = Timer(clock, self._look)

    def queue(self) -> Queue:
        """Return what makes the calls of one client."""
        return Queue(self)

    def close(self) -> None:
        """Begin nothing more, and end the threads that are in no call; those that are end with the process."""
        self._alarm.stop()
        self._line.clear()
        while self._idle:
            self._idle.pop().quit()
            self._workers -= 1

    # --- coming and going ---

    def add(self, call: _Call) -> None:
        """Let `call` wait for its turn; for `Queue` alone."""
        hangs = call.about is not None and self._lost_about[call.about] >= _LOST_ABOUT_ONE
        if hangs and not call.insists:
            self._refuse(call, DiskUnavailable())
            return
        call.queue.waiting.append(call)
        if len(call.queue.waiting) == 1:
            self._line.append(call.queue)
        self._begin_some()

    def give_up(self, call: _Call) -> None:
        """Nobody waits for `call` any more: it is not begun, or left to end on its own; for `Queue` alone."""
        call.is_unwanted = True
        if call in self._slow:
            self._lose(call)
            self._begin_some()
        elif call not in self._fresh:
            call.queue.waiting.remove(call)
            if not call.queue.waiting:
                self._line.remove(call.queue)
            self._clean_up(call, None)

    def _refuse(self, call: _Call, why: DiskUnavailable) -> None:
        call.is_unwanted = True
        self._clean_up(call, None)
        call.answer.errback(why)

    def _clean_up(self, call: _Call, result: Any) -> None:
        """In a thread, for it may be a close, and those can hang as well."""
        unwanted, call.unwanted = call.unwanted, None
        if unwanted is not None:
            behind(partial(self._cleaner, about=call.about), unwanted, result)

    # --- beginning ---

    def _begin_some(self) -> None:
        while self._line and self._has_room():
            worker = self._free_worker()
            if worker is None:
                break
            self._begin(self._next(), worker)
        if not self._line:
            return
        if self._workers == len(self._lost):
            self._refuse_all(DiskUnavailable())  # every thread that there may be hangs
        else:
            self._watch()

    def _has_room(self) -> bool:
        """Whether the next call may begin, if there is a thread for it."""
        if self._line[0].is_slow:
            return True
        if len(self._fresh) >= self._at_once:
            self._sort_out()
        return len(self._fresh) < self._at_once

    def _free_worker(self) -> Worker | None:
        if self._idle:
            return self._idle.pop()
        busy = self._workers - len(self._lost)
        if busy >= self._most or self._workers >= self._most + self._spare:
            return None
        try:
            worker = self._start()
        except RuntimeError:  # a limit of the system: those that there are must do
            self._tell_of_limit()
            if not self._workers:
                self._refuse_all(DiskUnavailable("the system gives no more threads"))
            return None
        self._is_limited = False
        self._workers += 1
        return worker

    def _tell_of_limit(self) -> None:
        """Once, and again when it was over in between."""
        if not self._is_limited:
            self.log.warn("The system gives no more threads: {count} must do", count=self._workers, event="threads")
        self._is_limited = True

    def _next(self) -> _Call:
        """Of the client whose turn it is; its next one waits until all others had theirs."""
        queue = self._line.popleft()
        call = queue.waiting.pop(0)
        if queue.waiting:
            self._line.append(queue)
        return call

    def _begin(self, call: _Call, worker: Worker) -> None:
        call.worker, call.began = worker, self._clock.seconds()
        begins_slow = call.queue.is_slow and not call.insists  # what nobody waits for is lost as soon as it is slow
        (self._slow if begins_slow else self._fresh)[call] = None
        worker.do(partial(self._make, call))
        if not self._alarm.is_running:
            self._watch()

    def _make(self, call: _Call) -> None:
        """In a thread."""
        result: Any
        try:
            result = call.function(*call.arguments)
        except BaseException:  # whatever it is, it is told to who asked
            result = Failure()
        self._in_reactor(self._returned, call, result)

    def _refuse_all(self, why: DiskUnavailable) -> None:
        """All but those calls that insist."""
        line, self._line = self._line, deque()
        refused: list[_Call] = []
        for queue in line:
            refused += [call for call in queue.waiting if not call.insists]
            queue.waiting = [call for call in queue.waiting if call.insists]
            if queue.waiting:
                self._line.append(queue)
        for call in refused:
            self._refuse(call, why)

    # --- ending ---

    def _returned(self, call: _Call, result: Any) -> None:
        self._forget(call)
        call.queue.is_slow = self._clock.seconds() - call.began > self._patience
        if self._workers - len(self._lost) > self._most:
            call.worker.quit()  # it was replaced
            self._workers -= 1
        else:
            self._idle.append(call.worker)
        if call.is_unwanted:
            self._clean_up(call, None if isinstance(result, Failure) else result)
        self._begin_some()
        if not call.is_unwanted:
            call.answer.callback(result)

    def _forget(self, call: _Call) -> None:
        for calls in (self._fresh, self._slow):
            if call in calls:
                del calls[call]
                return
        del self._lost[call]
        self._lost_about[call.about] -= 1
        if not self._lost_about[call.about]:
            del self._lost_about[call.about]

    # --- the clock ---

    def _watch(self) -> None:
        """Look when the next of those under way is too slow or too late."""
        dues = [
            next(iter(calls)).began + self._timeout for calls in (self._slow, self._fresh) if calls and self._timeout
        ]
        if self._line and self._fresh:
            dues.append(next(iter(self._fresh)).began + self._patience)
        if dues:
            self._alarm.restart(max(min(dues) - self._clock.seconds(), _AT_ONCE))

    def _look(self) -> None:
        self._sort_out()
        if self._timeout:
            self._give_up_the_late()
        self._begin_some()
        self._watch()

    def _sort_out(self) -> None:
        """Tell the slow from the fresh."""
        before = self._clock.seconds() - self._patience
        for call in list(self._fresh):
            if call.began > before:
                break
            del self._fresh[call]
            self._slow[call] = None
            call.queue.is_slow = True
            if call.is_unwanted or call.insists:
                self._lose(call)

    def _lose(self, call: _Call) -> None:
        del self._slow[call]
        self._lost[call] = None
        self._lost_about[call.about] += 1

    def _give_up_the_late(self) -> None:
        before = self._clock.seconds() - self._timeout
        for call in list(self._slow):
            if call.began > before:
                break
            self._lose(call)
            call.is_unwanted = True
            call.answer.errback(DiskUnavailable())
