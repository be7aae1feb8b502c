"""A prompt that is suspended, interrupted while it waits, or ended from outside: it obeys, and the terminal is fit."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import ServerProcess, client_command, wait_until
from tests.support.terminals import CTRL_C, CTRL_D, CTRL_Z, ENTER, PROMPT, Terminal, at_the_prompt, wait_for_bytes

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


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, *(pytest.param(each, marks=pytest.mark.slow) for each in (signal.SIGHUP, signal.SIGQUIT))],
)
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


def obeys_ctrl_c(terminal: Terminal) -> bool:
    """Whether it is a signal."""
    flags = terminal.settings()[3]
    assert isinstance(flags, int)
    return bool(flags & termios.ISIG)


@pytest.mark.slow
def test_leaving_a_server_that_says_nothing_can_be_interrupted(server: ServerProcess, tmp_path: Path) -> None:
    with at_the_prompt(server, tmp_path) as terminal:
        terminal.type(f"hello{ENTER}")
        terminal.see("hello ACK")
        server.process.send_signal(signal.SIGSTOP)
        try:
            terminal.type(CTRL_D)
            wait_until(lambda: obeys_ctrl_c(terminal))
            terminal.type(CTRL_C)
            assert terminal.ended() == 0
        finally:
            server.process.send_signal(signal.SIGCONT)


def _send_without_end(listener: socket.socket) -> None:
    """To one client; the next one hears nothing at all."""
    connection, _ = listener.accept()
    with connection, connection.makefile("rb") as lines, contextlib.suppress(OSError):
        connection.sendall(b"WELCOME Client01 chatfile/1\n")
        for line in lines:
            match line:
                case b"list\n":
                    connection.sendall(b"LIST 1\n20000000000 2026-11-22T12:00:00Z huge\n")
                case b"get huge\n":
                    connection.sendall(b"FILE 20000000000 2026-11-22T12:00:00Z huge\n")
                    while True:
                        connection.sendall(bytes(65536))
                case message:
                    connection.sendall(message[:-1] + b" ACK\n")


@pytest.mark.slow
def test_what_is_stopped_without_a_connection_gets_another_one(tmp_path: Path) -> None:
    limited = ("sh", "-c", 'ulimit -f 64; exec "$@"', "sh")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_send_without_end, args=(listener,), daemon=True).start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with Terminal(*limited, *client_command("-s", address), folder=tmp_path) as terminal:
            terminal.see(PROMPT)
            terminal.type(f"get huge{ENTER}")
            terminal.see("can't be written")
            terminal.see("Connecting; Ctrl-C stops that")
            terminal.type(ENTER)
            wait_until(lambda: not obeys_ctrl_c(terminal))
            terminal.type(CTRL_C)
            terminal.see(r'Stop "get huge"\? \(y/N\)')
            terminal.type(f"y{ENTER}")
            terminal.see("Connecting; Ctrl-C stops that")  # the second attempt: the first may still obey for a moment
            terminal.type(CTRL_C)
            terminal.see(r"attempt to connect was stopped[\s\S]*Connect again\? \(Y/n\)")
