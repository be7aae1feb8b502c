"""The screen of the prompt, while something goes on behind the line that is being typed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import ServerProcess, client_command
from tests.support.terminals import ENTER, PROMPT, TAB
from tests.support.windows import Window

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    served = tmp_path_factory.mktemp("work") / "served"
    served.mkdir()
    for name, size in (("large", 600_000_000), ("huge", 5_000_000_000)):
        (served / name).touch()
        os.truncate(served / name, size)
    with ServerProcess(served, "--no-digest") as server:
        yield server


def connected(server: ServerProcess, folder: Path, **environment: str) -> Window:
    return Window(*client_command("-s", f"127.0.0.1:{server.port}"), folder=folder, **environment)


@pytest.fixture
def window(server: ServerProcess, tmp_path: Path) -> Iterator[Window]:
    with connected(server, tmp_path) as window:
        window.see(PROMPT)
        yield window


def test_the_progress_goes_on_by_itself(window: Window) -> None:
    window.type(f"get huge{ENTER}")
    for _ in range(2):
        percent = window.see(r"huge  (\d+) %.* left")[1]
        window.see(rf"huge  (?!{percent} )\d+ %")


def test_what_comes_stands_above_what_is_being_typed(window: Window) -> None:
    window.type(f"get large{ENTER}anybody?{ENTER}half a line")
    window.see(rf"client_downloads/large: [\s\S]*\nanybody\? ACK\n{PROMPT} half a line\s*$")


@pytest.mark.parametrize("no_color", ["", "1"])
def test_what_is_chosen_in_the_menu_is_seen_with_and_without_colours(
    server: ServerProcess, tmp_path: Path, no_color: str
) -> None:
    with connected(server, tmp_path, NO_COLOR=no_color) as window:
        window.type(f"list{ENTER}")
        window.see(rf"2 files, [\s\S]*{PROMPT}")
        window.type(f"get {TAB}")
        window.see(r"> get\n *huge +5\.0 GB *\n *large +600 MB")
        window.type(TAB)
        window.see("> get huge")
        window.see_in_reverse("huge")


def test_tab_and_enter_in_one_moment_ask_for_what_is_shown(window: Window) -> None:
    window.type(f"list{ENTER}")
    window.see(rf"2 files, [\s\S]*{PROMPT}\s*$")
    window.type(f"get hu{TAB}{ENTER}")
    window.see(r"> get huge\n[\s\S]*huge  \d+ %")
