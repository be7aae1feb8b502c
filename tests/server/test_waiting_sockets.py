"""The waiting line of the real server: with nc, over TLS, what each that waits costs, and floods behind `wait`."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.flooding import KIB, Memory
from tests.support.processes import PATIENCE, RawClient, ServerProcess, wait_until

MANY = 2000
MOST = 6 * KIB
"""Bytes of memory for each that waits."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    served = tmp_path / "work" / "served"
    served.mkdir(parents=True)
    (served / "x").write_bytes(b"hello\n")
    return served


def nc(server: ServerProcess, said: bytes) -> subprocess.Popen[bytes]:
    """What README says: it half-closes behind what it has said."""
    if shutil.which("nc") is None:
        pytest.skip("there is no nc")
    process = subprocess.Popen(
        ["nc", "-N", "127.0.0.1", str(server.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(said)
    process.stdin.close()
    return process


def heard(process: subprocess.Popen[bytes]) -> list[bytes]:
    assert process.stdout is not None
    with process.stdout as stdout:
        lines = stdout.read().splitlines()
    assert process.wait(PATIENCE) == 0
    return lines


def asks(server: ServerProcess, behind: bytes = b"") -> RawClient:
    """A client that has a place by now."""
    client = server.connect()
    client.send(b"wait\n" + behind)
    assert client.line().startswith(b"ERROR full ")
    assert client.line().startswith(b"WAIT ")
    return client


def test_a_script_waits_and_fetches_in_one_line(folder: Path) -> None:
    with ServerProcess(folder, "--max-clients=1", "--waiting=2", "--max-per-address=2") as server:
        with server.greeted() as holder:
            first = nc(server, b"wait\nget x\n")
            assert first.stdout is not None
            assert first.stdout.readline().startswith(b"ERROR full ")
            assert first.stdout.readline() == b"WAIT 1\n"
            second = asks(server)
            assert holder.ask(b"status") == b"STATUS 1"
            holder.line()
            refused = nc(server, b"wait\nget x\n")
            assert [line[:11] for line in heard(refused)] == [b"ERROR full "]
        lines = heard(first)
        assert [line.split()[0] for line in lines] == [b"WELCOME", b"FILE", b"hello", b"END"]
        assert lines[0] == b"WELCOME Client02 chatfile/1"
        while (line := second.line()) != b"WELCOME Client03 chatfile/1":
            assert line == b"WAIT 1"
        assert second.ask(b"hello") == b"hello ACK"
        second.close()


def test_who_is_killed_while_it_waits_costs_nobody_a_seat(folder: Path) -> None:
    options = ("--max-clients=1", "--waiting=9", "--max-per-address=9")
    with ServerProcess(folder, *options) as server, server.greeted() as holder:
        gone = [asks(server, behind) for behind in (b"", b"", b"get x\n")]
        there = asks(server)
        gone[0].close()
        gone[1].reset()
        gone[2].reset()  # the server does not read any more, so that it is not told
        holder.close()
        while (line := there.line()).startswith(b"WAIT "):
            pass
        assert line == b"WELCOME Client02 chatfile/1"
        there.close()


def test_a_drain_ends_the_waiting(folder: Path) -> None:
    with ServerProcess(folder, "--max-clients=1", "--waiting=1") as server, server.greeted() as holder:
        waiting = asks(server, b"get x\n")
        server.process.send_signal(signal.SIGTERM)
        for client in (holder, waiting):
            assert client.rest() == b"ERROR shutdown The server is going down.\n"
            client.close()
        server.ended()


@contextmanager
def descriptors(count: int) -> Iterator[None]:
    """Allow so many here and in what is started here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"{count} descriptors are needed, and the limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process's memory")
def test_each_that_waits_costs_little_while_positions_change(folder: Path) -> None:
    options = ("--max-clients=1", f"--waiting={MANY}", f"--max-per-address={MANY}")
    with descriptors(MANY + 200), ServerProcess(folder, *options) as server, ExitStack() as stack:
        holder = server.greeted()
        assert holder.ask(b"hello") == b"hello ACK"
        asks(server).close()
        memory = Memory(server.process.pid)
        waiting = [stack.enter_context(asks(server)) for _ in range(MANY)]
        waiting[0].reset()
        assert waiting[-1].line() == b"WAIT %d" % (MANY - 1)
        grown = memory.grown()
        assert holder.ask(b"hello") == b"hello ACK"
        assert grown < MANY * MOST


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process's memory")
def test_a_flood_behind_wait_is_not_read(folder: Path) -> None:
    count = 400
    options = ("--max-clients=1", f"--waiting={count}", f"--max-per-address={count}")
    with ServerProcess(folder, *options) as server, server.greeted() as holder:
        memory = Memory(server.process.pid)
        floods = [asks(server) for _ in range(count)]
        for flood in floods:
            flood.socket.setblocking(False)
        for _ in range(20):
            for flood in floods:
                try:
                    while flood.socket.send(b"hello\n" * 10_000):
                        pass
                except BlockingIOError:
                    pass
            assert holder.ask(b"hello") == b"hello ACK"
            threading.Event().wait(0.02)
        assert memory.grown() < count * 24 * KIB  # of which a read at once may take 16
        for flood in floods:
            flood.reset()
        wait_until(lambda: holder.ask(b"hello") == b"hello ACK")
