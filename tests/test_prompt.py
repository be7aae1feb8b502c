"""`chatfile-client` in a terminal: the prompt, Ctrl-C, Ctrl-D, and a server that goes."""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import PATIENCE, ServerProcess, client_command


class Terminal:
    """A program in a terminal of its own: what is typed, and what is seen."""

    def __init__(self, *command: str, folder: Path) -> None:
        self._master, slave = os.openpty()
        name = os.ttyname(slave)
        # The first terminal that a new session opens is the one whose Ctrl-C it gets.
        opening = ["sh", "-c", 'exec "$@" < "$0" > "$0" 2>&1', name, *command]
        self.process = subprocess.Popen(opening, cwd=folder, start_new_session=True)
        self.screen = ""
        self._slave = slave  # open until the end, or the terminal is gone before the program has it

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def see(self, pattern: str) -> str:
        """Wait until the pattern is seen; the screen up to its end is taken away and given back."""
        deadline = time.monotonic() + PATIENCE
        with selectors.DefaultSelector() as selector:
            selector.register(self._master, selectors.EVENT_READ)
            while not (match := re.search(pattern, self.screen)):
                assert selector.select(deadline - time.monotonic()), self.screen
                self.screen += self._read()
        seen, self.screen = self.screen[: match.end()], self.screen[match.end() :]
        return seen

    def _read(self) -> str:
        try:
            return os.read(self._master, 65536).decode()
        except OSError as error:  # EIO: the program has let go of the terminal
            raise AssertionError(self.screen) from error

    def ended(self) -> int:
        return self.process.wait(PATIENCE)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    served = tmp_path_factory.mktemp("work") / "served"
    served.mkdir()
    (served / "a").write_bytes(b"content")
    (served / "\u202eliv\u202ce").touch()
    (served / "huge").touch()
    os.truncate(served / "huge", 2_000_000_000)
    return served


@pytest.fixture
def server(folder: Path) -> Iterator[ServerProcess]:
    with ServerProcess(folder, "--no-digest") as server:
        yield server


def prompt(server: ServerProcess, folder: Path) -> Terminal:
    terminal = Terminal(*client_command("-s", f"127.0.0.1:{server.port}"), folder=folder)
    terminal.see("Client01> ")
    return terminal


def test_a_conversation(server: ServerProcess, tmp_path: Path) -> None:
    with prompt(server, tmp_path) as terminal:
        terminal.type("hello\n")
        terminal.see("hello ACK\r\nClient01> ")
        terminal.type("get missing\n")
        terminal.see('no file "missing".*\r\nClient01> ')
        terminal.type("get a\n")
        terminal.see("client_downloads/a\r\n")
        terminal.type("exit\n")
        assert terminal.ended() == 0
    assert (tmp_path / "client_downloads" / "a").read_bytes() == b"content"


def test_names_can_not_play_with_the_terminal(server: ServerProcess, tmp_path: Path) -> None:
    with prompt(server, tmp_path) as terminal:
        terminal.type("list\n")
        assert r"\u202eliv\u202ce" in terminal.see("Client01> ")


def test_ctrl_d_leaves(server: ServerProcess, tmp_path: Path) -> None:
    with prompt(server, tmp_path) as terminal:
        terminal.type("\x04")
        assert terminal.ended() == 0


def test_ctrl_c_at_the_prompt_drops_the_line(server: ServerProcess, tmp_path: Path) -> None:
    with prompt(server, tmp_path) as terminal:
        terminal.type("half a li\x03")
        terminal.see(r"\^C.*\r\nClient01> ")
        terminal.type("hello\n")
        terminal.see("\nhello ACK\r\nClient01> ")


def test_ctrl_c_ends_a_transfer_but_not_the_session(server: ServerProcess, tmp_path: Path) -> None:
    with prompt(server, tmp_path) as terminal:
        terminal.type("get huge\n")
        part = tmp_path / "client_downloads" / ".huge.part"
        deadline = time.monotonic() + PATIENCE
        while not part.exists() or not part.stat().st_size:
            assert time.monotonic() < deadline
        terminal.type("\x03")
        terminal.see("Client02> ")
        terminal.type("hello\n")
        terminal.see("hello ACK\r\nClient02> ")
    assert sorted(os.listdir(tmp_path / "client_downloads")) == [".huge.note", ".huge.part"]


def test_a_server_that_goes_says_why(server: ServerProcess, tmp_path: Path) -> None:
    with prompt(server, tmp_path) as terminal:
        server.process.send_signal(signal.SIGTERM)
        terminal.see("chatfile-client: The server is going down")
        assert terminal.ended() == 6


def test_a_server_that_dies_is_noticed(server: ServerProcess, tmp_path: Path) -> None:
    with prompt(server, tmp_path) as terminal:
        server.process.kill()
        terminal.see("chatfile-client: The ")
        assert terminal.ended() == 6
