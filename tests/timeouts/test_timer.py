"""The timer: it fires once, at its time, and leaves nothing behind."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from chatfile.timeouts import Timer

SOON = 2**-10


class Timed:
    """A timer on a clock, and when it fired."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.fired: list[float] = []
        self.timer = Timer(self.clock, lambda: self.fired.append(self.clock.seconds()))

    def calls(self) -> int:
        return len(self.clock.getDelayedCalls())

    def wait(self, *seconds: float) -> None:
        self.clock.pump(seconds)


@pytest.fixture
def timed() -> Timed:
    return Timed()


@pytest.mark.parametrize(
    ("sets", "due"),
    [([10], 10), ([10, 30], 30), ([100, 5], 5), ([10, 100, 20], 20), ([0, 10], 10), ([10, 10], 10)],
    ids=["once", "later", "earlier", "later and earlier", "never and then", "the same"],
)
def test_a_timer_fires_once_at_the_time_that_it_was_last_given(timed: Timed, sets: list[int], due: int) -> None:
    for seconds in sets:
        timed.timer.restart(seconds)
    assert timed.timer.is_running
    assert timed.calls() == 1
    timed.wait(due - SOON)
    assert timed.fired == []
    timed.wait(SOON, 200)
    assert timed.fired == [due]
    assert not timed.timer.is_running
    assert timed.calls() == 0


def test_a_timer_can_be_restarted_by_what_it_fires(timed: Timed) -> None:
    def fire() -> None:
        timed.fired.append(timed.clock.seconds())
        again.restart(5)

    again = Timer(timed.clock, fire)
    again.restart(10)
    timed.wait(10, 5, 5)
    assert timed.fired == [10, 15, 20]
    again.stop()
    assert timed.calls() == 0


def test_giving_it_more_time_costs_no_call(timed: Timed) -> None:
    timed.timer.restart(10)
    (call,) = timed.clock.getDelayedCalls()
    for _ in range(1000):
        timed.wait(SOON)
        timed.timer.restart(10)
    assert timed.clock.getDelayedCalls() == [call]
    assert call.getTime() == 10
    timed.wait(10 - SOON)
    assert timed.fired == []
    timed.wait(SOON)
    assert timed.fired == [10 + 1000 * SOON]


def test_zero_is_never(timed: Timed) -> None:
    timed.timer.restart(0)
    assert timed.calls() == 0
    timed.timer.restart(10)
    timed.timer.restart(0)
    assert not timed.timer.is_running
    timed.wait(10, 100)
    assert timed.fired == []
    assert timed.calls() == 0


def test_a_timer_that_was_stopped_does_not_fire_and_leaves_no_call(timed: Timed) -> None:
    timed.timer.stop()
    timed.timer.restart(10)
    timed.timer.stop()
    assert not timed.timer.is_running
    assert timed.calls() == 0
    timed.wait(100)
    assert timed.fired == []


def test_a_timer_stands_still_between_pause_and_resume(timed: Timed) -> None:
    timed.timer.restart(10)
    timed.wait(4)
    timed.timer.pause()
    assert timed.calls() == 0
    timed.wait(100)
    timed.timer.pause()
    timed.timer.resume()
    timed.timer.resume()
    timed.wait(6 - SOON)
    assert timed.fired == []
    timed.wait(SOON, 100)
    assert timed.fired == [110]


def test_a_timer_paused_when_it_is_due_fires_as_soon_as_it_is_resumed(timed: Timed) -> None:
    timed.timer.restart(10)
    timed.timer.restart(10 + SOON)
    timed.clock.rightNow = 11  # due, and the timer has not been looked at yet
    timed.timer.pause()
    timed.wait(100)
    assert timed.fired == []
    timed.timer.resume()
    timed.wait(SOON)
    assert len(timed.fired) == 1


@pytest.mark.parametrize("seconds", [0, 50])
def test_what_is_given_during_a_pause_holds(timed: Timed, seconds: float) -> None:
    timed.timer.restart(10)
    timed.timer.pause()
    timed.timer.restart(seconds)
    timed.timer.resume()
    timed.wait(49)
    assert timed.fired == []
    timed.wait(1)
    assert timed.fired == ([50] if seconds else [])


def test_resuming_what_was_not_paused_changes_nothing(timed: Timed) -> None:
    timed.timer.pause()
    timed.timer.resume()
    assert timed.calls() == 0
    timed.timer.restart(10)
    timed.wait(5)
    timed.timer.resume()
    timed.wait(5)
    assert timed.fired == [10]


def test_a_timer_that_was_stopped_in_a_pause_does_not_fire_when_resumed(timed: Timed) -> None:
    timed.timer.restart(10)
    timed.timer.pause()
    timed.timer.stop()
    timed.timer.resume()
    timed.wait(100)
    assert timed.fired == []


# --- however late it is paused ---

DUE = 8.0
LATE = 0.01


@pytest.mark.parametrize(
    "at", [0.0, DUE / 2, DUE - 2**-20, DUE, DUE + 1], ids=["at once", "amid", "just", "due", "late"]
)
def test_a_pause_takes_nothing_away_and_adds_nothing(at: float) -> None:
    clock, fired = Clock(), list[float]()
    timer = Timer(clock, lambda: fired.append(clock.seconds()))
    timer.restart(DUE)
    clock.rightNow = at  # a busy reactor: its timers have not been looked at yet
    timer.pause()
    clock.advance(1000)
    assert (fired, clock.getDelayedCalls()) == ([], [])
    timer.resume()
    left = max(DUE - at, 0)
    clock.advance(left + LATE)
    (when,) = fired
    assert when == pytest.approx(at + 1000 + left, abs=2 * LATE)
    assert clock.getDelayedCalls() == []
