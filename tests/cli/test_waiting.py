"""`--wait` at a full server that has a waiting line: the position is told, the turn comes, or the time is over."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import PATIENCE, ServerProcess, client_command, run_client


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    (tmp_path / "served").mkdir()
    with ServerProcess(tmp_path / "served", "-n", "1", "--waiting=2", "--max-per-address=9") as server:
        yield server


@contextmanager
def waiting(server: ServerProcess, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A client that waits in the line, and has been told so."""
    command = client_command("-s", f"127.0.0.1:{server.port}", "--wait", "60", *arguments)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
        assert client.stderr is not None
        assert "in its waiting line (" in client.stderr.readline()
        try:
            yield client
        finally:
            client.kill()


def test_a_seat_comes_to_those_who_wait_in_their_order(tmp_path: Path, server: ServerProcess) -> None:
    seated = server.greeted()
    with waiting(server, "send", "first") as first, waiting(server, "--json", "send", "second") as second:
        assert second.stdout is not None
        told = json.loads(second.stdout.readline())
        assert (told["event"], told["code"], told["position"]) == ("waiting", "full", 2)
        refused = run_client(tmp_path, "-s", f"127.0.0.1:{server.port}", "--wait", "0.3", "send", "third")
        assert (refused.returncode, refused.stdout) == (4, b"")
        seated.close()
        assert first.wait(PATIENCE) == 0
        assert second.wait(PATIENCE) == 0
        assert json.loads(second.stdout.readlines()[-1])["reply"] == "second ACK"


def test_when_the_time_is_over_the_place_is_given_up_and_that_is_told(tmp_path: Path, server: ServerProcess) -> None:
    with server.greeted():
        for _ in range(2):
            done = run_client(tmp_path, "-s", f"127.0.0.1:{server.port}", "--wait", "0.3", "list")
            assert done.returncode == 4
            assert b"No seat became free in 0.3 s: still number 1" in done.stderr


def test_without_the_wish_nobody_waits(tmp_path: Path, server: ServerProcess) -> None:
    with server.greeted():
        done = run_client(tmp_path, "-s", f"127.0.0.1:{server.port}", "list")
        assert (done.returncode, done.stdout) == (4, b"")


def test_a_server_that_goes_while_one_waits_is_no_greeting(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    with ServerProcess(tmp_path / "served", "-n", "1", "--waiting=2", "--drain-timeout=0.5") as server:
        with server.greeted(), waiting(server, "list") as client:
            server.process.terminate()
            assert client.wait(PATIENCE) == 3
        server.ended()
