"""Signals: none ends a connection cleanly amid a promised size, and those that ask for something else do no harm."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatfile.server.transfer import PromisedSize
from tests.support.processes import PATIENCE, RawClient, ServerProcess, wait_until
from tests.support.started import Started, program, said

BIG = 30_000_000
"""Bytes of a file that no socket buffer holds."""
IGNORED = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
MURDER = (signal.SIGKILL, signal.SIGQUIT, signal.SIGABRT, signal.SIGSEGV)
TWISTD = (program("twistd"), "-n", "--pidfile=", "chatfile")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    served = tmp_path / "served"
    served.mkdir()
    (served / "big").touch()
    os.truncate(served / "big", BIG)
    (served / "small").write_bytes(b"small")
    return served


@pytest.fixture
def server(folder: Path) -> Iterator[ServerProcess]:
    with ServerProcess(folder) as server:
        yield server


def ignored(pid: int, what: str = "Ign") -> int:
    """The mask of the signals that a process ignores, or blocks ("Blk")."""
    found = re.search(rf"Sig{what}:\s+([0-9a-f]+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1], 16)


def has(mask: int, number: int) -> bool:
    return bool(mask >> (number - 1) & 1)


def test_what_asks_for_something_else_is_told_and_a_transfer_goes_on(server: ServerProcess) -> None:
    with server.greeted() as client:
        assert client.ask(b"get big").startswith(b"FILE ")
        for number in IGNORED:
            server.process.send_signal(number)
            server.log_until(f"{number.name} is ignored")
        assert client.read(BIG) == bytes(BIG)
        assert client.line().startswith(b"END ")
        assert server.greeted().ask(b"hello") == b"hello ACK"


@pytest.mark.slow
def test_our_own_script_and_a_daemon_ignore_them_too(tmp_path: Path) -> None:
    with Started(tmp_path, sys.executable, "-m", "chatfile", stdout=subprocess.DEVNULL) as started:
        for number in IGNORED:
            started.process.send_signal(number)
        assert started.says(b"hello") == [b"hello ACK"]
        assert started.ended() == (-signal.SIGTERM, b"")
    command = [program("twistd"), "chatfile", "-p", "unix:daemon"]
    subprocess.run(command, cwd=tmp_path, timeout=PATIENCE, check=True)
    wait_until(lambda: bool(said(tmp_path / "daemon")))
    pid = int((tmp_path / "twistd.pid").read_text())
    for number in IGNORED:
        os.kill(pid, number)
    assert said(tmp_path / "daemon", b"hello")[1] == b"hello ACK"
    wait_until((tmp_path / "twistd.log.1").exists)  # twistd's own answer to SIGUSR1
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not (tmp_path / "twistd.pid").exists())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process blocks")
def test_our_own_script_ignores_them_while_it_is_loaded_already(tmp_path: Path) -> None:
    command = [program("chatfile-server"), "-p", "unix:socket"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as process:
        wait_until(lambda: has(ignored(process.pid, "Blk"), signal.SIGHUP))
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: process.poll() is not None or bool(said(tmp_path / "socket")))
        assert not has(ignored(process.pid, "Blk"), signal.SIGHUP)
        process.terminate()
        log, _ = process.communicate(timeout=PATIENCE)
        assert (process.returncode, log.count(b"SIGHUP is ignored")) == (-signal.SIGTERM, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process ignores")
def test_what_is_to_be_ignored_stays_so_to_the_end(folder: Path) -> None:
    command = ["sh", "-c", f"trap '' HUP INT; exec {' '.join(TWISTD)} -f served -p unix:socket"]
    with subprocess.Popen(command, cwd=folder.parent, stdout=subprocess.PIPE) as process:
        wait_until(lambda: bool(said(folder.parent / "socket")))
        with socket.socket(socket.AF_UNIX) as stuck:
            stuck.connect(str(folder.parent / "socket"))
            stuck.sendall(b"get big\n")
            stuck.settimeout(PATIENCE)
            stuck.recv(100)
            for number in (signal.SIGHUP, signal.SIGINT):
                assert has(ignored(process.pid), number)
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: not (folder.parent / "socket").exists())
            for number in (signal.SIGHUP, signal.SIGINT):
                assert has(ignored(process.pid), number)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)
            assert process.returncode == -signal.SIGTERM


def amid_a_file(server: ServerProcess) -> RawClient:
    client = server.greeted()
    assert client.ask(b"get big").startswith(b"FILE ")
    return client


def behind_a_file(server: ServerProcess) -> RawClient:
    client = server.greeted()
    assert client.ask(b"get small").startswith(b"FILE ")
    assert client.line().startswith(b"smallEND ")
    until = time.monotonic() + 10 * PromisedSize.LOOK
    wait_until(lambda: client.ask(b"hello") == b"hello ACK" and time.monotonic() > until)
    return client


@pytest.mark.slow
@pytest.mark.parametrize("number", [MURDER[0], *(pytest.param(each, marks=pytest.mark.slow) for each in MURDER[1:])])
def test_however_the_server_dies_what_was_promised_ends_with_a_reset_and_nothing_else_does(
    server: ServerProcess, number: int
) -> None:
    server.may_fail = True  # a fault handler may have its say
    amid, behind, idle = amid_a_file(server), behind_a_file(server), server.greeted()
    server.process.send_signal(number)
    assert server.ended() == -number
    with pytest.raises(ConnectionResetError):
        amid.rest()
    assert (behind.rest(), idle.rest()) == (b"", b"")
