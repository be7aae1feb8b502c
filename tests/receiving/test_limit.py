"""The limit on receiving: it pauses as long as what came would have taken, and reads little at a time."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from chatfile.receiving.limit import ReceivingLimit

RATE = 1000


class Limited:
    """A connection that is limited to `RATE` bytes a second."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.is_paused = False
        self.limit = ReceivingLimit(self.clock, RATE, pause=self.pause, resume=self.resume)

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    def is_paused_after(self, seconds: float) -> bool:
        self.clock.advance(seconds)
        return self.is_paused


def test_it_pauses_until_what_came_would_have_come_in_time() -> None:
    limited = Limited()
    limited.limit.count(500)
    assert [limited.is_paused_after(seconds) for seconds in (0, 0.4995, 0.001)] == [True, True, False]
    limited.limit.count(0)
    assert not limited.is_paused, "nothing came too early"


def test_what_comes_in_time_pauses_nothing() -> None:
    limited = Limited()
    for _ in range(10):
        limited.clock.advance(0.1)
        limited.limit.count(99)
        assert not limited.is_paused


def test_a_connection_that_is_gone_leaves_no_call() -> None:
    limited = Limited()
    limited.limit.count(500)
    limited.limit.stop()
    assert limited.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("rate", "piece"), [(1, 1024), (10_240, 1024), (20_000, 2000), (655_000, 65_500), (10**9, 65_536)]
)
def test_a_tenth_of_a_second_is_read_at_a_time_within_reason(rate: int, piece: int) -> None:
    limit = ReceivingLimit(Clock(), rate, pause=lambda: None, resume=lambda: None)
    assert limit.piece == piece
