"""A prompt that is suspended, and one that is ended from outside: the terminal is fit for use each time."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ServerProcess, client_command, wait_until
from tests.terminals import CTRL_C, CTRL_D, CTRL_Z, ENTER, PROMPT, Terminal, at_the_prompt, wait_for_bytes

PASTES_ARE_MARKED, PASTES_ARE_NOT = "\x1b[?2004h", "\x1b[?2004l"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    served = tmp_path_factory.mktemp("work") / "served"
    served.mkdir()
    (served / "huge").touch()
    os.truncate(served / "huge", 20_000_000_000)
    with ServerProcess(served, "--no-digest") as server:
        yield server


def at_a_shell(folder: Path, **environment: str) -> Terminal:
    terminal = Terminal("sh", "-i", folder=folder, PS1="READY> ", ENV="", **environment)
    terminal.see("READY> ")
    return terminal


def prompt_from_shell(terminal: Terminal, server: ServerProcess) -> None:
    terminal.type(shlex.join(client_command("-s", f"127.0.0.1:{server.port}")) + ENTER)
    terminal.see(PROMPT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("name", ["xterm", pytest.param("dumb", marks=pytest.mark.slow)])
def test_a_prompt_that_is_killed_leaves_the_terminal_as_it_was(
    server: ServerProcess, tmp_path: Path, number: signal.Signals, name: str
) -> None:
    with Terminal("true", folder=tmp_path) as terminal:
        before = terminal.settings()
    with at_the_prompt(server, tmp_path, TERM=name) as terminal:
        assert (terminal.settings() == before) is (name == "dumb")
        terminal.process.send_signal(number)
        assert terminal.ended() == -number
        assert terminal.settings() == before
        assert "\x1b[?2004" not in terminal.raw or terminal.raw.rindex("\x1b[?2004l") > terminal.raw.rindex(
            "\x1b[?2004h"
        )


def test_ctrl_z_suspends_and_the_line_is_there_again(server: ServerProcess, tmp_path: Path) -> None:
    with at_a_shell(tmp_path) as terminal:
        prompt_from_shell(terminal, server)
        terminal.type(f"hello the{CTRL_Z}")
        terminal.see("Stopped[\\s\\S]*READY> ")
        terminal.type(f"fg{ENTER}")
        terminal.see(rf"{PROMPT} hello the")
        terminal.type(f"re{ENTER}")
        terminal.see("hello there ACK")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["xterm", "dumb"])
def test_a_download_can_be_suspended(server: ServerProcess, tmp_path: Path, name: str) -> None:
    part = tmp_path / "client_downloads" / ".huge.part"
    with at_a_shell(tmp_path, TERM=name) as terminal:
        prompt_from_shell(terminal, server)
        terminal.type(f"get huge{ENTER}")
        wait_for_bytes(part)
        terminal.type(CTRL_Z)
        terminal.see("Stopped[\\s\\S]*READY> ")
        came, usual = part.stat().st_size, terminal.settings()
        terminal.type(f"fg{ENTER}")
        wait_until(lambda: part.stat().st_size > came)
        wait_until(lambda: name == "dumb" or terminal.settings() != usual)
        terminal.type(CTRL_C)
        terminal.see(r"\(y/N\)")
        terminal.type(f"y{ENTER}")
        terminal.see("Stopped")
        assert part.stat().st_size >= came


@pytest.mark.slow
def test_ctrl_d_that_is_typed_too_early_is_not_lost_on_a_dumb_terminal(server: ServerProcess, tmp_path: Path) -> None:
    with at_the_prompt(server, tmp_path, TERM="dumb") as terminal:
        terminal.type(f"hello{ENTER}{CTRL_D}")
        assert terminal.ended() == 0
