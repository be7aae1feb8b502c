"""What is under way at the prompt: lines one after the other, and how far a download is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from chatfile import wire
from chatfile.cli.meter import TotalMeter, TransferMeter
from chatfile.cli.prompt.jobs import Job, Jobs
from chatfile.cli.prompt.toolbar import toolbar
from chatfile.cli.prompt.transfers import Transfer
from chatfile.downloads import Stage, Step
from tests.support.talking import result_of

GB = 10**9


class Work:
    """Jobs that take as long as the test wants."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ends: list[Deferred[None]] = []
        self.faults: list[BaseException] = []
        self.takes_time = True
        self.jobs = Jobs(self._carry_out, self.faults.append)

    async def _carry_out(self, job: Job) -> None:
        self.begun.append(job.line)
        self.ends.append(Deferred())
        if self.takes_time:
            await self.ends[-1]

    def type(self, *lines: str) -> Work:
        for line in lines:
            self.jobs.add(Job(line, wire.Message(line)))
        return self


def test_lines_are_carried_out_one_after_the_other() -> None:
    work = Work().type("a", "b")
    assert work.begun == ["a"]
    work.ends[0].callback(None)
    assert work.begun == ["a", "b"]


def test_any_number_of_lines_may_wait_that_take_no_time() -> None:
    work = Work().type("a")
    work.takes_time = False
    work.type(*map(str, range(1000)))
    work.ends[0].callback(None)
    assert (len(work.begun), work.jobs.is_idle, result_of(work.jobs.idle())) == (1001, True, None)


def test_nothing_begins_while_they_are_held() -> None:
    work = Work().type("a", "b")
    work.jobs.hold()
    work.ends[0].callback(None)
    work.type("c")
    assert (work.begun, result_of(work.jobs.idle())) == (["a"], None)
    work.jobs.go_on()
    assert work.begun == ["a", "b"]


def test_what_is_stopped_ends_and_the_others_wait() -> None:
    work = Work().type("a", "b")
    assert result_of(work.jobs.stop()) is None
    assert (work.jobs.is_idle, work.begun, work.faults) == (True, ["a"], [])
    work.jobs.go_on()
    assert work.begun == ["a", "b"]


def test_what_is_kept_comes_before_the_others() -> None:
    work = Work().type("a", "b")
    work.jobs.keep(work.jobs.current or Job("", wire.Message("")))
    work.ends[0].callback(None)
    work.jobs.go_on()
    assert work.begun == ["a", "a"]


def test_a_fault_is_told_and_does_not_end_the_rest() -> None:
    work = Work().type("a", "b")
    fault = ZeroDivisionError()
    work.ends[0].errback(fault)
    assert (work.faults, work.begun) == ([fault], ["a", "b"])


# --- how far a download is ---


def transfer(clock: Clock, *sizes: int) -> Transfer:
    return Transfer([wire.FileRow(size, 0, f"file {at}") for at, size in enumerate(sizes)], clock.seconds)


def test_the_rate_is_that_of_the_last_seconds() -> None:
    clock = Clock()
    moving = transfer(clock, GB)
    moving.stage(Stage(Step.RECEIVING, 0, GB))
    for rate in (50, 10, 10, 10, 10, 10, 10):
        clock.advance(1)
        moving.advance(rate)
    assert moving.meter.rate == pytest.approx(10)


def test_a_transfer_that_stands_still_becomes_slower() -> None:
    clock = Clock()
    moving = transfer(clock, GB)
    moving.stage(Stage(Step.RECEIVING, 0, GB))
    clock.advance(1)
    moving.advance(1000)
    clock.advance(9)
    assert moving.meter.rate == pytest.approx(100)


def test_what_was_here_before_is_no_rate() -> None:
    clock = Clock()
    moving = transfer(clock, GB)
    moving.stage(Stage(Step.RECEIVING, GB // 2, GB))
    clock.advance(1)
    moving.advance(1000)
    meter = moving.meter
    assert (meter.resumed_from, meter.at, meter.rate) == (GB // 2, GB // 2 + 1000, pytest.approx(1000))


def test_several_files_have_an_overall_progress() -> None:
    moving = transfer(Clock(), 100, 300)
    moving.done(100)
    moving.stage(Stage(Step.RECEIVING, 0, 300))
    moving.advance(100)
    total = moving.total
    assert (total.done, total.files, total.at, total.size) == (1, 2, 200, 400)


def test_what_failed_is_counted() -> None:
    moving = transfer(Clock(), 100, 300)
    moving.done(None)
    moving.stage(Stage(Step.RECEIVING, 100, 300))
    moving.advance(200)
    moving.done(300)
    assert (moving.failed, moving.fetched, list(moving.left)) == (1, 200, [])


# --- the toolbar ---


def metered(name: str, step: Step, at: int, size: int, rate: int | None = None, resumed: int = 0) -> TransferMeter:
    clock = Clock()
    meter = TransferMeter(name, clock.seconds)
    meter.stage(Stage(Step.RECEIVING, resumed, size))
    if rate is not None:
        clock.advance(1)
        meter.advance(rate)
    meter.step, meter.at = step, at
    return meter


def total_of(done: int, at: int, *sizes: int) -> TotalMeter:
    total = TotalMeter(sizes, Clock().seconds)
    total.begin(done)
    total.at = at
    return total


ALONE = total_of(0, 0, 1)
HALF = metered("big.iso", Step.RECEIVING, 41 * GB // 10, 10 * GB, 312_000_000, GB)


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (120, "big.iso  41 %  4.1 GB of 10.0 GB  312 MB/s  0:19 left  resumed at 10 %  2 waiting  Ctrl-C stops it"),
        (80, "big.iso  41 %  4.1 GB of 10.0 GB  312 MB/s  0:19 left  resumed at 10 %"),
        (60, "big.iso  41 %  4.1 GB of 10.0 GB  312 MB/s  0:19 left"),
        (40, "big.iso  41 %  312 MB/s  0:19 left"),
        (20, "big.iso  41 %"),
        (10, "big.iso"),
        (5, "big.…"),
    ],
)
def test_a_narrow_toolbar_leaves_out_what_matters_least(width: int, text: str) -> None:
    assert toolbar(HALF, ALONE, 2, width) == text


@pytest.mark.parametrize(
    ("meter", "total", "text"),
    [
        (metered("a", Step.VERIFYING, 5, 5, 1), ALONE, "a  verifying"),
        (TransferMeter("a", Clock().seconds), ALONE, "a  checking"),
        (metered("a", Step.CHECKING, 0, 9), ALONE, "a  checking"),
        (metered("a", Step.CHECKING, 3, 9), ALONE, "a  checking  33 %"),
        (metered("a", Step.RECEIVING, 999, 1000), ALONE, "a  99 %  999 B of 1.0 kB"),
        (metered("a", Step.RECEIVING, 0, 0), ALONE, "a  100 %  0 B of 0 B"),
        (metered("a", Step.RECEIVING, 1, GB, 1), ALONE, "a  0 %  1 B of 1.0 GB  1 B/s  hardly moving"),
        (metered("a", Step.CHECKING, 0, 9), total_of(1, 38, *[20] * 5, 0, 0), "a  checking  file 2 of 7, 38 % of all"),
        (metered("a", Step.CHECKING, 0, 9), total_of(1, 38, 38, -1), "a  checking  file 2 of 2"),
        (metered("\x1b[2J\u202e", Step.CHECKING, 0, 9), ALONE, r"\x1b[2J\u202e  checking"),
    ],
)
def test_the_toolbar_tells_how_far_it_is(meter: TransferMeter, total: TotalMeter, text: str) -> None:
    assert toolbar(meter, total, 0, 80).removesuffix("  Ctrl-C stops it") == text


@given(st.text(min_size=1), st.integers(12, 150), st.integers(0, 9))
def test_the_toolbar_fits_the_window(name: str, width: int, waiting: int) -> None:
    meter = metered(name, Step.RECEIVING, 5, GB, 1_000_000, 3)
    assert get_cwidth(toolbar(meter, total_of(1, 1, *[1] * 7), waiting, width)) <= width
