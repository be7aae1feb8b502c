"""Floods: whatever is sent, and whoever does not read, it costs little memory, delays nobody and holds no seat."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.flooding import KIB, MIB, Flood, Flooder, Memory
from tests.support.processes import RawClient, ServerProcess, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process's memory"),
]

FLOODS = {
    "a line without an end": Flood(b"x", size=34 * MIB),
    "line ends, not read": Flood(b"\n"),
    "line ends, read": Flood(b"\n", reads=True, size=MIB),
    "messages, not read": Flood(b"hello\n"),
    "longest lines of two-byte letters, read": Flood("é".encode() * 2048 + b"\n", reads=True, size=4 * MIB),
    "bad lines, not read": Flood(b"\0\n"),
    "bad lines, read": Flood(b"\0\n", reads=True, size=16 * KIB),
    "carriage returns": Flood(b"\r"),
    "telnet commands": Flood(b"\xff\xf1", size=2 * MIB),
    "telnet subnegotiations without an end": Flood(b"\xff\xfa", size=2 * MIB),
    "help, not read": Flood(b"help\n"),
    "help, read": Flood(b"help\n", reads=True, size=8 * KIB),
    "status, not read": Flood(b"status\n"),
    "list, not read": Flood(b"list\n"),
    "digests, read": Flood(b"hash small\n", reads=True, size=4 * KIB),
    "names that are not there, read": Flood(b"get \xc2\xad\n", reads=True, size=4 * KIB),
    "a GiB that nobody reads": Flood(b"hello\n", first=b"get gib\n"),
    "lines behind a file that nobody reads": Flood(b"\n", first=b"get gib\nget gib\n"),
}

OFTEN = ("line ends, not read", "bad lines, read", "telnet commands", "list, not read", "a GiB that nobody reads")
"""Those that are tried without being asked for; the others show the same of other lines."""
UNREAD = [Flood(b"help\n"), Flood(b"\0\n"), Flood(b"\n", first=b"get gib\n")]
FILES = 5_000
MOST_PER_FILE = 600
"""Bytes of memory while a list is made and sent, for names of 50 bytes."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    served = tmp_path_factory.mktemp("work") / "served"
    served.mkdir()
    (served / "small").write_bytes(b"small")
    with open(served / "gib", "wb") as sparse:
        sparse.truncate(1 << 30)
    return served


@pytest.fixture(scope="module")
def shared_server(folder: Path) -> Iterator[ServerProcess]:
    with ServerProcess(folder, "--max-clients=4", "--history=10") as server:
        with server.greeted() as client:
            for line in (b"hello", b"list", b"status", b"hash small", b"get nothing"):
                client.ask(line)
        yield server


def connected(client: RawClient) -> int:
    """How many are connected, the one who asks included."""
    rows = [client.line() for _ in range(int(client.ask(b"status").split()[1]))]
    return sum(row.split()[3] == b"-" for row in rows)


def round_trip(client: RawClient) -> float:
    """Seconds that a message and its answer take."""
    began = time.monotonic()
    assert client.ask(b"hello") == b"hello ACK"
    return time.monotonic() - began


@contextmanager
def flooding(server: ServerProcess, flood: Flood, seats: int = 3) -> Iterator[list[Flooder]]:
    """So many who flood, until they go without a goodbye."""
    flooders = [Flooder(server, flood) for _ in range(seats)]
    yield flooders
    for flooder in flooders:
        flooder.client.reset()


def longest_round_trip(other: RawClient, flooders: list[Flooder]) -> float:
    """While they flood, until nothing moves any more."""
    longest, still, before = 0.0, 0, 0
    while still < 50:
        now = sum(flooder.floods() for flooder in flooders)
        longest = max(longest, round_trip(other))
        still, before = (still + 1 if now == before else 0), now
    return longest


@pytest.mark.parametrize(
    "flood",
    [pytest.param(flood, id=name, marks=[] if name in OFTEN else pytest.mark.slow) for name, flood in FLOODS.items()],
)
def test_floods_from_three_seats_cost_little_and_delay_nobody(shared_server: ServerProcess, flood: Flood) -> None:
    with shared_server.greeted() as other:
        wait_until(lambda: connected(other) == 1)
        memory = Memory(shared_server.process.pid)
        with flooding(shared_server, flood) as flooders, shared_server.connect() as fifth:
            longest = longest_round_trip(other, flooders)
            assert fifth.line().startswith(b"ERROR full ")
        wait_until(lambda: connected(other) == 1)
    assert longest < 1
    assert memory.grown() < 8 * MIB


def test_a_hundred_thousand_commands_at_once_are_all_answered(shared_server: ServerProcess) -> None:
    flood = Flood(b"get\n", reads=True, size=400_000)
    with shared_server.greeted() as other, flooding(shared_server, flood, seats=1) as (one,):
        answer = other.ask(b"get") + b"\n"
        longest = longest_round_trip(other, [one])
        assert one.received == 100_000 * len(answer)
    assert longest < 1


@pytest.mark.slow
def test_long_lists_that_nobody_takes_cost_their_rows_and_delay_nobody(tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(FILES):
        (many / f"{number:050}").touch()
    with ServerProcess(many, "--max-clients=4") as server, server.greeted() as other:
        memory, clients = Memory(server.process.pid), [server.greeted() for _ in range(3)]
        for client in clients:
            client.send(b"list\n" * 1000)
        longest = 0.0
        while len(select.select([client.socket for client in clients], [], [], 0)[0]) < 3:
            longest = max(longest, round_trip(other))
        assert longest < 1
        assert memory.grown() < 3 * FILES * MOST_PER_FILE


def test_three_who_read_nothing_make_room_for_a_fourth(folder: Path) -> None:
    with ServerProcess(folder, "--stall-timeout=0.4") as server:
        flooders = [Flooder(server, flood) for flood in UNREAD]
        wait_until(lambda: has_a_seat_while_they_flood(server, flooders))
        for flooder in flooders:
            flooder.client.reset()


def has_a_seat_while_they_flood(server: ServerProcess, flooders: list[Flooder]) -> bool:
    for flooder in flooders:
        with suppress(ConnectionError):
            flooder.floods()
    with server.connect() as fourth:
        return fourth.line().startswith(b"WELCOME ")
