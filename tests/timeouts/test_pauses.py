"""An alarm that stands still: however late it is paused, it rings after all."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from chatfile.clocks import Alarm

DUE = 8.0
SOON = 0.01


@pytest.mark.parametrize(
    "at", [0.0, DUE / 2, DUE - 2**-20, DUE, DUE + 1], ids=["at once", "amid", "just", "due", "late"]
)
def test_a_pause_takes_nothing_away_and_adds_nothing(at: float) -> None:
    clock, rang = Clock(), list[float]()
    alarm = Alarm(clock, lambda: rang.append(clock.seconds()))
    alarm.set(DUE)
    clock.rightNow = at  # a busy reactor: its timers have not been looked at yet
    alarm.pause()
    clock.advance(1000)
    assert (rang, clock.getDelayedCalls()) == ([], [])
    alarm.resume()
    left = max(DUE - at, 0)
    clock.advance(left + SOON)
    (when,) = rang
    assert when == pytest.approx(at + 1000 + left, abs=2 * SOON)
    assert clock.getDelayedCalls() == []
