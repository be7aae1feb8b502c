"""What the server is started with: an output that fails, descriptors in number, another time zone."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import IO

import pytest

from tests.support.processes import PATIENCE, ServerProcess, wait_until
from tests.support.started import Started, is_at_rest, program

pytestmark = pytest.mark.slow

SERVER = program("chatfile-server")
TWISTD = (program("twistd"), "-n", "--pidfile=")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of processes, and limits others, so")

SHA256_OF_X = hashlib.sha256(b"x\n").hexdigest().encode()
MANY_DESCRIPTORS = """
import os, resource, sys
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
for number in range(10, 1110):
    os.dup2(0, number)
os.execv(sys.argv[1], sys.argv[1:])
"""


# --- the output ---


def full() -> IO[bytes]:
    """A disk without space."""
    return open("/dev/full", "wb")


def unread() -> IO[bytes]:
    """A pipe whose reader has gone, as that of `head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "wb")


def goes_on_undisturbed(server: Started) -> bool:
    for _ in range(20):
        assert server.says(b"hello") == [b"hello ACK"]
    return is_at_rest(server.process.pid) and server.ended() == (-signal.SIGTERM, b"")


@on_linux
@pytest.mark.parametrize("output", [full, unread])
def test_an_output_that_can_not_be_written_disturbs_nobody(tmp_path: Path, output: Callable[[], IO[bytes]]) -> None:
    with output() as stdout, Started(tmp_path, SERVER, stdout=stdout) as server:
        assert goes_on_undisturbed(server)


@pytest.mark.slow
@on_linux
def test_a_closed_output_disturbs_nobody(tmp_path: Path) -> None:
    with Started(tmp_path, "sh", "-c", 'exec "$0" "$@" <&- >&-', SERVER) as server:
        assert goes_on_undisturbed(server)


@on_linux
def test_a_log_on_a_full_disk_disturbs_nobody(tmp_path: Path) -> None:
    with Started(tmp_path, *TWISTD, "--logfile=/dev/full", "chatfile") as server:
        assert goes_on_undisturbed(server)


# --- descriptors ---


@pytest.mark.slow
@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 1200, reason="the limit of descriptors is too low")
def test_many_inherited_descriptors_are_in_nobodys_way(tmp_path: Path) -> None:
    with Started(tmp_path, sys.executable, "-c", MANY_DESCRIPTORS, SERVER) as server:
        (tmp_path / "server_files" / "a").write_bytes(b"x\n")
        assert server.says(b"get a")[1:] == [b"x", b"END " + SHA256_OF_X]


@on_linux
def test_where_descriptors_run_out_newcomers_are_turned_away_until_there_are_some(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    with ServerProcess(tmp_path / "served", "--max-clients=20") as server:
        first = server.greeted()
        leave_descriptors(server.process.pid, 3)
        others = [server.connect() for _ in range(10)]
        greeted = [other.line().startswith(b"WELCOME ") for other in others]
        assert greeted == sorted(greeted, reverse=True)
        assert 0 < sum(greeted) <= 3
        assert first.ask(b"hello") == b"hello ACK"
        assert is_at_rest(server.process.pid)
        for other in others:
            other.close()
        wait_until(lambda: server.connect().line().startswith(b"WELCOME "))


def leave_descriptors(pid: int, count: int) -> None:
    """Limit a process to so many more than it has."""
    limit = max(map(int, os.listdir(f"/proc/{pid}/fd"))) + 1 + count
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))


def test_more_clients_than_the_process_has_descriptors_for_are_refused_at_the_start(tmp_path: Path) -> None:
    command = ["sh", "-c", 'ulimit -n 64; exec "$0" "$@"', SERVER, "-p", "unix:socket", "--max-clients=33"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    assert b"--max-clients" in done.stderr
    assert os.listdir(tmp_path) == []


# --- the time zone ---


@pytest.mark.slow
def test_times_are_utc_wherever_the_server_is(tmp_path: Path) -> None:
    elsewhere = {**os.environ, "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    with Started(tmp_path, SERVER, env=elsewhere, stdout=subprocess.DEVNULL) as server:
        (tmp_path / "server_files" / "a").touch()
        os.utime(tmp_path / "server_files" / "a", (0, 0))
        _, file, _, *visits = server.says(b"list", b"status")
    assert file.split()[1] == b"1970-01-01T00:00:00Z"
    connected = datetime.strptime(visits[-1].split()[2].decode(), "%Y-%m-%dT%H:%M:%S%z")
    assert abs(datetime.now(timezone.utc) - connected) < timedelta(minutes=1)
