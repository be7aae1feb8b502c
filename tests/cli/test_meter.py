"""How far a transfer is, how fast it goes, how long it will take, and how that reads."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from chatfile.cli.format import format_duration, format_size, percentage
from chatfile.cli.meter import TotalMeter, TransferMeter
from chatfile.downloads import Stage, Step


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (12_345, "12.3 kB"),
        (999_400, "999 kB"),
        (999_600, "1.0 MB"),
        (5_368_709_120, "5.4 GB"),
        (123_456_789_012_345_678, "123457 TB"),
    ],
)
def test_a_size_has_three_digits_or_so(count: int, text: str) -> None:
    assert format_size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (7.4, "0:07"), (61, "1:01"), (3723, "1:02:03")])
def test_a_duration_reads_as_on_a_stopwatch(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("part", "whole", "percent"), [(0, 9, 0), (999, 1000, 99), (9, 9, 100), (0, 0, 100), (2 * 10**18, 5 * 10**18, 40)]
)
def test_only_all_of_it_is_a_hundred_percent(part: int, whole: int, percent: int) -> None:
    assert percentage(part, whole) == percent


def receiving(clock: Clock, at: int = 0, size: int = 1000) -> TransferMeter:
    meter = TransferMeter("a", clock.seconds)
    meter.stage(Stage(Step.RECEIVING, at, size))
    return meter


def go_on(clock: Clock, meter: TransferMeter, *counts: int) -> None:
    """A second for each of so many bytes."""
    for count in counts:
        clock.advance(1)
        meter.advance(count)
        meter.measure()


def test_at_the_beginning_nobody_can_tell() -> None:
    meter = receiving(Clock())
    meter.measure()
    assert (meter.rate, meter.seconds_left) == (None, None)


def test_the_time_left_follows_from_the_rate() -> None:
    clock = Clock()
    meter = receiving(clock)
    go_on(clock, meter, 100, 100)
    assert (meter.at, meter.rate, meter.seconds_left) == (200, 100, 8)


def test_the_rate_is_that_of_the_last_seconds() -> None:
    clock = Clock()
    meter = receiving(clock)
    go_on(clock, meter, *[100] * 5, *[10] * 5)
    assert meter.rate == 10


def test_a_transfer_that_stands_still_has_no_end() -> None:
    clock = Clock()
    meter = receiving(clock)
    go_on(clock, meter, 100, *[0] * 5)
    assert (meter.rate, meter.seconds_left) == (0, None)


def test_what_was_there_before_does_not_count_as_fast() -> None:
    clock = Clock()
    meter = TransferMeter("a", clock.seconds)
    meter.stage(Stage(Step.CHECKING, 0, 500))
    clock.advance(10)
    meter.stage(Stage(Step.RECEIVING, 500, 1000))
    go_on(clock, meter, 100)
    assert (meter.at, meter.rate, meter.resumed_from) == (600, 100, 500)


def test_behind_the_last_byte_it_is_verified() -> None:
    meter = receiving(Clock(), 990)
    meter.advance(10)
    assert meter.step is Step.VERIFYING


def test_a_clock_that_steps_back_does_no_harm() -> None:
    now = [10.0]
    meter = TransferMeter("a", lambda: now[0])
    meter.stage(Stage(Step.RECEIVING, 0, 1000))
    now[0] = 5.0
    meter.measure()
    assert meter.rate is None
    meter.advance(10)
    now[0] = 11.0
    meter.measure()
    assert meter.rate == 10


def test_several_files_are_one_way() -> None:
    clock = Clock()
    total = TotalMeter([100, 0, 300], clock.seconds)
    total.begin(2)
    current = TransferMeter("c", clock.seconds, total=total)
    current.stage(Stage(Step.RECEIVING, 50, 300))
    go_on(clock, current, 20)
    total.measure()
    assert (total.name, total.at, total.size, total.rate) == ("2 of 3 files", 170, 400, 20)


def test_a_file_that_failed_or_has_changed_moves_the_whole_as_far_as_was_planned() -> None:
    total = TotalMeter([100, 100], Clock().seconds)
    total.begin(0)
    total.follow(receiving(Clock(), at=900))
    assert total.at == 100
    total.begin(1)
    assert total.at == 100


def test_a_reconnection_does_not_throw_the_whole_back() -> None:
    total = TotalMeter([1000], Clock().seconds)
    total.begin(0)
    total.follow(receiving(Clock(), at=400))
    total.begin(0)
    total.follow(TransferMeter("a", Clock().seconds))
    assert total.at == 400


def test_what_came_in_a_burst_has_a_rate_of_its_own_time_alone() -> None:
    clock = Clock()
    meter = TransferMeter("a", clock.seconds)
    assert meter.average_rate is None
    clock.advance(100)
    meter.stage(Stage(Step.RECEIVING, 500, 1000))
    go_on(clock, meter, 100, 400)
    clock.advance(100)
    assert (meter.average_rate, meter.received) == (250, 500)


def test_a_size_that_is_not_known_makes_the_whole_inexact() -> None:
    assert TotalMeter([5, 0], Clock().seconds).is_exact
    total = TotalMeter([5, -1], Clock().seconds)
    assert (total.size, total.is_exact) == (5, False)
