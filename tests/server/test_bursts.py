"""A server gives the same answers to the same bytes, however they are cut and whatever came with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.serving import Server
from tests.support.transports import FullTransport, turn_over

lines = st.one_of(
    st.sampled_from(
        [b"", b"hello", b"hello\r", b"\xc3\xa9", b"help", b"HELP", b"hash", b"get", b"getting", b"a\rb", b"\0"]
    ),
    st.sampled_from([b"x" * 4095, b"x" * 4096, b"x" * 4097, b"x" * 9000]),
    st.sampled_from([b"\xff", b"\xff\xfd\x06up", b"\xff\xf4", b"\xff\xfa\x01abc\xff\xf0sub", b"exit!"]),
    st.binary(max_size=6)
    .map(lambda line: line.replace(b"\xff", b""))
    .filter(
        lambda line: line.strip().lower() not in (b"status", b"exit")  # they name the client
    ),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    return Server(tmp_path_factory.mktemp("served"))


def answers(server: Server, pieces: list[bytes]) -> bytes:
    peer = server.greeted()
    for piece in pieces:
        peer.sends(piece)
    said = peer.transport.value()
    peer.vanishes()
    return said


@given(st.lists(lines, max_size=8), st.lists(st.integers(1, 6000), max_size=12))
def test_it_makes_no_difference_how_lines_are_cut(server: Server, several: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(line + b"\n" for line in several)
    each = answers(server, [line + b"\n" for line in several])
    pieces, rest = [], whole
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    assert answers(server, [whole]) == each
    assert answers(server, [*pieces, rest]) == each


def test_a_burst_that_nobody_takes_is_held(tmp_path: Path) -> None:
    server = Server(tmp_path)
    peer = server.greeted(FullTransport(high_water=1000))
    peer.transport.drain()
    peer.sends(b"\n" * 65_536)
    turn_over(server.clock)
    assert len(peer.transport.value()) < 32_768, "what waits to be taken is bounded, however much one read brought"
    taken = b""
    while some := peer.transport.drain():
        taken += some
        turn_over(server.clock)
    assert taken == b" ACK\n" * 65_536


def test_a_burst_counts_as_something_said(tmp_path: Path) -> None:
    server = Server(tmp_path)
    peer = server.greeted()
    for _ in range(4):
        server.pass_time(200)
        peer.says(b"hello")
    assert not peer.is_closing()
