"""How far a transfer is, how fast it goes, how long it will take, and how that reads."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from chatfile.cli import units
from chatfile.cli.gauges import Gauge, Overall
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
    assert units.size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (7.4, "0:07"), (61, "1:01"), (3723, "1:02:03")])
def test_a_duration_reads_as_on_a_stopwatch(seconds: float, text: str) -> None:
    assert units.duration(seconds) == text


@pytest.mark.parametrize(
    ("part", "whole", "percent"), [(0, 9, 0), (999, 1000, 99), (9, 9, 100), (0, 0, 100), (2 * 10**18, 5 * 10**18, 40)]
)
def test_only_all_of_it_is_a_hundred_percent(part: int, whole: int, percent: int) -> None:
    assert units.percentage(part, whole) == percent


def receiving(clock: Clock, at: int = 0, size: int = 1000) -> Gauge:
    gauge = Gauge("a", clock.seconds)
    gauge.stage(Stage(Step.RECEIVING, at, size))
    return gauge


def go_on(clock: Clock, gauge: Gauge, *counts: int) -> None:
    """A second for each of so many bytes."""
    for count in counts:
        clock.advance(1)
        gauge.came(count)
        gauge.measure()


def test_at_the_beginning_nobody_can_tell() -> None:
    gauge = receiving(Clock())
    gauge.measure()
    assert (gauge.rate, gauge.seconds_left) == (None, None)


def test_the_time_left_follows_from_the_rate() -> None:
    clock = Clock()
    gauge = receiving(clock)
    go_on(clock, gauge, 100, 100)
    assert (gauge.at, gauge.rate, gauge.seconds_left) == (200, 100, 8)


def test_the_rate_is_that_of_the_last_seconds() -> None:
    clock = Clock()
    gauge = receiving(clock)
    go_on(clock, gauge, *[100] * 5, *[10] * 5)
    assert gauge.rate == 10


def test_a_transfer_that_stands_still_has_no_end() -> None:
    clock = Clock()
    gauge = receiving(clock)
    go_on(clock, gauge, 100, *[0] * 5)
    assert (gauge.rate, gauge.seconds_left) == (0, None)


def test_what_was_there_before_does_not_count_as_fast() -> None:
    clock = Clock()
    gauge = Gauge("a", clock.seconds)
    gauge.stage(Stage(Step.CHECKING, 0, 500))
    clock.advance(10)
    gauge.stage(Stage(Step.RECEIVING, 500, 1000))
    go_on(clock, gauge, 100)
    assert (gauge.at, gauge.rate, gauge.resumed_from) == (600, 100, 500)


def test_behind_the_last_byte_it_is_verified() -> None:
    gauge = receiving(Clock(), 990)
    gauge.came(10)
    assert gauge.step is Step.VERIFYING


def test_a_clock_that_steps_back_does_no_harm() -> None:
    times = iter([10.0, 10.0, 5.0, 11.0])
    gauge = Gauge("a", lambda: next(times))
    gauge.stage(Stage(Step.RECEIVING, 0, 1000))
    gauge.measure()
    gauge.came(10)
    gauge.measure()
    assert gauge.rate == 10


def test_several_files_are_one_way() -> None:
    clock = Clock()
    overall = Overall([100, 0, 300], clock.seconds)
    overall.begin(2)
    current = Gauge("c", clock.seconds, part_of=overall)
    current.stage(Stage(Step.RECEIVING, 50, 300))
    go_on(clock, current, 20)
    overall.measure()
    overall.follow(current)
    assert (overall.name, overall.at, overall.size, overall.rate) == ("2 of 3 files", 170, 400, 20)


def test_a_file_that_failed_or_has_changed_moves_the_whole_as_far_as_was_planned() -> None:
    overall = Overall([100, 100], Clock().seconds)
    overall.begin(0)
    overall.follow(receiving(Clock(), at=900))
    assert overall.at == 100
    overall.begin(1)
    overall.follow(None)
    assert overall.at == 100


def test_a_reconnection_does_not_throw_the_whole_back() -> None:
    overall = Overall([1000], Clock().seconds)
    overall.begin(0)
    overall.follow(receiving(Clock(), at=400))
    overall.follow(None)
    assert overall.at == 400
