"""`python -m tests.mutation` tells what the tests of a module notice from what they don't."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.skipif(find_spec("cosmic_ray") is None, reason="there is no cosmic-ray here")

TOY = """\
from __future__ import annotations

from typing import Protocol

LEAST = 3


class Named(Protocol):
    least: int = 7


def is_enough(count: int | None) -> bool:
    return count is not None and count >= LEAST


def unused(count: int) -> int:
    return count + 1
"""
NOTICED = """\
import toy


def test_it() -> None:
    assert toy.is_enough(3)
    assert not toy.is_enough(2)
    assert not toy.is_enough(None)
"""
RUN = """\
from pathlib import Path
from tests.mutation.mutants import describe
from tests.mutation.rooms import Room
from tests.mutation.session import Session, run

if __name__ == "__main__":
    session = Session(Room("toy", [Path("toy.py")], ["test_toy.py"]), Path())
    run([session], jobs=1, again=False, say=print)
    told = [f"{result}: {describe(item).becomes}" for item, result in session.results()]
    Path("told").write_text("\\n".join(sorted(told)))
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.chdir(tmp_path)
    return Path("toy.py")


def test_what_is_there_for_readers_is_not_changed_nor_is_an_operator_put_in_the_place_of_each_other(toy: Path) -> None:
    from cosmic_ray.work_db import use_db

    from tests.mutation.mutants import describe, prepare

    with use_db("toy.sqlite") as session:
        prepare(session, [toy])
        assert sorted(describe(item).becomes for item in session.pending_work_items) == [
            "LEAST = 2",
            "LEAST = 4",
            "return count + 0",
            "return count + 2",
            "return count - 1",
            "return count is None and count >= LEAST",
            "return count is not None and count == LEAST",
            "return count is not None and count > LEAST",
            "return count is not None or count >= LEAST",
        ]


@pytest.mark.slow
def test_which_tests_reach_a_line_is_known_where_tests_are_run_by_several_processes(toy: Path) -> None:
    from tests.mutation.reach import Reach
    from tests.mutation.rooms import Room

    Path("test_toy.py").write_text(NOTICED)
    Path("pytest.ini").write_text("[pytest]\naddopts = -n 2 --dist=worksteal\n")
    reach = Reach(Room("toy", [toy], ["test_toy.py"]), Path("reach.coverage"))
    lines = TOY.splitlines()
    assert reach.tests(toy, lines.index("LEAST = 3") + 1) == [""]
    assert reach.tests(toy, lines.index("    return count is not None and count >= LEAST") + 1) == [
        "test_toy.py::test_it"
    ]
    assert reach.tests(toy, lines.index("    return count + 1") + 1) == []


@pytest.mark.slow
def test_a_change_that_no_test_notices_survives_also_one_that_none_reaches(toy: Path) -> None:
    Path("test_toy.py").write_text(NOTICED)
    Path("go.py").write_text(RUN)
    subprocess.run([sys.executable, "go.py"], env={"PYTHONPATH": f"{ROOT}:."}, check=True)
    assert Path("told").read_text().splitlines() == [
        "killed: LEAST = 2",
        "killed: LEAST = 4",
        "killed: return count is None and count >= LEAST",
        "killed: return count is not None and count > LEAST",
        "killed: return count is not None or count >= LEAST",
        "survived: return count + 0",
        "survived: return count + 2",
        "survived: return count - 1",
        "survived: return count is not None and count == LEAST",
    ]


def test_what_was_judged_still_stands_in_its_file() -> None:
    from tests.mutation.report import judgements

    for mutant in judgements():
        text = (ROOT / "chatfile" / mutant.file).read_text()
        assert mutant.was in " ".join(text.split()), mutant
