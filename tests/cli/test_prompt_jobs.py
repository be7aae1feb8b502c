"""What is under way at the prompt: lines one after the other, and how far a download is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from chatfile.cli.commands import SendMessage
from chatfile.cli.lines import parse_at_prompt
from chatfile.cli.live import toolbar
from chatfile.cli.meter import TotalMeter, TransferMeter
from chatfile.cli.progress import Progress
from chatfile.cli.prompt.executor import Job, JobQueue
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
        self.jobs = JobQueue(self._carry_out, self.faults.append)

    async def _carry_out(self, job: Job) -> None:
        self.begun.append(job.line)
        self.ends.append(Deferred())
        if self.takes_time:
            await self.ends[-1]

    def type(self, *lines: str) -> Work:
        for line in lines:
            self.jobs.add(Job(line, SendMessage(line)))
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
    assert (len(work.begun), work.jobs.is_idle, result_of(work.jobs.wait_idle())) == (1001, True, None)


def test_nothing_begins_while_they_are_paused() -> None:
    work = Work().type("a", "b")
    work.jobs.pause()
    work.ends[0].callback(None)
    work.type("c")
    assert (work.begun, result_of(work.jobs.wait_idle())) == (["a"], None)
    work.jobs.resume()
    assert work.begun == ["a", "b"]


def test_what_is_stopped_ends_and_the_others_wait() -> None:
    work = Work().type("a", "b")
    assert result_of(work.jobs.stop()) is None
    assert (work.jobs.is_idle, work.begun, work.faults) == (True, ["a"], [])
    work.jobs.resume()
    assert work.begun == ["a", "b"]


def test_what_is_requeued_comes_before_the_others() -> None:
    work = Work().type("a", "b")
    work.jobs.requeue(work.jobs.current or Job("", SendMessage("")))
    work.ends[0].callback(None)
    work.jobs.resume()
    assert work.begun == ["a", "a"]


def test_a_fault_is_told_and_does_not_end_the_rest() -> None:
    work = Work().type("a", "b")
    fault = ZeroDivisionError()
    work.ends[0].errback(fault)
    assert (work.faults, work.begun) == ([fault], ["a", "b"])


# --- the toolbar ---


def moving(
    name: str = "big.iso", step: Step = Step.RECEIVING, at: int = 0, size: int = GB, rate: float = 0, resumed: int = 0
) -> Progress:
    """A download that is so far, with a second of that rate behind it."""
    clock = Clock()
    progress = Progress(clock)
    meter = progress.current = TransferMeter(name, clock.seconds)
    meter.stage(Stage(Step.RECEIVING, resumed, size))
    meter.advance(int(rate))
    if rate:
        clock.advance(1)
        meter.measure()
    meter.step, meter.at = step, at
    return progress


def of_several(progress: Progress, done: int, sizes: list[int], at: int) -> Progress:
    progress.total = TotalMeter(sizes, Clock().seconds)
    progress.total.begin(done)
    progress.total.at = at
    return progress


HALF = moving(at=41 * GB // 10, size=10 * GB, rate=312e6, resumed=GB)


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
    assert toolbar(HALF.current, HALF.total, 2, width) == text


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (moving("a", Step.VERIFYING, 5, 5, 1), "a  verifying"),
        (moving("a", Step.CHECKING), "a  checking"),
        (moving("a", Step.CHECKING, 3, 9), "a  checking  33 %"),
        (moving("a", Step.RECEIVING, 999, 1000), "a  99 %  999 B of 1.0 kB"),
        (moving("a", Step.RECEIVING, 0, 0), "a  100 %  0 B of 0 B"),
        (moving("a", Step.RECEIVING, 1, GB, 1), "a  0 %  1 B of 1.0 GB  1 B/s  hardly moving"),
        (of_several(moving("a", Step.CHECKING, 0, 9), 1, [10] * 7, 27), "a  checking  file 2 of 7, 38 % of all"),
        (moving("\x1b[2J\u202e", Step.CHECKING), r"\x1b[2J\u202e  checking"),
    ],
)
def test_the_toolbar_tells_how_far_it_is(progress: Progress, text: str) -> None:
    assert toolbar(progress.current, progress.total, 0, 80).removesuffix("  Ctrl-C stops it") == text


@given(st.text(min_size=1), st.integers(12, 150), st.integers(0, 9))
def test_the_toolbar_fits_the_window(name: str, width: int, waiting: int) -> None:
    progress = of_several(moving(name, Step.RECEIVING, 5, GB, 1e6, 3), 1, [GB] * 7, GB)
    assert get_cwidth(toolbar(progress.current, progress.total, waiting, width)) <= width


@pytest.mark.parametrize(("line", "is_fetching"), [("mirror docs --delete", True), ("list", False), ("hello", False)])
def test_a_mirror_is_a_download_beside_which_others_are_answered_and_which_is_carried_out_once_more(
    line: str, is_fetching: bool
) -> None:
    job = Job(line, parse_at_prompt(line))
    jobs = JobQueue(lambda _: Deferred(), lambda _: None)  # type: ignore[arg-type,return-value]  # it never ends
    jobs.add(job)
    assert (job.is_fetching, jobs.is_downloading) == (is_fetching, is_fetching)
