"""What the log says of an engine that is away: each reason once, and never a flood."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher

from chatfile.cluster.outages import OutageLog


@pytest.fixture
def told() -> Iterator[list[str | None]]:
    """The reasons that were logged, and None for each time that it was back."""
    reasons: list[str | None] = []

    def observe(event: LogEvent) -> None:
        if event.get("event") == "engine":
            reasons.append(event.get("why"))

    globalLogPublisher.addObserver(observe)
    yield reasons
    globalLogPublisher.removeObserver(observe)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outages(clock: Clock) -> OutageLog:
    return OutageLog("here", clock)


def test_each_reason_is_told_once_however_long_it_lasts(
    outages: OutageLog, clock: Clock, told: list[str | None]
) -> None:
    for _ in range(1000):
        outages.away("a")
        outages.away("b")
        clock.advance(0.25)
    outages.back()
    outages.back()
    assert told == ["a", "b", None]


def test_a_later_outage_is_told_again(outages: OutageLog, clock: Clock, told: list[str | None]) -> None:
    for _ in range(2):
        outages.away("a")
        outages.back()
        clock.advance(OutageLog.QUIET)
    assert told == ["a", None, "a", None]


def test_an_outage_soon_after_another_is_told_if_it_lasts(
    outages: OutageLog, clock: Clock, told: list[str | None]
) -> None:
    outages.away("a")
    outages.back()
    for _ in range(100):
        outages.away("a")
        clock.advance(0.25)
    assert told == ["a", None, "a"]


def test_an_engine_that_comes_and_goes_does_not_fill_the_log(
    outages: OutageLog, clock: Clock, told: list[str | None]
) -> None:
    for _ in range(400):
        outages.away("a")
        outages.back()
        clock.advance(0.25)
    assert len(told) == 2 * 100 / OutageLog.QUIET


@pytest.mark.parametrize("is_back", [False, True])
def test_another_reason_each_time_does_not_fill_the_log(
    outages: OutageLog, clock: Clock, told: list[str | None], is_back: bool
) -> None:
    for number in range(400):
        outages.away(str(number))
        if is_back:
            outages.back()
        clock.advance(0.25)
    assert len(told) <= 2 * OutageLog.MOST * 100 / OutageLog.QUIET
    assert len(told) == OutageLog.MOST or is_back
