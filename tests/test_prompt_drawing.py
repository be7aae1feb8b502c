"""The screen of the prompt, while something goes on behind the line that is being typed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ServerProcess, client_command
from tests.terminals import ENTER, PROMPT
from tests.windows import Window


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    served = tmp_path_factory.mktemp("work") / "served"
    served.mkdir()
    for name, size in (("large", 600_000_000), ("huge", 5_000_000_000)):
        (served / name).touch()
        os.truncate(served / name, size)
    with ServerProcess(served, "--no-digest") as server:
        yield server


@pytest.fixture
def window(server: ServerProcess, tmp_path: Path) -> Iterator[Window]:
    with Window(*client_command("-s", f"127.0.0.1:{server.port}"), folder=tmp_path) as window:
        window.see(PROMPT)
        yield window


def test_the_progress_goes_on_by_itself(window: Window) -> None:
    window.type(f"get huge{ENTER}")
    for _ in range(2):
        percent = window.see(r"huge  (\d+) %.* left")[1]
        window.see(rf"huge  (?!{percent} )\d+ %")


@pytest.mark.slow
def test_what_comes_stands_above_what_is_being_typed(window: Window) -> None:
    window.type(f"get large{ENTER}anybody?{ENTER}half a line")
    window.see(rf"client_downloads/large: [\s\S]*\nanybody\? ACK\n{PROMPT} half a line\s*$")
