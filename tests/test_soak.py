"""The soak of `tests/soak`, for seconds: every actor has its turn, and no promise is broken."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.soak.gauge import HOUR, slope
from tests.soak.limits import SLACK, check_in_time
from tests.soak.records import RECORD, records, versions

PATIENCE = 120.0


def test_a_server_among_good_slow_and_hostile_clients_keeps_its_promises() -> None:
    soak = [sys.executable, "-m", "tests.soak", "--seconds=1", "--seed=1"]
    done = subprocess.run(soak, cwd=Path(__file__).parent.parent, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def test_a_slope_is_that_of_the_line() -> None:
    assert slope([(second, 5 + 2 * second / HOUR) for second in range(100)]) == pytest.approx(2)


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
