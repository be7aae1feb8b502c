"""How much one client gets of the reactor before the others have their turn."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from twisted.internet.protocol import Factory
from twisted.protocols.policies import WrappingFactory

from tests.support.coroutines import run_at_once
from tests.support.joined import PATIENCE, Turned
from tests.support.serving import Server
from tests.support.transports import Threads

AT_A_TIME = 16 * 1024
"""Bytes."""
MUCH = 256 * 1024


def turn_until(reactor: Turned, condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        reactor.turn()


class Counted(WrappingFactory):
    """As over TLS, and behind a proxy: the transport that reads is a transport's transport."""


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


@pytest.fixture(params=["plain", "wrapped", "wrapped twice"])
def peer(request: pytest.FixtureRequest, server: Server) -> Iterator[tuple[Turned, socket.socket]]:
    factory: Factory = server.factory
    for _ in range(request.param.count("wrapped") + request.param.count("twice")):
        factory = Counted(factory)
    reactor = Turned(server.clock, Threads())
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    with socket.create_connection(("127.0.0.1", port.getHost().port)) as peer:
        peer.setblocking(False)
        turn_until(reactor, lambda: bool(server.connected()))
        yield reactor, peer
    turn_until(reactor, lambda: not server.connected())
    port.stopListening()
    server.pass_time(10)
    reactor.turn()
    reactor.close()


def test_little_is_read_at_a_time(server: Server, peer: tuple[Turned, socket.socket]) -> None:
    reactor, sock = peer
    assert sock.send(b"\n" * MUCH) > 4 * AT_A_TIME
    (protocol,) = server.factory._connections
    before, most = protocol.splitter.count, 0
    for _ in range(10):
        reactor.turn()
        most, before = max(most, protocol.splitter.count - before), protocol.splitter.count
    assert 0 < most <= AT_A_TIME
    assert len(sock.recv(MUCH)) > 0


def test_little_is_written_before_what_was_written_is_taken(server: Server, peer: tuple[Turned, socket.socket]) -> None:
    reactor, sock = peer
    for _ in range(1000):
        run_at_once(server.admission.admit("127.0.0.1:1", "127.0.0.1")).release()
    sock.send(b"status\n")
    pieces: list[bytes] = []

    def receives_all() -> bool:
        with suppress(BlockingIOError):
            pieces.append(sock.recv(MUCH))
        return sum(map(len, pieces)) > 50_000

    turn_until(reactor, receives_all)
    assert max(map(len, pieces)) < 2 * AT_A_TIME
