"""Deadlines: an alarm that rings at its time and leaves nothing behind."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from chatfile.clocks import Alarm

SOON = 2**-10


class Bell:
    """An alarm on a clock, and when it rang."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.rang: list[float] = []
        self.alarm = Alarm(self.clock, lambda: self.rang.append(self.clock.seconds()))

    def timers(self) -> int:
        return len(self.clock.getDelayedCalls())

    def wait(self, *seconds: float) -> None:
        self.clock.pump(seconds)


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.mark.parametrize(
    ("sets", "due"),
    [([10], 10), ([10, 30], 30), ([100, 5], 5), ([10, 100, 20], 20), ([0, 10], 10), ([10, 10], 10)],
    ids=["once", "later", "earlier", "later and earlier", "never and then", "the same"],
)
def test_an_alarm_rings_once_at_the_time_that_it_was_last_set_to(bell: Bell, sets: list[int], due: int) -> None:
    for seconds in sets:
        bell.alarm.set(seconds)
    assert bell.alarm.is_set
    assert bell.timers() == 1
    bell.wait(due - SOON)
    assert bell.rang == []
    bell.wait(SOON, 200)
    assert bell.rang == [due]
    assert not bell.alarm.is_set
    assert bell.timers() == 0


def test_an_alarm_can_be_set_again_by_what_it_rings(bell: Bell) -> None:
    def ring() -> None:
        bell.rang.append(bell.clock.seconds())
        again.set(5)

    again = Alarm(bell.clock, ring)
    again.set(10)
    bell.wait(10, 5, 5)
    assert bell.rang == [10, 15, 20]
    again.stop()
    assert bell.timers() == 0


def test_moving_an_alarm_later_costs_no_timer(bell: Bell) -> None:
    bell.alarm.set(10)
    (timer,) = bell.clock.getDelayedCalls()
    for _ in range(1000):
        bell.wait(SOON)
        bell.alarm.set(10)
    assert bell.clock.getDelayedCalls() == [timer]
    assert timer.getTime() == 10
    bell.wait(10 - SOON)
    assert bell.rang == []
    bell.wait(SOON)
    assert bell.rang == [10 + 1000 * SOON]


def test_zero_is_never(bell: Bell) -> None:
    bell.alarm.set(0)
    assert bell.timers() == 0
    bell.alarm.set(10)
    bell.alarm.set(0)
    assert not bell.alarm.is_set
    bell.wait(10, 100)
    assert bell.rang == []
    assert bell.timers() == 0


def test_an_alarm_that_was_stopped_does_not_ring_and_leaves_no_timer(bell: Bell) -> None:
    bell.alarm.stop()
    bell.alarm.set(10)
    bell.alarm.stop()
    assert not bell.alarm.is_set
    assert bell.timers() == 0
    bell.wait(100)
    assert bell.rang == []


def test_an_alarm_stands_still_between_pause_and_resume(bell: Bell) -> None:
    bell.alarm.set(10)
    bell.wait(4)
    bell.alarm.pause()
    assert bell.timers() == 0
    bell.wait(100)
    bell.alarm.pause()
    bell.alarm.resume()
    bell.alarm.resume()
    bell.wait(6 - SOON)
    assert bell.rang == []
    bell.wait(SOON, 100)
    assert bell.rang == [110]


def test_an_alarm_paused_when_it_is_due_rings_as_soon_as_it_is_resumed(bell: Bell) -> None:
    bell.alarm.set(10)
    bell.alarm.set(10 + SOON)
    bell.clock.rightNow = 11  # due, and the timer has not been looked at yet
    bell.alarm.pause()
    bell.wait(100)
    assert bell.rang == []
    bell.alarm.resume()
    bell.wait(SOON)
    assert len(bell.rang) == 1


@pytest.mark.parametrize("seconds", [0, 50])
def test_what_is_set_during_a_pause_holds(bell: Bell, seconds: float) -> None:
    bell.alarm.set(10)
    bell.alarm.pause()
    bell.alarm.set(seconds)
    bell.alarm.resume()
    bell.wait(49)
    assert bell.rang == []
    bell.wait(1)
    assert bell.rang == ([50] if seconds else [])


def test_resuming_what_was_not_paused_changes_nothing(bell: Bell) -> None:
    bell.alarm.pause()
    bell.alarm.resume()
    assert bell.timers() == 0
    bell.alarm.set(10)
    bell.wait(5)
    bell.alarm.resume()
    bell.wait(5)
    assert bell.rang == [10]


def test_an_alarm_that_was_stopped_in_a_pause_does_not_ring_when_resumed(bell: Bell) -> None:
    bell.alarm.set(10)
    bell.alarm.pause()
    bell.alarm.stop()
    bell.alarm.resume()
    bell.wait(100)
    assert bell.rang == []
