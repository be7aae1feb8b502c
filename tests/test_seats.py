"""Seats and clocks: who gets in, who is sent away when, and that the seat is free again, exactly once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from chatfile.server import Timeouts
from tests.serving import WELCOME, Peer, Server
from tests.transports import FullTransport, MemoryTransport, Threads

LIMITS = Timeouts(idle=30, line=10, stall=20, flush=5)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    server = Server(tmp_path, timeouts=LIMITS)
    server.put("big", os.urandom(1_000_000))
    return server


def pass_time(server: Server, seconds: float) -> None:
    server.clock.pump([0.1] * round(seconds * 10))


# --- the limit ---


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
    pass_time_of_peer(peer, 31)
    peer.protocol.writeConnectionLost()


def pass_time_of_peer(peer: Peer, seconds: float) -> None:
    peer._clock.pump([0.1] * round(seconds * 10))


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


# --- idle ---


def test_who_says_nothing_is_told_and_sent_away(server: Server) -> None:
    peer = server.greeted()
    pass_time(server, 29.8)
    assert not peer.is_closing()
    pass_time(server, 0.4)
    assert peer.transport.lines()[0].startswith(b"ERROR timeout ")
    assert peer.is_closing()


def test_who_says_something_stays(server: Server) -> None:
    peer = server.greeted()
    for _ in range(5):
        pass_time(server, 20)
        assert peer.says(b"hello") == [b"hello ACK"]
    pass_time(server, 29.8)
    assert not peer.is_closing()
    pass_time(server, 0.4)
    assert peer.is_closing()


def test_a_transfer_is_not_idle_and_the_clock_begins_anew_behind_it(tmp_path: Path) -> None:
    threads = Threads()
    server = Server(tmp_path, in_thread=threads, timeouts=LIMITS)
    server.put("a", b"x\n")
    peer = server.greeted()
    peer.sends(b"get a\n")
    pass_time(server, 100)
    threads.run_all()
    pass_time(server, 29.8)
    assert not peer.is_closing()
    pass_time(server, 0.4)
    assert peer.is_closing()


def test_waiting_for_our_own_hashing_is_neither_idle_nor_stalled(tmp_path: Path) -> None:
    threads = Threads()
    server = Server(tmp_path, in_thread=threads, timeouts=LIMITS)
    server.put("a", b"x\n")
    peer = server.greeted()
    peer.sends(b"hash a\n")
    threads.run()
    pass_time(server, 1000)
    threads.run_all()
    assert peer.transport.lines()[0].startswith(b"HASH ")


# --- lines ---


def test_a_line_has_its_time_from_the_first_byte_on(server: Server) -> None:
    peer = server.greeted()
    for _ in range(98):
        peer.sends(b"x")
        pass_time(server, 0.1)
    assert not peer.is_closing()
    for _ in range(4):
        peer.sends(b"x")
        pass_time(server, 0.1)
    assert peer.transport.lines()[0].startswith(b"ERROR timeout ")
    assert peer.is_closing()


def test_each_line_has_a_time_of_its_own(server: Server) -> None:
    peer = server.greeted()
    for _ in range(20):
        peer.sends(b"end\nbegin ")
        pass_time(server, 9)
    assert not peer.is_closing()


def test_a_line_without_end_is_cut_off_in_time(server: Server) -> None:
    peer = server.greeted()
    for _ in range(98):
        peer.sends(b"x" * 5000)
        pass_time(server, 0.1)
    assert [line.split()[1] for line in peer.transport.lines()] == [b"line-too-long"]
    pass_time(server, 0.4)
    assert peer.is_closing()


def test_the_line_clock_stands_still_while_we_do_not_read(tmp_path: Path) -> None:
    threads = Threads()
    server = Server(tmp_path, in_thread=threads, timeouts=LIMITS)
    peer = server.greeted()
    peer.sends(b"list\nunfinished")
    pass_time(server, 100)
    threads.run_all()
    pass_time(server, 9.8)
    assert not peer.is_closing()
    pass_time(server, 0.4)
    assert peer.is_closing()


def test_the_line_clock_goes_on_where_it_stood(server: Server) -> None:
    peer = server.greeted()
    peer.sends(b"unfinished")
    pass_time(server, 5)
    peer.protocol.pauseProducing()
    pass_time(server, 8)
    peer.protocol.resumeProducing()
    pass_time(server, 4.8)
    assert not peer.is_closing()
    pass_time(server, 0.4)
    assert peer.is_closing()


# --- stalled output ---


@pytest.mark.parametrize("request_line", [b"get big\n", b"hello\n" * 100])
def test_who_takes_nothing_of_a_reply_is_reset(server: Server, request_line: bytes) -> None:
    transport = FullTransport()
    peer = server.greeted(transport)
    transport.drain()
    peer.sends(request_line)
    pass_time(server, 19.8)
    assert not transport.aborted
    pass_time(server, 3)
    assert transport.aborted
    peer.vanishes()
    assert server.connected() == []


def test_a_stall_behind_a_slow_disk_is_noticed_too(tmp_path: Path) -> None:
    threads = Threads()
    server = Server(tmp_path, in_thread=threads, timeouts=LIMITS)
    server.put("big", bytes(1_000_000))
    transport = FullTransport()
    peer = server.greeted(transport)
    transport.drain()
    peer.sends(b"get big\n")
    threads.run()
    transport.drain()
    pass_time(server, 100)
    assert not transport.aborted
    threads.run()
    pass_time(server, 19.8)
    assert not transport.aborted
    pass_time(server, 3)
    assert transport.aborted
    peer.vanishes()
    threads.run_all()


def test_who_takes_a_little_now_and_then_lives(server: Server) -> None:
    transport = FullTransport()
    peer = server.greeted(transport)
    transport.drain()
    peer.sends(b"get big\n")
    for _ in range(4):
        pass_time(server, 17)
        transport.drain()
    assert not transport.aborted


def test_clocks_can_be_turned_off(tmp_path: Path) -> None:
    server = Server(tmp_path, timeouts=Timeouts(0, 0, 0, 0))
    server.put("big", bytes(1_000_000))
    silent, stalled = server.greeted(), server.greeted(FullTransport())
    silent.sends(b"unfinished")
    stalled.sends(b"get big\n")
    server.clock.pump([100.0] * 1000)
    assert not silent.is_closing()
    assert not stalled.transport.aborted


# --- going down ---


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


def test_at_the_deadline_a_file_is_cut_by_a_reset_and_a_wait_is_told(tmp_path: Path) -> None:
    threads = Threads()
    server = Server(tmp_path, in_thread=threads)
    server.put("big", bytes(1_000_000))
    downloading, waiting = server.greeted(), server.greeted()
    downloading.sends(b"get big\n")
    threads.run()
    waiting.sends(b"list\n")
    drained(server, 30)
    pass_time(server, 29.8)
    assert not downloading.transport.aborted
    assert not waiting.is_closing()
    pass_time(server, 0.4)
    assert downloading.transport.aborted
    assert waiting.transport.lines()[0].startswith(b"ERROR shutdown ")
    assert waiting.is_closing()
    for peer in (downloading, waiting):
        peer.vanishes()
    threads.run_all()


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
