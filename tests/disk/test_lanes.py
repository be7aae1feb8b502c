"""Threads for the disk: shared fairly, bounded, never waited for at the end, whatever a disk does."""

from __future__ import annotations

import errno
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from queue import SimpleQueue
from threading import current_thread, get_ident
from typing import Any

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from chatfile import errors
from chatfile.digests import FileChanged
from chatfile.disk import Disk, DiskUnavailable, Lane, LaneLoad, ThreadWorker, acquire, in_thread, run_unawaited
from tests.support.leftovers import at_end, without_collector

TIMEOUT, PATIENCE = 30, 1
AT_ONCE, MOST, SPARE = 2, 4, 3


def _call(call: Callable[..., object], *arguments: object) -> None:
    call(*arguments)


class HandWorker:
    """A thread that makes a call when the test lets it."""

    def __init__(self) -> None:
        self.tasks: deque[Callable[[], None]] = deque()
        self.has_quit = False

    def do(self, task: Callable[[], None]) -> None:
        assert not self.tasks, "it is still in a call"
        assert not self.has_quit
        self.tasks.append(task)

    def quit(self) -> None:
        self.has_quit = True


class Threads:
    """A lane over threads of which each call ends when it is told to, by the name of what it is about."""

    def __init__(self, most_of_system: int = 1000) -> None:
        self.clock = Clock()
        self.workers: list[HandWorker] = []
        self.began: list[str] = []
        self.most_of_system = most_of_system
        self.lane = Lane(
            self.clock, _call, timeout=TIMEOUT, at_once=AT_ONCE, most=MOST, patience=PATIENCE, spare=SPARE,
            start=self._start,
        )  # fmt: skip
        at_end(self.lane.close)

    def _start(self) -> HandWorker:
        if len(self.alive()) >= self.most_of_system:
            raise RuntimeError("can't start new thread")
        self.workers.append(HandWorker())
        return self.workers[-1]

    def alive(self) -> list[HandWorker]:
        return [worker for worker in self.workers if not worker.has_quit]

    def busy(self) -> list[HandWorker]:
        return [worker for worker in self.workers if worker.tasks]

    def end_one(self, at: int = 0) -> None:
        """Of the threads in a call, one returns."""
        self.busy()[at].tasks.popleft()()

    def end_all(self) -> None:
        while self.busy():
            self.end_one()


def outcome(asked: Deferred[Any]) -> list[Any]:
    seen: list[Any] = []
    asked.addBoth(lambda result: seen.append(result.type if isinstance(result, Failure) else result))
    return seen


@pytest.fixture
def threads() -> Iterator[Threads]:
    threads = Threads()
    yield threads
    threads.end_all()


def hang(threads: Threads, count: int, about: str | None = None) -> list[list[Any]]:
    """So many calls of as many clients, none of which returns."""
    return [outcome(threads.lane.queue()(lambda: "late", about=about)) for _ in range(count)]


def test_the_result_of_a_call_is_that_of_its_thread(threads: Threads) -> None:
    queue = threads.lane.queue()
    results = outcome(queue(divmod, 7, 2)), outcome(queue(divmod, 7, 0))
    assert results == ([], [])
    threads.end_all()
    assert results == ([(3, 1)], [ZeroDivisionError])


def test_what_a_failed_call_has_used_is_gone_with_its_failure(threads: Threads) -> None:
    used: list[weakref.ref[HandWorker]] = []

    def fail() -> None:
        buffer = HandWorker()
        used.append(weakref.ref(buffer))
        raise ValueError

    with without_collector():
        asked = outcome(threads.lane.queue()(fail))
        threads.end_all()
        assert asked == [ValueError]
        assert used[0]() is None


def test_threads_are_started_as_they_are_needed_and_used_again(threads: Threads) -> None:
    queue = threads.lane.queue()
    for _ in range(5):
        outcome(queue(int))
        threads.end_all()
    assert len(threads.workers) == 1


def test_each_client_has_its_turn_however_much_another_asks(threads: Threads) -> None:
    order: list[str] = []
    greedy, modest, other = (threads.lane.queue() for _ in range(3))
    for at in range(10):
        greedy(order.append, f"greedy {at}")
    modest(order.append, "modest")
    other(order.append, "other")
    threads.end_all()
    assert {"modest", "other"} <= set(order[:6])
    assert len(order) == 12


def test_no_more_compute_at_once_than_allowed(threads: Threads) -> None:
    hang(threads, 5)
    assert len(threads.busy()) == AT_ONCE


def test_what_waits_for_its_disk_keeps_nobody_from_beginning(threads: Threads) -> None:
    hang(threads, AT_ONCE)
    waiting = outcome(threads.lane.queue()(lambda: "done"))
    assert len(threads.busy()) == AT_ONCE
    assert [timer.getTime() for timer in threads.clock.getDelayedCalls()] == [PATIENCE], "nothing is done before that"
    threads.clock.advance(PATIENCE)
    assert len(threads.busy()) == AT_ONCE + 1
    threads.end_one(AT_ONCE)
    assert waiting == ["done"]


def test_where_all_are_slow_by_now_the_next_begins_at_once(threads: Threads) -> None:
    hang(threads, AT_ONCE)
    assert [timer.getTime() for timer in threads.clock.getDelayedCalls()] == [TIMEOUT], "nobody waits for anything else"
    threads.clock.advance(PATIENCE)
    hang(threads, 1)
    assert len(threads.busy()) == AT_ONCE + 1


def test_whoever_is_waiting_for_a_slow_disk_waits_for_no_place(threads: Threads) -> None:
    queue = threads.lane.queue()
    queue(int)
    threads.clock.advance(PATIENCE)
    hang(threads, AT_ONCE)
    queue(int)
    assert len(threads.busy()) == 1 + AT_ONCE + 1


def test_whoever_is_waiting_for_a_slow_disk_has_no_turn_before_others(threads: Threads) -> None:
    queue = threads.lane.queue()
    queue(int)
    threads.clock.advance(PATIENCE)
    hang(threads, AT_ONCE + 1)
    queue(int)
    assert len(threads.busy()) == 1 + AT_ONCE


def test_whoever_waits_for_a_slow_disk_takes_the_place_of_others_once(threads: Threads) -> None:
    slow = [threads.lane.queue() for _ in range(AT_ONCE)]
    for _ in range(3):
        for queue in slow:
            outcome(queue(int))
        threads.clock.advance(PATIENCE + 0.1)
        threads.end_all()
    for queue in slow:
        outcome(queue(int))
    neighbour = outcome(threads.lane.queue()(lambda: "done"))
    threads.end_one(-1)
    assert neighbour == ["done"]


def test_whoever_computes_again_is_one_of_those_who_compute(threads: Threads) -> None:
    queues = [threads.lane.queue() for _ in range(AT_ONCE)]
    for seconds in (PATIENCE + 0.1, 0.1):
        for queue in queues:
            outcome(queue(int))
        threads.clock.advance(seconds)
        threads.end_all()
    for queue in queues:
        outcome(queue(int))
    hang(threads, 1)
    assert len(threads.busy()) == AT_ONCE


def test_what_nobody_waits_for_is_not_begun_and_told(threads: Threads) -> None:
    made: list[str] = []
    hang(threads, AT_ONCE)
    queue = threads.lane.queue()
    gone = queue(made.append, "call", unwanted=made.append)
    behind_it = outcome(queue(lambda: "done"))
    results = outcome(gone)
    gone.cancel()
    assert results == [CancelledError]
    threads.end_all()
    assert (made, behind_it) == ([None], ["done"])


def test_flooding_and_going_leaves_nothing_to_do(threads: Threads) -> None:
    hang(threads, AT_ONCE)
    made: list[int] = []
    for number in range(1000):
        gone = threads.lane.queue()(made.append, number)
        outcome(gone)
        gone.cancel()
    neighbour = outcome(threads.lane.queue()(lambda: "done"))
    threads.end_all()
    assert (made, neighbour) == ([], ["done"])


def test_the_result_of_a_call_under_way_that_nobody_waits_for_is_given_back(threads: Threads) -> None:
    given_back: list[str] = []
    gone = acquire(threads.lane.queue(), given_back.append, lambda: "opened")
    failed = acquire(threads.lane.queue(), given_back.append, fail_as, NO_DEFECTS[0])
    for asked in (gone, failed):
        outcome(asked)
        asked.cancel()
    assert given_back == []
    threads.end_one()
    assert given_back == [], "in a thread, for it may hang as well"
    threads.end_all()
    assert given_back == ["opened"]


def fail_as(error: BaseException) -> None:
    raise error


NO_DEFECTS = [OSError(errno.EIO, "Input/output error"), errors.NoSuchFile(name="a"), FileChanged()]


@pytest.mark.parametrize("seconds", [0, PATIENCE, TIMEOUT], ids=["cancelled", "cancelled when slow", "too late"])
def test_a_defect_in_a_call_that_nobody_waits_for_is_in_the_log(
    threads: Threads, seconds: int, logged_errors: list[str]
) -> None:
    for error in (TypeError("a defect"), *NO_DEFECTS):
        gone = threads.lane.queue()(fail_as, error)
        outcome(gone)
        threads.clock.advance(seconds)
        gone.cancel()
        threads.end_all()
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_what_hangs_is_told_in_time_and_not_before(threads: Threads) -> None:
    (results,) = hang(threads, 1)
    threads.clock.pump([PATIENCE, TIMEOUT - PATIENCE - 0.1])
    assert results == []
    threads.clock.advance(0.2)
    assert results == [DiskUnavailable]


def test_what_came_too_late_is_given_back(threads: Threads) -> None:
    given_back: list[str] = []
    results = outcome(acquire(threads.lane.queue(), given_back.append, lambda: "opened"))
    threads.clock.pump([PATIENCE, TIMEOUT])
    threads.end_all()
    assert (results, given_back) == ([DiskUnavailable], ["opened"])


def test_a_timeout_of_0_is_none() -> None:
    clock, worker = Clock(), HandWorker()
    lane = Lane(clock, int, timeout=0, at_once=1, most=1, patience=PATIENCE, start=lambda: worker)
    results = outcome(lane.queue()(int))
    clock.pump([1000] * 10)
    assert (results, clock.getDelayedCalls()) == ([], [])


def test_without_a_timeout_a_call_may_compute_for_as_long_as_with_one() -> None:
    workers = [HandWorker(), HandWorker()]
    lane = Lane(Clock(), int, timeout=0, at_once=1, most=2, patience=PATIENCE, start=iter(workers).__next__)
    for _ in range(2):
        lane.queue()(int)
    assert [len(worker.tasks) for worker in workers] == [1, 0]
    lane.close()


def test_the_calls_of_one_client_begin_in_their_order(threads: Threads) -> None:
    order: list[int] = []
    queue = threads.lane.queue()
    for at in range(10):
        queue(order.append, at)
    for at in range(10):
        threads.end_one(at % AT_ONCE if at < 9 else 0)
    assert order == list(range(10))


def test_threads_that_hang_are_replaced_up_to_a_bound_and_then_all_is_refused_at_once(threads: Threads) -> None:
    for _ in range(MOST + SPARE):
        hang(threads, 1)
        threads.clock.pump([PATIENCE, TIMEOUT])
    assert len(threads.busy()) == MOST + SPARE
    (refused,) = hang(threads, 1)
    assert refused == [DiskUnavailable]
    threads.end_one()
    assert len(threads.busy()) == MOST + SPARE - 1
    served = outcome(threads.lane.queue()(lambda: "done"))
    threads.end_one(-1)
    threads.end_all()
    assert served == ["done"]


def test_those_that_were_replaced_end_when_they_return(threads: Threads) -> None:
    for _ in range(MOST + SPARE):
        hang(threads, 1)
        threads.clock.pump([PATIENCE, TIMEOUT])
    threads.end_all()
    assert len(threads.alive()) == MOST


def test_a_disk_that_hangs_again_and_again_has_its_threads_replaced_each_time(threads: Threads) -> None:
    for _ in range(3):
        hang(threads, MOST)
        threads.clock.advance(PATIENCE)
        assert len(threads.busy()) == MOST
        threads.clock.advance(TIMEOUT)
        hang(threads, SPARE)
        assert len(threads.busy()) == MOST + AT_ONCE
        threads.clock.advance(PATIENCE)
        assert len(threads.busy()) == MOST + SPARE
        threads.end_all()
        assert len(threads.alive()) == MOST


def test_clients_that_come_ask_for_what_hangs_and_go_take_nothing_from_others(threads: Threads) -> None:
    for _ in range(100):
        gone = threads.lane.queue()(lambda: "late", about="hung file")
        outcome(gone)
        gone.cancel()
        threads.clock.advance(PATIENCE)
    assert len(threads.busy()) <= 3 + AT_ONCE
    neighbour = outcome(threads.lane.queue()(lambda: "done", about="other file"))
    threads.end_one(-1)
    assert neighbour == ["done"]


@pytest.mark.parametrize("clients", [1, MOST])
def test_closes_that_hang_take_nothing_from_others(threads: Threads, clients: int) -> None:
    queues = [threads.lane.queue() for _ in range(clients)]
    for number in range(MOST + 2):
        run_unawaited(queues[number % clients], int)
        threads.clock.advance(PATIENCE)
    neighbour = outcome(threads.lane.queue()(lambda: "done"))
    threads.clock.advance(PATIENCE)
    threads.end_one(-1)
    assert neighbour == ["done"]


def test_what_has_several_threads_hanging_is_refused_at_once_until_they_return(threads: Threads) -> None:
    for _ in range(3):
        hang(threads, 1, about="a")
        threads.clock.pump([PATIENCE, TIMEOUT])
    assert hang(threads, 1, about="a") == [[DiskUnavailable]]
    threads.end_one()
    again = outcome(threads.lane.queue()(lambda: "done", about="a"))
    threads.end_all()
    assert again == ["done"]


def test_a_call_that_insists_waits_until_there_is_a_thread(threads: Threads) -> None:
    closed: list[str] = []
    for _ in range(MOST + SPARE):
        hang(threads, 1)
        threads.clock.pump([PATIENCE, TIMEOUT])
    run_unawaited(threads.lane.queue(), closed.append, "descriptor")
    assert closed == []
    threads.end_all()
    assert closed == ["descriptor"]


def test_what_came_of_a_thing_that_hangs_is_given_back_though_more_of_it_is_refused(threads: Threads) -> None:
    given_back: list[int] = []
    for number in range(3):
        outcome(acquire(partial(threads.lane.queue(), about="a"), given_back.append, int, number))
        threads.clock.pump([PATIENCE, TIMEOUT])
    assert hang(threads, 1, about="a") == [[DiskUnavailable]]
    threads.end_all()
    assert sorted(given_back) == [0, 1, 2]


def test_without_another_thread_those_that_there_are_do() -> None:
    threads = Threads(most_of_system=1)
    results = [outcome(threads.lane.queue()(int)) for _ in range(3)]
    threads.end_all()
    assert results == [[0], [0], [0]]


def test_a_thread_carries_out_its_tasks_one_after_another() -> None:
    done: SimpleQueue[int] = SimpleQueue()
    worker = ThreadWorker()
    for task in range(3):
        worker.do(partial(done.put, task))
    worker.quit()
    assert [done.get(timeout=5) for _ in range(3)] == [0, 1, 2]


@pytest_twisted.ensureDeferred
async def test_the_threads_of_a_program_are_used_again() -> None:
    assert await in_thread(get_ident) == await in_thread(get_ident)


def test_a_thread_does_not_keep_the_process() -> None:
    threads: SimpleQueue[bool] = SimpleQueue()
    worker = ThreadWorker()
    worker.do(lambda: threads.put(current_thread().daemon))
    worker.quit()
    assert threads.get(timeout=5)


def test_of_what_hangs_each_thread_that_returns_makes_room_for_one_more_call(threads: Threads) -> None:
    hang(threads, 3, about="a")
    threads.clock.advance(TIMEOUT)
    threads.clock.advance(TIMEOUT)
    threads.end_one()
    for _ in range(2):
        assert hang(threads, 1, about="a") == [[]]
        threads.clock.advance(TIMEOUT)
        assert hang(threads, 1, about="a") == [[DiskUnavailable]]
        threads.end_one()


def test_that_there_is_no_other_thread_is_told_once_until_there_is_one_again() -> None:
    threads = Threads(most_of_system=1)
    with capturedLogs() as told:
        hang(threads, 3)
        assert [event["event"] for event in told] == ["threads"]
        threads.most_of_system = 2
        threads.clock.advance(PATIENCE)
        hang(threads, 2)
        assert [event["count"] for event in told] == [1, 2]
    threads.end_all()


def test_without_any_thread_it_is_refused_at_once_and_tried_again_the_next_time() -> None:
    threads = Threads(most_of_system=0)
    with capturedLogs() as told:
        assert hang(threads, 2) == [[DiskUnavailable], [DiskUnavailable]]
    assert [event["event"] for event in told] == ["threads"]
    why: list[str] = []
    threads.lane.queue()(int).addErrback(lambda failure: why.append(failure.value.strerror))
    assert why == ["the system gives no more threads"]
    threads.most_of_system = 1
    results = outcome(threads.lane.queue()(int))
    threads.end_all()
    assert results == [0]


def test_what_insists_is_done_as_soon_as_there_is_a_thread_though_nobody_asks_again() -> None:
    threads = Threads(most_of_system=0)
    closed: list[Any] = []
    asked = outcome(threads.lane.queue()(lambda: None, unwanted=closed.append))
    assert asked == [DiskUnavailable]
    threads.clock.pump([1] * 5)
    threads.most_of_system = 1
    threads.clock.pump([1] * 5)
    threads.end_all()
    assert closed == [None]


def test_a_thread_that_was_not_to_be_had_is_asked_for_again() -> None:
    threads = Threads(most_of_system=1)
    hang(threads, 1)
    waiting = outcome(threads.lane.queue()(lambda: "done"))
    threads.clock.pump([PATIENCE] * 2)
    threads.most_of_system = 2
    threads.clock.pump([PATIENCE] * 2)
    threads.end_one(1)
    assert waiting == ["done"]
    threads.end_all()


def test_a_close_that_fails_is_told(threads: Threads, logged_errors: list[str]) -> None:
    run_unawaited(threads.lane.queue(), lambda: 1 / 0)
    threads.end_all()
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_how_busy_a_lane_is_can_be_asked(threads: Threads) -> None:
    assert threads.lane.load() == LaneLoad(waiting=0, under_way=0, hung=0, oldest_wait=0, oldest_call=0)
    hang(threads, AT_ONCE)
    threads.clock.advance(PATIENCE / 2)
    queue = threads.lane.queue()
    asked = [queue(lambda: "done")]
    threads.clock.advance(PATIENCE / 4)
    asked += [queue(lambda: "done") for _ in range(2)]
    assert threads.lane.load() == LaneLoad(
        waiting=3, under_way=AT_ONCE, hung=0, oldest_wait=PATIENCE / 4, oldest_call=PATIENCE * 3 / 4
    )
    asked[0].addErrback(lambda _: None).cancel()
    threads.clock.advance(PATIENCE / 4)
    assert threads.lane.load() == LaneLoad(
        waiting=0, under_way=AT_ONCE + 2, hung=0, oldest_wait=0, oldest_call=PATIENCE
    ), "those that wait for their disk keep nobody from beginning"
    threads.clock.advance(TIMEOUT - PATIENCE)
    load = threads.lane.load()
    assert (load.under_way, load.hung, load.oldest_call) == (2, AT_ONCE, TIMEOUT)
    threads.end_all()
    assert threads.lane.load() == LaneLoad(waiting=0, under_way=0, hung=0, oldest_wait=0, oldest_call=0)


def test_its_end_waits_for_nobody_and_leaves_no_timer(threads: Threads) -> None:
    hang(threads, 5)
    threads.lane.close()
    assert threads.clock.getDelayedCalls() == []
    threads.end_one()
    assert len(threads.busy()) == 1


class ByHand:
    """A disk of a server whose calls never return."""

    def __init__(self, clients: int) -> None:
        self.clock = Clock()
        self.workers: list[HandWorker] = []
        self.disk = Disk(self.clock, _call, timeout=TIMEOUT, clients=clients, start=self._start)

    def _start(self) -> HandWorker:
        self.workers.append(HandWorker())
        return self.workers[-1]

    def begun(self) -> int:
        return sum(len(worker.tasks) for worker in self.workers)


LANES = [("listings", 1, 1.0), ("trees", 1, 0.2), ("files", 8, 0.02), ("digests", 2, 0.05)]


@pytest.mark.parametrize(("name", "at_once", "patience"), LANES)
@pytest.mark.parametrize(("clients", "threads"), [(3, 16), (100, 100), (9999, 256)])
def test_of_each_kind_some_may_compute_and_as_many_hang_as_there_are_clients(
    name: str, at_once: int, patience: float, clients: int, threads: int
) -> None:
    by_hand = ByHand(clients)
    lane: Lane = getattr(by_hand.disk, name)
    most = threads if name in ("files", "digests") else 4
    for _ in range(most + 10):
        lane.queue()(int).addErrback(lambda _: None)
    assert by_hand.begun() == at_once
    by_hand.clock.advance(patience * 0.9)
    assert by_hand.begun() == at_once, "they may be computing"
    by_hand.clock.advance(patience * 0.2)
    assert by_hand.begun() == min(2 * at_once, most)
    by_hand.clock.pump([patience * 1.1] * (most // at_once))
    assert by_hand.begun() == most
    by_hand.disk.close()


def test_the_end_of_a_disk_is_that_of_its_threads() -> None:
    by_hand = ByHand(3)
    assert sorted(by_hand.disk.loads()) == ["digests", "files", "listings", "trees"]
    for lane in (by_hand.disk.listings, by_hand.disk.trees, by_hand.disk.files, by_hand.disk.digests):
        lane.queue()(int)
    for worker in by_hand.workers:
        worker.tasks.popleft()()
    by_hand.disk.close()
    assert [worker.has_quit for worker in by_hand.workers] == [True] * 4


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 4), st.booleans()),
        st.tuples(st.just("end"), st.integers(0, 9)),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.tuples(st.just("wait"), st.sampled_from([0.1, 0.6, 5, 20])),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_happens_every_call_is_answered_once_and_every_result_goes_somewhere(steps: list[Any]) -> None:
    threads = Threads()
    queues = [threads.lane.queue() for _ in range(5)]
    asked: list[tuple[Deferred[Any], list[Any]]] = []
    made: list[int] = []
    unwanted: list[Any] = []

    def call(number: int) -> int:
        made.append(number)
        return number

    for step in steps:
        match step:
            case ("ask", client, is_about):
                about = "a" if is_about else None
                asking = queues[client](call, len(asked), unwanted=unwanted.append, about=about)
                asked.append((asking, outcome(asking)))
            case ("end", at) if threads.busy():
                threads.end_one(at % len(threads.busy()))
            case ("cancel", at) if asked:
                asked[at % len(asked)][0].cancel()
            case ("wait", seconds):
                threads.clock.advance(seconds)
        assert len(threads.alive()) <= MOST + SPARE
    threads.end_all()
    answers = [results for _, results in asked]
    assert all(len(results) == 1 for results in answers)
    taken = {results[0] for results in answers if isinstance(results[0], int)}
    given_back = {result for result in unwanted if result is not None}
    assert taken.isdisjoint(given_back)
    assert taken | given_back == set(made), "the result of each call is taken or given back"
    assert len(taken) + len(unwanted) == len(asked)
    assert len(made) == len(set(made))
    threads.lane.close()
    assert threads.clock.getDelayedCalls() == []
