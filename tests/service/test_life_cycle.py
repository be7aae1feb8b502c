"""How the server starts, refuses to start, ends, is killed, and is there again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.processes import PATIENCE, ServerProcess, client_command, run_client, wait_until
from tests.support.started import Started, program, said

pytestmark = pytest.mark.slow

TWISTD = program("twistd")
BIG = 30_000_000
"""Bytes of a file that no socket buffer holds."""
HUGE = 200_000_000
"""Bytes of a file that takes long enough to be interrupted."""
SOON = 10
"""Seconds: far less than any limit that is not set here, and enough on a busy machine."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    served = tmp_path / "served"
    served.mkdir()
    (served / "big").touch()
    os.truncate(served / "big", BIG)
    return served


def endpoint(server: ServerProcess) -> str:
    return f"tcp:{server.port}:interface=127.0.0.1"


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=PATIENCE, check=False)


# --- the start ---


@pytest.mark.slow
def test_the_package_itself_can_be_run(tmp_path: Path) -> None:
    with Started(tmp_path, sys.executable, "-m", "chatfile", stdout=subprocess.DEVNULL) as server:
        assert server.says(b"hello") == [b"hello ACK"]
        assert not (tmp_path / "twistd.pid").exists()
        assert server.ended() == (-signal.SIGTERM, b"")
    assert os.listdir(tmp_path) == ["server_files"]


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("--max-clients=999999999", "--max-clients"),
        ("--files=missing", "--files"),
        ("more", "more"),
    ],
)
def test_a_bad_option_is_one_line_and_nothing_has_begun(tmp_path: Path, option: str, named: str) -> None:
    done = run(tmp_path, TWISTD, "chatfile", "-p", "unix:socket", option)
    usage, _, line = done.stdout.decode().rstrip("\n").rpartition("\n")
    assert (done.returncode, done.stderr) == (1, b"")
    assert named in line
    assert usage.startswith("Usage:")
    assert os.listdir(tmp_path) == []


def test_our_own_script_says_a_bad_option_without_the_others(tmp_path: Path) -> None:
    done = run(tmp_path, sys.executable, "-m", "chatfile", "-p", "unix:socket", "--bog\x1bus")
    complaint, advice = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout) == (1, b"")
    assert "--bog\\x1bus" in complaint
    assert "--help" in advice
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("command", [(TWISTD, "chatfile"), (sys.executable, "-m", "chatfile")])
def test_the_version_is_ours(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = run(tmp_path, *command, "--version")
    assert (done.returncode, done.stdout) == (0, f"chatfile {version('chatfile')}\n".encode())


# --- a daemon ---


@pytest.mark.slow
def test_a_daemon_leaves_its_number_and_takes_it_away_at_its_end(tmp_path: Path) -> None:
    done = run(tmp_path, TWISTD, "chatfile", "-p", "unix:socket")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    wait_until(lambda: bool(said(tmp_path / "socket")))
    os.kill(int((tmp_path / "twistd.pid").read_text()), signal.SIGTERM)
    wait_until(lambda: not (tmp_path / "twistd.pid").exists())
    assert not (tmp_path / "socket").exists()
    assert "Traceback" not in (tmp_path / "twistd.log").read_text()


@pytest.mark.parametrize(
    "port", ["tcp:99999", "tcp:0:backlog=99999999999999", "tcp:0:interface=\udcff", "unix:socket:mode=7777777777777"]
)
def test_what_can_not_be_listened_on_is_one_line_whatever_it_raises(tmp_path: Path, port: str) -> None:
    done = run(tmp_path, TWISTD, "-n", "--pidfile=", "chatfile", "-p", port)
    assert (done.returncode, len(done.stderr.splitlines()), b"Traceback" in done.stdout) == (1, 1, False), done
    assert port[:8].encode() in done.stderr
    assert b"--port" in done.stderr


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        (("-n", "--pidfile=nowhere/pid"), b"--pidfile="),
        (("--pidfile=nowhere/pid",), b"--pidfile="),
        (("-n", "--pidfile=", "--logfile=nowhere/log"), b"--logfile="),
    ],
)
def test_files_of_twistd_that_can_not_be_written_are_one_line(
    tmp_path: Path, options: tuple[str, ...], advice: bytes
) -> None:
    done = run(tmp_path, TWISTD, *options, "chatfile", "-p", "unix:socket")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, b"", 1), done.stderr
    assert b"nowhere/" in done.stderr
    assert advice in done.stderr
    assert os.listdir(tmp_path) == ["server_files"]


@pytest.mark.parametrize(
    ("command", "advice"),
    [
        ((TWISTD, "-n", "chatfile", "-f", "/usr"), b"--pidfile="),
        ((TWISTD, "-n", "--pidfile=", "chatfile"), b"--files"),
        ((sys.executable, "-m", "chatfile"), b"--files"),
    ],
)
def test_a_working_directory_that_is_gone_is_told_in_a_line(
    tmp_path: Path, command: tuple[str, ...], advice: bytes
) -> None:
    (tmp_path / "gone").mkdir()
    done = run(tmp_path, "sh", "-c", 'cd gone; rmdir ../gone; exec "$@" -p unix:/dev/null/x', "sh", *command)
    said = done.stdout + done.stderr
    assert (done.returncode, b"Traceback" in said) == (1, False), said
    assert advice in said.splitlines()[-1] + said.splitlines()[-2]


def test_a_daemon_that_can_not_listen_says_so_and_leaves_no_number(tmp_path: Path) -> None:
    done = run(tmp_path, TWISTD, "chatfile", "-p", "unix:nowhere/socket")
    assert done.returncode == 1
    assert b"nowhere/socket" in done.stderr.splitlines()[0]
    assert b"Traceback" not in done.stderr
    wait_until(lambda: not (tmp_path / "twistd.pid").exists())  # the one that was started hears of its end first


# --- the end ---


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_at_once_though_who_was_told_stays(folder: Path, number: int) -> None:
    with ServerProcess(folder) as server, server.greeted() as client:
        began = time.monotonic()
        server.process.send_signal(number)
        assert server.ended() == -number
        assert time.monotonic() - began < SOON
        assert client.line().startswith(b"ERROR shutdown ")


def test_who_is_stuck_is_reset_at_the_deadline_and_not_before(folder: Path) -> None:
    with ServerProcess(folder, "--drain-timeout=0.5") as server, server.greeted() as stuck:
        stuck.ask(b"get big")
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.ended() == -signal.SIGTERM
        assert 0.5 <= time.monotonic() - began < SOON
        with pytest.raises(ConnectionResetError):
            stuck.rest()


def test_a_second_interrupt_ends_it_at_once(folder: Path) -> None:
    with ServerProcess(folder) as server, server.greeted() as stuck:
        stuck.ask(b"get big")
        began = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        server.log_until(r"Port \d+ Closed")
        server.process.send_signal(signal.SIGINT)
        assert server.ended() == -signal.SIGINT
        assert time.monotonic() - began < SOON
        with pytest.raises(ConnectionResetError):
            stuck.rest()


# --- and the next one ---


@pytest.mark.slow
def test_the_next_server_has_the_port_while_the_last_transfer_is_finished(folder: Path) -> None:
    with ServerProcess(folder) as old, old.greeted() as downloading:
        downloading.ask(b"get big")
        old.process.send_signal(signal.SIGTERM)
        old.log_until(r"Port \d+ Closed")
        with ServerProcess(folder, port=endpoint(old)) as new:
            assert new.greeted().ask(b"hello") == b"hello ACK"
            assert downloading.read(BIG) == bytes(BIG)
            assert downloading.line().startswith(b"END ")
            assert old.ended() == -signal.SIGTERM


def test_a_killed_server_leaves_its_port_whatever_connections_are_left(folder: Path) -> None:
    with ServerProcess(folder) as old, old.greeted() as staying:
        with old.greeted() as gone:  # and its port is in TIME_WAIT, for it is the server that closes first
            gone.send(b"exit\n")
            gone.rest()
        old.process.kill()
        old.ended()
        with ServerProcess(folder, port=endpoint(old)) as new:
            assert new.greeted().ask(b"hello") == b"hello ACK"
        assert staying.rest() == b""


@pytest.mark.slow
def test_what_a_killed_server_left_unfinished_is_resumed_at_the_next_one(folder: Path, tmp_path: Path) -> None:
    os.truncate(folder / "big", HUGE)
    part = tmp_path / "client_downloads" / ".big.part"
    with ServerProcess(folder) as old:
        get = client_command("-q", "-s", f"127.0.0.1:{old.port}", "get", "big")
        slowly = ["nice", "-n", "5", *get]  # so that the test is sure to see it under way
        with subprocess.Popen(slowly, cwd=tmp_path, stderr=subprocess.DEVNULL) as client:
            wait_until(lambda: part.exists() and part.stat().st_size > 1_000_000)
            old.process.kill()
            assert client.wait(PATIENCE) == 6
    assert sorted(os.listdir(part.parent)) == [".big.note", ".big.part"]
    kept = part.stat().st_size
    with ServerProcess(folder, port=endpoint(old)) as new, new.greeted() as watcher:
        assert run_client(tmp_path, "-q", "-s", f"127.0.0.1:{old.port}", "get", "big").returncode == 0
        assert watcher.ask(b"status") == b"STATUS 2"
        assert [int(watcher.line().split()[-1]) for _ in range(2)] == [0, HUGE - kept]
    assert os.listdir(part.parent) == ["big"]
