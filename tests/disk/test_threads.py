"""Threads that can't be had, or don't come back: neither end makes a fault of it, or waits for them at its end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.processes import PATIENCE, ServerProcess, client_command

NO_THREADS = """
import threading

def refuse(*_, **__):
    raise RuntimeError("can't start new thread")

threading._start_new_thread = refuse
"""
NO_ANSWER = """
import socket, threading

socket.getaddrinfo = lambda *_, **__: threading.Event().wait()
"""


def environment(folder: Path, at_start: str) -> dict[str, str]:
    """One in which Python does something `at_start`."""
    (folder / "start").mkdir()
    (folder / "start" / "sitecustomize.py").write_text(at_start)
    return {"PYTHONPATH": str(folder / "start")}


def run_client(
    folder: Path, settings: dict[str, str], *arguments: object, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        client_command(*arguments), cwd=folder, input=stdin, env={**os.environ, **settings}, capture_output=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip


@pytest.fixture
def served(tmp_path: Path) -> Path:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "a").write_bytes(b"content")
    return tmp_path / "served"


def test_a_server_without_threads_says_so_and_goes_on(served: Path) -> None:
    with ServerProcess(served, environment=environment(served.parent, NO_THREADS)) as server:
        client = server.greeted()
        for line in (b"list", b"get a", b"hash a", b"resume 1 a"):
            assert client.ask(line).startswith(b"ERROR unavailable ")
        assert client.ask(b"hello") == b"hello ACK"
        assert server.log.count("no more threads") == 2, "once for listings, and once for files"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "stdin", "code"),
    [
        (["list"], b"", 0),
        (["get", "a"], b"", 8),
        (["get", "a", "-o", "-"], b"", 8),
        (["get", "a", "b", "--json"], b"", 8),
        ([], b"hello\n", 8),
    ],
)
def test_a_client_without_threads_says_so(served: Path, arguments: list[str], stdin: bytes, code: int) -> None:
    with ServerProcess(served) as server:
        settings = environment(served.parent, NO_THREADS)
        done = run_client(served.parent, settings, "-s", f"127.0.0.1:{server.port}", *arguments, stdin=stdin)
    assert (done.returncode, b"Traceback" in done.stderr) == (code, False), done.stderr
    assert not list((served.parent / "client_downloads").glob("*"))


def test_without_threads_no_host_is_found_and_that_is_said(tmp_path: Path) -> None:
    done = run_client(tmp_path, environment(tmp_path, NO_THREADS), "-s", "localhost:1", "list")
    assert (done.returncode, b"Traceback" in done.stderr) == (3, False), done.stderr


@pytest.mark.slow
def test_a_silent_name_server_keeps_nobody_beyond_the_timeout(tmp_path: Path) -> None:
    began = time.monotonic()
    done = run_client(tmp_path, environment(tmp_path, NO_ANSWER), "-s", "host.invalid:1", "--timeout", 0.5, "list")
    assert done.returncode == 3
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("engine", ["redis://host.invalid", "sentinel://host.invalid/main"])
def test_a_silent_name_server_does_not_keep_a_node_at_its_end(served: Path, engine: str) -> None:
    settings = environment(served.parent, NO_ANSWER)
    with ServerProcess(served, f"--cluster={engine}", environment=settings) as node:
        assert node.connect().line().startswith(b"ERROR unavailable ")
        began = time.monotonic()
        node.process.send_signal(signal.SIGTERM)
        assert node.ended() == -signal.SIGTERM
        assert time.monotonic() - began < 5
