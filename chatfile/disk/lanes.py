"""A lane: some threads for calls of one kind, shared fairly by the clients for which they are made.

All but the calls themselves happens in the reactor, so nothing here is locked. A call goes through these states:

    waiting --begins--> fresh --`patience`--> slow --cancelled, or `timeout`--> lost
       |                  |                    |                                 |
       +---cancelled---> none <----returns-----+---------------------------------+

At most `at_once` calls are fresh, for those may compute. A slow one waits for its disk, and keeps no other call from
beginning; a client whose latest call was slow begins its next one as slow, so that it does not take the place of other
clients again. At most `most` threads are in calls that are not lost. The thread of a lost one is replaced, as long as
at most `spare` are lost at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from chatfile.disk.calls import DiskUnavailable, log_defect, run_unawaited
from chatfile.disk.queues import Call, Queue, RoundRobin
from chatfile.disk.workers import ThreadWorker, Worker, WorkerPool
from chatfile.timeouts import Timer

_LOST_ABOUT_ONE = 3
"""Lost calls about one file or folder from which on further ones are refused at once: they would take more threads."""
_TRY_AGAIN = 1.0
"""Seconds until a thread is asked for again, where the system gave none."""
_AT_ONCE = 1e-6
"""Seconds: for a time that is over already, where 0 would mean no time limit."""


@dataclass(frozen=True, slots=True)
class LaneLoad:
    """How busy a lane is."""

    waiting: int
    """Calls that have not begun."""
    under_way: int
    """Calls that somebody waits for."""
    hung: int
    """Threads in calls that have not returned in time, or that nobody waits for any more."""
    oldest_wait: float
    """Seconds for which the oldest of the waiting calls has waited; 0 if there is none."""
    oldest_call: float
    """Seconds that the oldest of the calls in threads, hung ones among them, has taken so far; 0 if there is none."""


class Lane:
    """Makes calls of one kind in threads, which it starts as needed; the `Scheduler` of its queues."""

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
        """Begin without threads; see the module's docstring. Times are in seconds; a `timeout` of 0 means for ever.

        `in_reactor` is the reactor's `callFromThread`. `start()` returns another worker, or raises RuntimeError if the
        system gives no more threads.
        """
        self._clock = clock
        self._in_reactor = in_reactor
        self._timeout = timeout
        self._at_once = at_once
        self._most = most
        self._patience = min(patience, timeout or patience)
        self._spare = spare
        self._waiting = RoundRobin()
        self._fresh: dict[Call, None] = {}  # each of these in the order in which they began
        self._slow: dict[Call, None] = {}
        self._lost: dict[Call, None] = {}
        self._lost_about: Counter[Hashable] = Counter()
        self._cleaner = self.queue()
        self._workers = WorkerPool(start)
        self._timer = Timer(clock, self._look)

    def queue(self) -> Queue:
        """Return a queue, an `InThread`, for the calls of one client."""
        return Queue(self)

    def close(self) -> None:
        """Begin no more calls, and end the threads that are in none; the others end with the process."""
        self._timer.stop()
        self._waiting.clear()
        self._workers.close()

    def load(self) -> LaneLoad:
        """Return how busy the lane is at this moment."""
        now, first = self._clock.seconds(), self._waiting.oldest()
        begun = (call.since for calls in (self._fresh, self._slow, self._lost) for call in calls)
        return LaneLoad(
            waiting=len(self._waiting),
            under_way=len(self._fresh) + len(self._slow),
            hung=len(self._lost),
            oldest_wait=0.0 if first is None else now - first.since,
            oldest_call=now - min(begun, default=now),
        )

    # --- for the queues ---

    def add(self, call: Call) -> None:
        """See `Scheduler`; for `Queue` alone."""
        hangs = call.about is not None and self._lost_about[call.about] >= _LOST_ABOUT_ONE
        if hangs and not call.insists:
            self._refuse(call, DiskUnavailable())
            return
        call.since = self._clock.seconds()
        self._waiting.add(call)
        self._begin_some()

    def give_up(self, call: Call) -> None:
        """See `Scheduler`; for `Queue` alone."""
        call.is_unwanted = True
        if call in self._slow:
            self._lose(call)
            self._begin_some()
        elif call not in self._fresh:
            self._waiting.remove(call)
            self._clean_up(call, None)

    def _refuse(self, call: Call, why: DiskUnavailable) -> None:
        self._clean_up(call, None)
        call.answer.errback(why)

    def _clean_up(self, call: Call, result: Any) -> None:
        """Call `unwanted` in a thread, for it may be a close, which can hang as well."""
        unwanted, call.unwanted = call.unwanted, None
        if unwanted is not None:
            run_unawaited(partial(self._cleaner, about=call.about), unwanted, result)

    # --- beginning ---

    def _begin_some(self) -> None:
        """Begin as many calls as there is room for, and refuse the others if every thread hangs."""
        while self._waiting and self._has_room():
            worker = self._free_worker()
            if worker is None:
                break
            self._begin(self._waiting.take(), worker)
        if not self._waiting:
            return
        if self._workers.count == len(self._lost):
            self._refuse_all(DiskUnavailable())  # every thread hangs, and there can't be more
        self._watch()

    def _has_room(self) -> bool:
        """Tell whether the next call may begin, if there is a thread for it."""
        if self._waiting.first().is_slow:
            return True
        if len(self._fresh) >= self._at_once:
            self._sort_out()
        return len(self._fresh) < self._at_once

    def _free_worker(self) -> Worker | None:
        """Return a worker for the next call; None if it has to wait, or can't be made at all."""
        worker = self._workers.take(self._most + min(len(self._lost), self._spare))
        if worker is None and not self._workers.count:
            self._refuse_all(DiskUnavailable("the system gives no more threads"))
        return worker

    def _begin(self, call: Call, worker: Worker) -> None:
        call.worker, call.since = worker, self._clock.seconds()
        begins_slow = call.queue.is_slow and not call.insists  # a call that insists is lost as soon as it is slow
        (self._slow if begins_slow else self._fresh)[call] = None
        worker.do(partial(self._make, call))
        if not self._timer.is_running:
            self._watch()

    def _make(self, call: Call) -> None:
        """Make `call`, in a thread."""
        self._in_reactor(self._returned, call, _outcome(call))

    def _refuse_all(self, why: DiskUnavailable) -> None:
        """Refuse all waiting calls, but not those that insist."""
        for call in self._waiting.take_all_but_insisting():
            self._refuse(call, why)

    # --- ending ---

    def _returned(self, call: Call, result: Any) -> None:
        self._forget(call)
        call.queue.is_slow = self._clock.seconds() - call.since > self._patience
        if self._workers.count - len(self._lost) > self._most:
            self._workers.end(call.worker)  # it was replaced
        else:
            self._workers.give_back(call.worker)
        if call.is_unwanted:
            if isinstance(result, Failure):
                log_defect(result)
                result = None
            self._clean_up(call, result)
        self._begin_some()
        if not call.is_unwanted:
            call.answer.callback(result)

    def _forget(self, call: Call) -> None:
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
        """Set the timer to when the next call under way becomes slow or late, or there may be a thread for another."""
        dues = [
            next(iter(calls)).since + self._timeout for calls in (self._slow, self._fresh) if calls and self._timeout
        ]
        if self._waiting and self._fresh:
            dues.append(next(iter(self._fresh)).since + self._patience)
        if self._waiting:
            dues.append(self._clock.seconds() + _TRY_AGAIN)
        if dues:
            self._timer.restart(max(min(dues) - self._clock.seconds(), _AT_ONCE))

    def _look(self) -> None:
        self._sort_out()
        if self._timeout:
            self._give_up_the_late()
        self._begin_some()
        self._watch()

    def _sort_out(self) -> None:
        """Move the fresh calls that have taken longer than `patience` to the slow ones, or to the lost ones."""
        before = self._clock.seconds() - self._patience
        for call in list(self._fresh):
            if call.since > before:
                break
            del self._fresh[call]
            self._slow[call] = None
            call.queue.is_slow = True
            if call.is_unwanted or call.insists:
                self._lose(call)

    def _lose(self, call: Call) -> None:
        del self._slow[call]
        self._lost[call] = None
        self._lost_about[call.about] += 1

    def _give_up_the_late(self) -> None:
        before = self._clock.seconds() - self._timeout
        for call in list(self._slow):
            if call.since > before:
                break
            self._lose(call)
            call.is_unwanted = True
            call.answer.errback(DiskUnavailable())


def _outcome(call: Call) -> Any:
    """Return what `call` returns, or a Failure.

    No variable holds that: the frame would be in a circle with its traceback, and the buffers of the call be kept.
    """
    try:
        return call.function(*call.arguments)
    except BaseException:  # every error goes to the caller
        return Failure()
