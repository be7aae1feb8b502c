"""What a file costs among many, counted, not timed: calls to the system at both ends, and calls of functions here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from chatfile import wire
from chatfile.downloads import Download, DownloadAhead
from tests.support.linked import Link
from tests.support.processes import ServerProcess, client_command
from tests.support.serving import Server
from tests.support.tracing import traced
from tests.support.transports import at_once, turn_over

FEW, MANY = 60, 600
SIZE = 500


def fill(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        path = folder / f"file-{number:04}"
        path.write_bytes(bytes(SIZE))
        os.utime(path, (1e9, 1e9))
    return folder


# --- calls to the system, of whole programs ---


Calls = Counter[str]


def _counted(summary: Path) -> Calls:
    """The table of `strace -c`: how often each call was made."""
    rows = [line.split() for line in summary.read_text().splitlines()]
    counts = {row[-1]: int(row[3]) for row in rows if len(row) in (5, 6) and row[3].isdigit()}
    return Counter({call: count for call, count in counts.items() if call not in _NOT_ABOUT_FILES})


_NOT_ABOUT_FILES = ("total", "mmap", "munmap", "brk")
"""The sum, and calls for the stacks of threads and other memory, which depend on the machine."""


def _counting_calls(summary: Path) -> list[str]:
    """How often threads are started, and wait for each other, depends on the machine, and is not counted."""
    return ["-c", "-e", "trace=%file,%desc,%network", "-o", str(summary)]


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Calls]:
    """The calls of the client or the server for so many files, which are fetched, or are there already."""
    if shutil.which("strace") is None:
        pytest.skip("there is no strace here")
    folder = tmp_path_factory.mktemp("costs")
    calls: dict[tuple[str, int], Calls] = {}
    for count in (FEW, MANY):
        with ServerProcess(fill(folder / f"served-{count}", count)) as server:
            get = client_command("-q", "-s", f"127.0.0.1:{server.port}", "-d", f"here-{count}", "get", "*")
            for client in ("client", "again"):
                with traced(server, *_counting_calls(folder / "server.strace")):
                    command = ["strace", "-f", *_counting_calls(folder / "client.strace"), *get]
                    done = subprocess.run(command, cwd=folder, capture_output=True, check=True)
                assert len(done.stdout.splitlines()) == count
                calls[client, count] = _counted(folder / "client.strace")
                calls.setdefault(("server", count), _counted(folder / "server.strace"))
        assert len(os.listdir(folder / f"here-{count}")) == count
    return lambda program, count: calls[program, count]


MOST = {
    "client": {
        "openat": 2, "close": 2, "write": 4, "fsync": 1, "linkat": 1, "utimensat": 1, "newfstatat": 1, "mkdir": 1,
        "epoll_wait": 2, "epoll_ctl": 3, "recvfrom": 2, "sendto": 1, "read": 1.5,
    },
    "again": {
        "openat": 0.5, "close": 0.5, "write": 2.5, "newfstatat": 1.5, "read": 0.5,
        "epoll_wait": 0.5, "recvfrom": 0.5, "sendto": 0.1,
    },
    "server": {
        "openat": 2, "close": 2, "newfstatat": 5, "pread64": 1, "read": 1.5, "write": 1.5, "sendto": 1,
        "epoll_wait": 3, "epoll_ctl": 4, "recvfrom": 2, "setsockopt": 0.5, "ioctl": 2,
    },
}  # fmt: skip
"""How many calls one more file may make: as many as when nothing comes together, for which a busy machine is reason.

What a thread hands over to the reactor is a `write` and a `read`; the client writes the file and its line, too.
"""
ROOM = 0.1
"""What a few calls that are not about files may add."""


@pytest.mark.slow
@pytest.mark.parametrize("program", MOST)
def test_a_file_among_many_makes_few_calls_to_the_system(fetched: Callable[[str, int], Calls], program: str) -> None:
    few, many = fetched(program, FEW), fetched(program, MANY)
    each = {call: (many[call] - few[call]) / (MANY - FEW) for call in {**few, **many, **MOST[program]}}
    assert {call: count for call, count in each.items() if count > MOST[program].get(call, 0) + ROOM} == {}


# --- calls of functions, of both ends in this process ---


@contextmanager
def _counting() -> Iterator[Counter[str]]:
    """Count the calls of functions in Python within this context."""
    calls: Counter[str] = Counter()

    def count(_: Any, event: str, __: object) -> None:
        calls[event] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(before)


def _calls_to_get_all(server: Server, folder: Path) -> int:
    """How many calls it takes to list all files of a server and to download those that are not there."""
    link = Link(server, folder)
    results: list[Download] = []

    async def get_all() -> None:
        rows: list[wire.FileRow] = list(await link.client.listing())
        ahead = DownloadAhead(rows, str(folder), in_thread=at_once)
        results.extend([await ahead.download(link.client, number) for number in range(len(rows))])

    with _counting() as calls:
        getting = Deferred.fromCoroutine(get_all())
        while not getting.called:
            link.carry()
            turn_over(server.clock)
    assert len(results) == len(os.listdir(server.folder))
    return calls["call"]


@pytest.mark.slow
def test_ten_times_the_files_take_at_most_ten_times_as_many_calls_of_functions(tmp_path: Path) -> None:
    taken = {}
    for count in (FEW, MANY):
        server = Server(fill(tmp_path / f"served-{count}", count))
        folder = tmp_path / f"here-{count}"
        taken[count] = _calls_to_get_all(server, folder), _calls_to_get_all(server, folder)
    for few, many in zip(taken[FEW], taken[MANY], strict=True):
        assert many <= 1.1 * few * MANY / FEW
