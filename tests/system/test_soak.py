"""The soak of `tests/soak`, for seconds: every actor has its turn, and no promise is broken."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from twisted.internet.task import Clock

from chatfile import errors
from tests.soak.asking import asking, p99
from tests.soak.crowd import Actor, Crowd, in_thread
from tests.soak.ending import check_log
from tests.soak.gauge import HOUR, LONG, STEEPEST, Gauge, Sample, slope
from tests.soak.limits import SLACK, USUAL, check_in_time
from tests.soak.records import RECORD, records, versions
from tests.soak.stage import Stage
from tests.soak.trees import FOLDER, OURS, ChangingTree, look_at_mirror
from tests.support import ROOT
from tests.support.trees import tree

PATIENCE = 120.0


_PARTS = (
    "good visits", "hostile clients cut in time", "prompts left well", "bars drawn to the end", "small files fetched",
    "mirrors of a changing tree", "changes of the tree", "changing files whole", "nodes killed",
)  # fmt: skip
"""Of the report, each with a figure at the least; the last one only where there is an engine."""


@pytest.mark.slow
def test_a_server_among_good_slow_and_hostile_clients_keeps_its_promises() -> None:
    soak = [sys.executable, "-m", "tests.soak", "--seconds=1", "--seed=1"]
    done = subprocess.run(soak, cwd=ROOT, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    for part in _PARTS if shutil.which("redis-server") else _PARTS[:-1]:
        assert re.search(rf"^{part} .*\d", done.stdout.decode(), re.MULTILINE), part


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


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def changing(served: Path) -> ChangingTree:
    """A tree that has changed a lot already."""
    changing, rng = ChangingTree(served), Random(1)
    for _ in range(100):
        changing.change(None, rng)  # type: ignore[arg-type]  # it asks nothing of a stage
    return changing


def test_what_is_known_of_a_changing_tree_is_what_is_there(changing: ChangingTree, served: Path) -> None:
    files = tree(served / FOLDER).items()
    there = {path: changing.check(path, content) for path, content in files if isinstance(content, bytes)}
    assert there == changing.files
    assert len(changing.history) > len(changing.files), "nothing has ever been moved"


def test_what_never_was_in_a_changing_tree_is_found(changing: ChangingTree) -> None:
    path, version = next(iter(changing.files.items()))
    for content in (records(0, 1, version=10**6), records(0, 1, version) + records(1, 1, version + 1), b"", b"secret"):
        with pytest.raises((AssertionError, ValueError)):
            changing.check(path, content)


@pytest.mark.parametrize("change", ["lost", "replaced"])
def test_a_mirror_that_touches_what_is_the_users_is_found(changing: ChangingTree, tmp_path: Path, change: str) -> None:
    for path, content in OURS.items():
        (tmp_path / "copy" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / path).write_bytes(content)
    assert look_at_mirror(changing, tmp_path) == dict.fromkeys(OURS)
    if change == "lost":
        (tmp_path / "copy" / "b/mine.txt").unlink()
    else:
        (tmp_path / "copy" / "b/mine.txt").write_bytes(b"")
    with pytest.raises((AssertionError, ValueError)):
        look_at_mirror(changing, tmp_path)


@pytest.mark.parametrize(("turns", "wrongs"), [(0, 1), (1, 0)])
def test_only_who_has_had_no_turn_long_behind_the_end_never_got_a_seat(tmp_path: Path, turns: int, wrongs: int) -> None:
    stage = Stage([], seats=1, limits=USUAL, files={}, scratch=tmp_path)
    actor = Actor("x", in_thread(asking), 1, "turns")
    assert not Crowd(Clock(), stage, -100, seed="")._goes_on(actor, turns)
    assert len(stage.tally.wrongs) == wrongs


def test_99_of_100_lines_are_answered_within_the_time_that_is_told() -> None:
    assert p99([1.0] * 99 + [100.0]) == pytest.approx(1.99)
    assert [p99([]), p99([3.0])] == [0.0, 3.0]


def test_a_limit_is_kept_by_what_ends_at_it() -> None:
    check_in_time(time.monotonic() - 100, 100)


@pytest.mark.parametrize("took", [1.0, 110.0 + 2 * SLACK])
def test_a_limit_is_broken_by_what_ends_before_it_and_by_what_ends_long_behind_it(took: float) -> None:
    with pytest.raises(AssertionError):
        check_in_time(time.monotonic() - took, 100)
