"""Seats: who gets in, and that a seat is free again however its client went, exactly once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from chatfile.server import Timeouts
from tests.serving import WELCOME, Peer, Server
from tests.transports import FullTransport, Threads

LIMITS = Timeouts(idle=30, line=10, stall=20, flush=5)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    server = Server(tmp_path, timeouts=LIMITS)
    server.put("big", os.urandom(1_000_000))
    return server


def test_the_fourth_is_told_that_there_is_no_seat(server: Server) -> None:
    peers = [server.greeted() for _ in range(3)]
    refused = server.connect()
    (line,) = refused.transport.lines()
    assert line.startswith(b"ERROR full ")
    assert refused.is_closing()
    assert refused.says(b"status", b"hello") == []
    assert peers[0].says(b"status")[0] == b"STATUS 3"
    peers[1].vanishes()
    assert server.connect().transport.lines() == [WELCOME % 4]


def _exit(peer: Peer) -> None:
    peer.says(b"exit")
    peer.protocol.writeConnectionLost()


def _half_close(peer: Peer) -> None:
    peer.protocol.readConnectionLost()
    peer.vanishes()


def _time_out(peer: Peer) -> None:
    peer.pass_time(31)
    peer.protocol.writeConnectionLost()


@pytest.mark.parametrize("goes", [_exit, _half_close, _time_out, Peer.vanishes])
def test_the_seat_is_free_again_however_the_client_went(server: Server, goes: Callable[[Peer], None]) -> None:
    server.admission.limit = 1
    peer = server.greeted()
    goes(peer)
    (visit,) = server.admission.visits()
    assert visit.disconnected is not None
    assert visit.disconnected >= visit.connected
    assert server.connect().transport.lines() == [WELCOME % 2]
    server.clock.advance(1)
    peer.vanishes()  # the end of the connection comes later, or again, and changes nothing
    assert server.admission.visits()[0] == visit
    assert server.connected() == ["Client02"]


def test_a_client_that_vanishes_in_the_middle_of_a_file_leaves_nothing_behind(tmp_path: Path) -> None:
    threads = Threads()
    server = Server(tmp_path, in_thread=threads)
    server.put("big", bytes(1_000_000))
    descriptors = os.listdir("/proc/self/fd")
    for steps in range(5):
        peer = server.greeted(FullTransport())
        peer.transport.producer.resumeProducing()
        peer.sends(b"get big\n")
        for _ in range(steps):
            threads.run()
        peer.vanishes()
        threads.run_all()
        assert server.connected() == []
    assert os.listdir("/proc/self/fd") == descriptors
    assert server.clock.getDelayedCalls() == []


def test_nobody_hashes_for_a_client_that_has_gone(tmp_path: Path) -> None:
    threads = Threads()
    server = Server(tmp_path, in_thread=threads)
    server.put("a", b"x")
    gone = server.greeted()
    gone.sends(b"get a\n")
    threads.run()
    gone.vanishes()
    threads.run_all()
    server.greeted().sends(b"hash a\n")
    threads.run()
    assert [call.__name__ for _, call, _ in threads.waiting] == ["_compute"]  # there is no digest yet
