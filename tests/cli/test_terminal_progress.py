"""Bars and the live view in a real terminal: what is seen, and how it is left."""

from __future__ import annotations

import hashlib
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from tests.support.hostile import GREET, Do, Hear, HostileServer, Send, Step, Wait
from tests.support.processes import ServerProcess, client_command
from tests.support.terminals import CTRL_C, Terminal

pytestmark = pytest.mark.slow

Hostile = Callable[..., HostileServer]
NAME = "Привет 文件 🎉.bin"
HALF = b"0" * 500
TIME = b"2026-11-22T12:00:00Z"
BYE: list[Step] = [Hear(b"exit"), Send(b"BYE Client01\n"), Do.CLOSE]
BEGIN: list[Step] = [
    *GREET, Hear(b"get"), Send(b"FILE %d %s %s\n" % (2 * len(HALF), TIME, NAME.encode()) + HALF),
]  # fmt: skip
END = b"END %s\n" % hashlib.sha256(HALF * 2).hexdigest().encode()


def get(server: HostileServer, folder: Path, *options: str, **terminal: Any) -> Terminal:
    folder.mkdir(exist_ok=True)
    command = client_command("-s", f"127.0.0.1:{server.port}", "get", NAME, *options)
    return Terminal(*command, folder=folder, **terminal)


def step_on(server: HostileServer) -> None:
    """The rest of the file, and its end."""
    server.connections[-1].transport.write(HALF + END)


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    "columns", [60, pytest.param(40, marks=pytest.mark.slow), pytest.param(80, marks=pytest.mark.slow)]
)
async def test_a_bar_stands_in_its_place_and_goes(hostile: Hostile, tmp_path: Path, columns: int) -> None:
    server = hostile([*BEGIN, *BYE])
    with get(server, tmp_path, columns=columns) as terminal:
        await deferToThread(terminal.see, r"При.* ━.* 50 %" + (r".*1\.0 kB" if columns > 60 else ""))
        step_on(server)
        await deferToThread(terminal.see, rf"client_downloads/{NAME}: 1\.0 kB in .*SHA-256 verified\r\n")
        assert await deferToThread(terminal.ended) == 0
    assert "\x1b[2K" in terminal.raw
    assert "\x1b[?25" not in terminal.raw


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_a_digest_that_is_waited_for_is_said(hostile: Hostile, tmp_path: Path) -> None:
    with get(hostile([*BEGIN, Send(HALF), Do.STALL]), tmp_path) as terminal:
        await deferToThread(terminal.see, "100 %.*verifying")


@pytest_twisted.ensureDeferred
async def test_ctrl_c_takes_the_bar_away_and_says_what_is_left(hostile: Hostile, tmp_path: Path) -> None:
    with get(hostile([*BEGIN, Do.STALL]), tmp_path, columns=60) as terminal:
        await deferToThread(terminal.see, "50 % ")
        terminal.type(CTRL_C)
        await deferToThread(terminal.see, "Interrupted. The part received so far is kept; get it again to go on.")
        assert await deferToThread(terminal.ended) == 130
    assert "\x1b[2K" in terminal.raw[terminal.raw.index("^C") :]


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_what_is_resumed_says_so(hostile: Hostile, tmp_path: Path) -> None:
    resumed = b"FILE %d %s %s\n" % (len(HALF), TIME, NAME.encode()) + HALF + END
    server = hostile([*BEGIN, Do.CLOSE], [*GREET, Hear(b"resume"), Send(resumed), *BYE])
    with get(server, tmp_path) as terminal:
        await deferToThread(terminal.see, "connecting again")
        await deferToThread(terminal.see, r"resumed at 50 %\r\n")
        await deferToThread(terminal.see, "resumed at 50 %, SHA-256 verified")


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_there_is_no_bar_where_none_can_be(hostile: Hostile, tmp_path: Path) -> None:
    slow = [*BEGIN, Wait(0.5), Send(HALF + END), *BYE]
    terminals = [
        get(hostile(slow), tmp_path / "quiet", "-q"),
        get(hostile(slow), tmp_path / "dumb", TERM="dumb"),
        get(hostile(slow), tmp_path / "copied", "-o", "-"),
    ]
    for terminal in terminals:
        with terminal:
            assert await deferToThread(terminal.ended) == 0
            terminal.type(".")
            await deferToThread(terminal.see, r"\.")
            assert "━" not in terminal.raw


def test_who_is_connected_is_seen_live_and_left_cleanly(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    with ServerProcess(tmp_path / "served") as server:
        command = client_command("-s", f"127.0.0.1:{server.port}", "watch", "--interval", "0.1")
        with Terminal(*command, folder=tmp_path, columns=60) as terminal:
            terminal.see(r"1 connected[\s\S]*CLIENT +ADDRESS[\s\S]*Client01.*you")
            server.greeted()
            terminal.see(r"2 connected[\s\S]*Client02 ")
            terminal.type(CTRL_C)
            assert terminal.ended() == 0
        server.log_until("Client01 left: it said exit|Client01 left")


@pytest.mark.parametrize(
    ("stop", "status"),
    [("q", 0), (CTRL_C, 0), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, -signal.SIGHUP)],
)
def test_a_watch_gives_the_terminal_back_as_it_was(tmp_path: Path, stop: str | signal.Signals, status: int) -> None:
    (tmp_path / "served").mkdir()
    with ServerProcess(tmp_path / "served") as server:
        command = client_command("-s", f"127.0.0.1:{server.port}", "watch", "--interval", "0.1")
        with Terminal(*command, folder=tmp_path) as terminal:
            usual = terminal.settings()
            terminal.see(r"\(uses one seat\)\. q or Ctrl-C stops\.[\s\S]*you")
            assert terminal.settings() != usual
            if isinstance(stop, str):
                terminal.type(stop)
            else:
                terminal.process.send_signal(stop)
            assert terminal.ended() == status
            assert terminal.settings() == usual


def test_keys_are_left_alone_where_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    with ServerProcess(tmp_path / "served") as server:
        watching = client_command("-s", f"127.0.0.1:{server.port}", "watch", "--interval", "0.1")
        with Terminal("sh", "-c", 'exec "$@" </dev/null', "sh", *watching, folder=tmp_path) as terminal:
            terminal.see(r"\(uses one seat\)\. Ctrl-C stops\.[\s\S]*you")
            terminal.type(CTRL_C)
            assert terminal.ended() == 0


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    served = tmp_path_factory.mktemp("work") / "served"
    served.mkdir()
    for name, size in (("data-10", 3), ("data-2", 10), ("\u202eliv", 1)):
        (served / name).write_bytes(bytes(size))
    with ServerProcess(served) as server:
        for _ in range(13):
            with server.greeted() as client:
                client.send(b"exit\n")
                client.line()
        yield server


@pytest.mark.parametrize(
    ("command", "seen"),
    [
        ("list", r"SIZE  CHANGED +NAME\r\n *10 B .*data-2\r\n *3 B .*data-10\r\n.*\\u202eliv\r\n3 files, 14 B\r\n"),
        ("list --sort size", r"data-2\r\n.*data-10\r\n.*\\u202eliv\r\n"),
        (
            "status",
            r"NAME +ADDRESS .*(\r\nClient.*){11}\(you\).*\r\n\d+ more left earlier: status --all",
        ),
        ("status --all", r"NAME +ADDRESS .*\r\nClient01 (.*\r\nClient.*){13,}\(you\).*\r\n$"),
        ("get data-2", r"client_downloads/data-2: 10 B in \d\.\d s, SHA-256 verified\r\n$"),
    ],
)
def test_results_on_a_terminal_are_for_people(results: ServerProcess, tmp_path: Path, command: str, seen: str) -> None:
    address = f"127.0.0.1:{results.port}"
    with Terminal(*client_command("-s", address, *command.split()), folder=tmp_path) as terminal:
        assert terminal.ended() == 0
        assert re.search(seen, terminal.screen), terminal.screen
        assert "\u202e" not in terminal.raw
