"""A test that hangs, and signals that are ignored where the tests run."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.processes import PATIENCE, unmeasured

HANGING = """
import subprocess
import pytest_twisted
from twisted.internet.defer import Deferred

@pytest_twisted.ensureDeferred
async def test_that_hangs():
    with subprocess.Popen(["sh", "-c", "sleep 60 & wait"]):
        await Deferred()

def test_behind_it():
    pass
"""
IGNORING = """
import signal, subprocess, sys
from tests.support.processes import hear_signals
for number in map(int, sys.argv[1:]):
    signal.signal(number, signal.SIG_IGN)
hear_signals()
for number in map(int, sys.argv[1:]):
    signal.raise_signal(number)
for number in map(int, sys.argv[1:]):
    print(subprocess.run(["sh", "-c", f"kill -{number} $$; sleep 60"]).returncode)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of processes, and limits others, so")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_test_that_hangs_ends_its_process_is_named_and_leaves_none(tmp_path: Path, workers: int) -> None:
    (tmp_path / "test_it.py").write_text(HANGING)
    how = [
        "-qs",
        f"-n{workers}",
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
        "--timeout=1",
        "-c",
        ROOT / "pyproject.toml",
    ]
    command = [sys.executable, "-m", "pytest", *how, tmp_path / "test_it.py"]
    # Its output ends when the last process that has it does.
    done = subprocess.run(
        command, cwd=ROOT, env=unmeasured(), capture_output=True, text=True, timeout=3 * PATIENCE, check=False
    )
    assert done.returncode == 1, done.stdout
    assert "test_that_hangs has not ended" in done.stderr
    assert ("1 failed, 1 passed" in done.stdout) is bool(workers)


def test_what_is_started_hears_the_signals_that_are_ignored_here() -> None:
    ignored = [signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM]
    command = [sys.executable, "-c", IGNORING, *(str(int(number)) for number in ignored)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.stdout.split() == [str(-number) for number in ignored]
