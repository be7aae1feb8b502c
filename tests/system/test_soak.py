"""The soak of `tests/soak`, for seconds: every actor has its turn, and no promise is broken."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chatfile import errors
from tests.soak.ending import check_log
from tests.soak.gauge import HOUR, LONG, STEEPEST, Gauge, Sample, slope
from tests.soak.limits import SLACK, check_in_time
from tests.soak.records import RECORD, records, versions
from tests.support import ROOT

PATIENCE = 120.0


@pytest.mark.slow
def test_a_server_among_good_slow_and_hostile_clients_keeps_its_promises() -> None:
    soak = [sys.executable, "-m", "tests.soak", "--seconds=1", "--seed=1"]
    done = subprocess.run(soak, cwd=ROOT, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def test_a_slope_is_that_of_the_line() -> None:
    assert slope([(second, 5 + 2 * second / HOUR) for second in range(100)]) == pytest.approx(2)


def _rising(slope: float) -> Gauge:
    """As if this process had risen from its peak by so many MiB an hour."""
    gauge = Gauge(os.getpid())
    gauge.samples = [Sample(second, gauge.peak() + slope * second / HOUR, 10, 5) for second in range(int(LONG) + 1)]
    return gauge


def test_memory_may_rise_a_little() -> None:
    _rising(STEEPEST / 2).check(clients=3)


def test_threads_may_not_be_more_than_there_are_lanes_for() -> None:
    gauge = Gauge(os.getpid())
    gauge.samples.append(Sample(gauge.samples[0].time + 1, gauge.samples[0].memory, 10, 43))
    with pytest.raises(AssertionError):
        gauge.check(clients=3)


def test_memory_that_goes_on_rising_is_a_leak() -> None:
    with pytest.raises(AssertionError):
        _rising(STEEPEST * 2).check(clients=3)


def test_the_log_may_tell_of_files_that_shrank(tmp_path: Path) -> None:
    log = tmp_path / "log"
    shrank = errors.FileShrank(missing=5)
    log.write_text(f"[x#info] all is well\n[x#error] Client07 is cut off: {shrank}\n")
    check_log(log)


@pytest.mark.parametrize(
    "line", ["[x#error] Client07 is cut off: Input/output error", "[x#critical] ", "Traceback (most"]
)
def test_the_log_may_tell_of_no_other_error(tmp_path: Path, line: str) -> None:
    log = tmp_path / "log"
    log.write_text(f"[x#info] all is well\n{line}\n")
    with pytest.raises(AssertionError):
        check_log(log)


def test_what_lies_in_the_place_of_another_record_is_found() -> None:
    content = records(0, 3, version=1) + records(3, 2, version=2)
    assert versions(content) == {1, 2}
    for damaged in (content[RECORD:], content[:-1], content[:-RECORD] + bytes(RECORD)):
        with pytest.raises(AssertionError):
            versions(damaged)


def test_a_limit_is_kept_by_what_ends_at_it() -> None:
    check_in_time(time.monotonic() - 100, 100)


@pytest.mark.parametrize("took", [1.0, 110.0 + 2 * SLACK])
def test_a_limit_is_broken_by_what_ends_before_it_and_by_what_ends_long_behind_it(took: float) -> None:
    with pytest.raises(AssertionError):
        check_in_time(time.monotonic() - took, 100)
