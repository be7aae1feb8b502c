"""Going down: who is told, what may finish, what is cut."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from chatfile.server import Timeouts
from tests.support.serving import Server
from tests.support.transports import FullTransport, MemoryTransport, Threads

LIMITS = Timeouts(idle=30, line=10, stall=20, flush=5)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    server = Server(tmp_path, timeouts=LIMITS)
    server.put("big", os.urandom(1_000_000))
    return server


def drained(server: Server, seconds: float = 30) -> Deferred[None]:
    return server.factory.drain(seconds)


def test_the_idle_are_told_at_once(server: Server) -> None:
    peer = server.greeted()
    peer.sends(b"unfinished")
    done = drained(server)
    assert peer.transport.lines()[0].startswith(b"ERROR shutdown ")
    assert peer.is_closing()
    assert not done.called
    peer.vanishes()
    assert done.called
    assert server.clock.getDelayedCalls() == []


def test_transfers_under_way_are_finished_and_what_waits_behind_is_told(tmp_path: Path) -> None:
    threads = Threads()
    server = Server(tmp_path, in_thread=threads)
    server.put("a", b"x\n")
    peer = server.greeted()
    peer.sends(b"get a\nget a\nhello\n")
    drained(server)
    threads.run_all()
    assert [line.split()[0] for line in peer.transport.lines()] == [b"FILE", b"x", b"END", b"ERROR"]
    assert peer.is_closing()


@pytest.mark.usefixtures("cold_disk")
def test_at_the_deadline_a_file_is_cut_by_a_reset_and_a_wait_is_told(tmp_path: Path) -> None:
    threads = Threads()
    server = Server(tmp_path, in_thread=threads)
    server.put("big", bytes(1_000_000))
    downloading, waiting = server.greeted(), server.greeted()
    downloading.sends(b"get big\n")
    threads.run()
    waiting.sends(b"list\n")
    drained(server, 30)
    server.pass_time(29.8)
    assert not downloading.transport.aborted
    assert not waiting.is_closing()
    server.pass_time(0.4)
    assert downloading.transport.aborted
    assert waiting.transport.lines()[0].startswith(b"ERROR shutdown ")
    assert waiting.is_closing()
    for peer in (downloading, waiting):
        peer.vanishes()
    threads.run_all()


def test_the_deadline_binds_who_is_being_closed_already(tmp_path: Path) -> None:
    server = Server(tmp_path, timeouts=Timeouts(flush=0))
    peer = server.greeted()
    peer.says(b"exit")
    drained(server, 30)
    server.pass_time(29.8)
    assert not peer.transport.aborted
    server.pass_time(0.4)
    assert peer.transport.aborted


def test_a_transport_that_is_full_can_be_closed(server: Server) -> None:
    transport = FullTransport()
    server.greeted(transport)
    drained(server)
    assert transport.half_closed
    assert transport.producer is None  # a paused one would keep Twisted's transports open for ever


def test_a_reset_of_all_waits_for_nobody(server: Server) -> None:
    transport = FullTransport()
    peer = server.greeted(transport)
    transport.drain()
    peer.sends(b"get big\n")
    done = drained(server)
    server.factory.reset()
    assert transport.aborted
    peer.vanishes()
    assert done.called


def test_who_connects_while_the_server_goes_down_is_told(server: Server) -> None:
    server.greeted()
    drained(server)
    late = server.connect(MemoryTransport())
    assert late.transport.lines()[0].startswith(b"ERROR shutdown ")
    assert late.is_closing()
