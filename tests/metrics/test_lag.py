"""What keeps the reactor is seen, and what it sent lately is kept: both bounded, neither for ever."""

from __future__ import annotations

from twisted.internet.task import Clock

from chatfile.metrics.lag import ReactorLag
from chatfile.metrics.recent import RecentRates

INTERVAL = ReactorLag.INTERVAL


def blocked(clock: Clock, seconds: float) -> None:
    """The reactor stands still for so long, from when its timer is due."""
    clock.advance(INTERVAL + seconds)


def test_a_reactor_that_is_in_time_has_no_lag() -> None:
    clock = Clock()
    lag = ReactorLag(clock)
    lag.start()
    clock.pump([INTERVAL] * 100)
    assert (lag.latest, lag.worst) == (0, 0)
    lag.stop()
    assert clock.getDelayedCalls() == []


def test_the_worst_is_told_for_a_minute_and_then_the_next_worst() -> None:
    clock = Clock()
    lag = ReactorLag(clock)
    lag.start()
    blocked(clock, 3)
    clock.pump([INTERVAL] * 40)
    blocked(clock, 1)
    clock.advance(INTERVAL)
    assert (lag.latest, lag.worst) == (0, 3)
    clock.pump([INTERVAL] * 196)  # 49 s, and 10 s before the second time
    assert lag.worst == 1
    clock.pump([INTERVAL] * 240)
    assert lag.worst == 0
    lag.stop()


def test_it_keeps_no_more_than_a_minute_of_looks() -> None:
    clock = Clock()
    lag = ReactorLag(clock)
    lag.start()
    for late in range(1000, 0, -1):  # each less late than the one before: none makes another superfluous
        blocked(clock, late / 10_000)
    assert len(lag._worst) <= ReactorLag.WINDOW / INTERVAL + 1
    lag.stop()


def test_rates_are_those_of_the_last_ten_minutes() -> None:
    clock, sent = Clock(), [0]
    recent = RecentRates(clock, lambda: sent[0])
    recent.start()
    assert recent.rates() == []
    for _ in range(1000):
        sent[0] += 50
        clock.advance(RecentRates.INTERVAL)
    sent[0] += 5000
    clock.advance(RecentRates.INTERVAL)
    clock.advance(1)
    seen = recent.rates()
    assert seen[-1] == (1, 1000)
    assert {rate for _, rate in seen[:-1]} == {10}
    assert 590 < seen[0][0] <= RecentRates.SPAN
    recent.stop()
    assert clock.getDelayedCalls() == []


def test_a_reactor_that_stood_still_for_an_hour_has_no_old_rates() -> None:
    clock = Clock()
    recent = RecentRates(clock, lambda: 0)
    recent.start()
    clock.pump([RecentRates.INTERVAL] * 10)
    clock.advance(3600)
    assert [ago for ago, _ in recent.rates()] == [0]
    recent.stop()
