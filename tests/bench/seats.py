"""Many clients, and slow ones: what they cost in memory and in time."""

from __future__ import annotations

import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.bench import peers
from tests.bench.measure import Figures, alternate, forget_peak, peak_bytes, resident_bytes
from tests.bench.peers import Absent, Peer
from tests.bench.registry import at_most, benchmark
from tests.bench.session import GIB, MIB, Session, talk

IDLE = 10_000
DESCRIPTORS = IDLE + 100
"""What a server with so many clients needs, and those clients in one process."""
SPARSE_BYTES = 5 * GIB
READ_BEFORE_STALL = 64 * MIB
STALL_SECONDS = 2.0


@contextmanager
def _descriptors(count: int) -> Iterator[None]:
    """Allow so many in this process and in those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = max(hard, count)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), enough))
    except (ValueError, OSError) as error:
        raise Absent(f"{count} descriptors are needed, and the limit is {hard}") from error
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, enough))


@contextmanager
def _idle_clients(session: Session, port: int, count: int) -> Iterator[None]:
    command = session.programs.command("idle", port, 1, count)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            if process.stdout.readline() != b"ready\n":
                raise RuntimeError(f"the server did not let in {count} clients")
            yield
        finally:
            process.kill()


@benchmark("idle-memory", "memory of the server for each of 10,000 idle clients", at_most(6, "KiB"))
def idle_memory(session: Session) -> Figures:
    """A new server each time: what one has freed, it uses again."""
    return Figures("KiB", [_memory_per_client(session) for _ in range(session.runs)])


def _memory_per_client(session: Session) -> float:
    with _descriptors(DESCRIPTORS), peers.chatfile(session.scratch, session.folder, "-n", IDLE + 1) as server:
        with talk(server.port) as first:
            first.ask(b"hello")
        before = resident_bytes(server.pid)
        with _idle_clients(session, server.port, IDLE):
            return (resident_bytes(server.pid) - before) / 1024 / IDLE


def _median_trip(session: Session, server: Peer) -> float:
    trips = session.programs.run("pingpong", server.port, 1, "hello\n", "hello ACK\n", session.seconds, 0)
    return trips[2] * 1e6


@benchmark("idle-round-trip", "round trip with 10,000 idle clients beside it against one with two", at_most(1.5))
def idle_round_trip(session: Session) -> Figures:
    """Two servers of ours, which are full."""
    with _descriptors(DESCRIPTORS), ExitStack() as stack:
        many = stack.enter_context(peers.chatfile(session.scratch, session.folder, "-n", IDLE + 1))
        stack.enter_context(_idle_clients(session, many.port, IDLE))
        few = stack.enter_context(peers.chatfile(session.scratch, session.folder))
        stack.enter_context(_idle_clients(session, few.port, 2))
        return alternate("µs", session.runs, lambda: _median_trip(session, many), lambda: _median_trip(session, few))


@benchmark("stalled-memory", "growth of the server while three clients stall amid a file of 5 GiB", at_most(8, "MiB"))
def stalled_memory(session: Session) -> Figures:
    """A new server each time; its peak against what it had before."""
    folder = session.scratch / "sparse"
    folder.mkdir()
    with (folder / "sparse.bin").open("wb") as file:
        file.truncate(SPARSE_BYTES)
    return Figures("MiB", [_growth_in_stall(session) for _ in range(session.runs)])


def _growth_in_stall(session: Session) -> float:
    folder = session.scratch / "sparse"
    with peers.chatfile(session.scratch, folder, "--no-digest") as server, ExitStack() as stack:
        clients = [stack.enter_context(talk(server.port)) for _ in range(3)]
        for client in clients:
            client.ask(b"hello")
        before = resident_bytes(server.pid)
        forget_peak(server.pid)
        for client in clients:
            client.send(b"get sparse.bin\n")
        for client in clients:
            _take(client.socket, READ_BEFORE_STALL)
        time.sleep(STALL_SECONDS)
        return (peak_bytes(server.pid) - before) / MIB


def _take(connection: socket.socket, count: int) -> None:
    buffer = memoryview(bytearray(MIB))
    while count > 0:
        got = connection.recv_into(buffer[:count])
        if not got:
            raise RuntimeError("the server closed")
        count -= got
