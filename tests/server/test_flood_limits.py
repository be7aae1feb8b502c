"""What one flood can make the server keep, compute in one turn, or say."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from chatfile import wire
from chatfile.server import Timeouts
from tests.support.coroutines import run_at_once
from tests.support.serving import Server
from tests.support.transports import FullTransport, MemoryTransport

READ = 64 * 1024
"""Bytes that the reactor reads at once where it is not told otherwise."""
TURN = 16 * 1024
"""Bytes that it reads at once here, and keeps before it takes no more."""
E_ACUTE, SOFT_HYPHEN, TAG = "é".encode(), "\N{SOFT HYPHEN}".encode(), "\U000e0041".encode()

ANSWERED = [b"\n", b"hello\n", b"x" * 4095 + b"\n", b"\0\n", b"\xc3\n", E_ACUTE + b"\n\xc3\n", b"x" * 5000 + b"\n"]
ANSWERED += [b"get\n", b"get x\n", b"hash a\n", b"help\n", b"list\n", b"status\n"]
COSTLY = [b"\n", b"x", b"\0\n", b"\xc3\n", b"\r\r\n", b"get\n", b"resume x\n", b"help\n", b"hello\n\0\n"]
COSTLY += [
    b"\xff\xf1",
    b"\xff\xfa",
    b"\xff\xf1\n",
    b"\xff\xfb\x01",
    b"\xff\xfaa\xff\xf0",
    b"\r",
    b"a\n",
    b"status\n",
    b"\xff\xffx\n",
    E_ACUTE + b"\n\xc3\n",
    E_ACUTE * 2000 + b"\n\0\n",
]
COSTLY += [b"resume " + b"9" * 4000 + b" a\n"]


def a_read_of(flood: bytes) -> bytes:
    return (flood * (READ // len(flood) + 1))[:READ]


@pytest.fixture
def server(tmp_path: Path) -> Server:
    server = Server(tmp_path, limit=3, history=10_000, timeouts=Timeouts(idle=30, line=10, stall=20, flush=5))
    server.put("a", b"content")
    return server


@pytest.mark.parametrize("flood", ANSWERED)
def test_who_takes_nothing_is_soon_not_read_either(server: Server, flood: bytes) -> None:
    peer = server.greeted(FullTransport(high_water=READ))
    reads = 0
    while peer.transport.producerState == "producing":
        peer.sends(a_read_of(flood))
        reads += 1
        assert reads < 100
    assert len(peer.transport.value()) < 2 * READ
    assert len(peer.protocol.clearLineBuffer()) < 2 * READ


@pytest.mark.no_cover
@pytest.mark.parametrize("flood", COSTLY)
def test_a_read_of_anything_costs_milliseconds_before_the_others_have_their_turn(server: Server, flood: bytes) -> None:
    assert min(cost_of_a_turn(server, a_read_of(flood)) for _ in range(3)) < 0.020
    assert min(cost_of_a_turn(server, a_read_of(flood)[:TURN]) for _ in range(5)) < 0.010


def cost_of_a_turn(server: Server, read: bytes, transport: MemoryTransport | None = None) -> float:
    peer = server.greeted(transport)
    began = time.thread_time()
    peer.protocol.dataReceived(read)  # no further: the next turn is the clock's
    cost = time.thread_time() - began
    peer.vanishes()
    return cost


@pytest.mark.parametrize(
    ("flood", "limit"), [(b"x", 10), (b"\r", 10), (b"\xff\xfa", 10), (b"\xff\xf1", 30), (b"\xff\xfb\x01", 30)]
)
def test_a_flood_that_never_makes_a_line_ends_in_its_time(server: Server, flood: bytes, limit: int) -> None:
    peer = server.greeted()
    read = flood * 3000
    for _ in range(limit):
        assert not peer.is_closing()
        peer.sends(read)
        server.pass_time(1)
    server.pass_time(1)
    assert peer.is_closing()
    assert peer.transport.lines()[-1].startswith(b"ERROR timeout ")


def test_the_rows_of_ten_thousand_visits_wait_with_the_server_and_not_in_the_transport(server: Server) -> None:
    for _ in range(10_000):
        run_at_once(server.admission.admit("127.0.0.1:1", "127.0.0.1")).release()
    peer = server.greeted(FullTransport(high_water=READ))
    peer.sends(b"status\n" * 1000)
    taken = b""
    while taken.count(b"\n") < 2 * 10_000:
        assert 0 < len(peer.transport.value()) < 2 * READ
        taken += peer.transport.drain()
    assert taken.count(b"STATUS 10001\n") <= 3


@pytest.mark.no_cover
def test_the_rows_of_a_thousand_who_left_cost_the_others_a_millisecond_at_most(server: Server) -> None:
    for _ in range(1000):
        run_at_once(server.admission.admit("127.0.0.1:1", "127.0.0.1")).release()
    turn = min(cost_of_a_turn(server, b"status\n", FullTransport(high_water=TURN)) for _ in range(3))
    again = min(cost_of_a_turn(server, b"status\n") for _ in range(5))  # all rows in one turn
    assert turn < 0.003
    assert again < 0.003


def test_the_rows_of_those_who_left_are_kept_for_as_long_as_they_are_shown(tmp_path: Path) -> None:
    server = Server(tmp_path, history=100)
    peer = server.greeted()
    for _ in range(10):
        for _ in range(100):
            run_at_once(server.admission.admit("127.0.0.1:1", "127.0.0.1")).release()
        rows = peer.says(b"status")[1:]
        assert [row.split()[0].decode() for row in rows] == [visit.name for visit in server.admission.records()]
        assert len(server.factory._context.status._rows) < 3 * len(rows)


@pytest.mark.parametrize("request_line", [b"get %b", b"hash %b", b"resume 1 %b", b"%b"])
@pytest.mark.parametrize("odd", [b"x", E_ACUTE, SOFT_HYPHEN, TAG, b'"', b"{name}", b"%s", b"\xff", b"\x1b", b"\x7f"])
def test_no_answer_is_much_longer_than_what_was_asked(server: Server, request_line: bytes, odd: bytes) -> None:
    asked = request_line % (odd * (4000 // len(odd)))
    (answer,) = server.greeted().says(asked)
    assert len(answer) < len(asked) + 200
    assert len(answer) <= wire.MAX_REPLY
