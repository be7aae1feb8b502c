"""The clocks: who is sent away, and when: not too early and not too late."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chatfile.server import Timeouts
from tests.support.serving import Server
from tests.support.transports import FullTransport, Threads

LIMITS = Timeouts(idle=30, line=10, stall=20, flush=5)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    server = Server(tmp_path, timeouts=LIMITS)
    server.put("big", os.urandom(1_000_000))
    return server


# --- idle ---


def test_who_says_nothing_is_told_and_sent_away(server: Server) -> None:
    peer = server.greeted()
    server.pass_time(29.8)
    assert not peer.is_closing()
    server.pass_time(0.4)
    assert peer.transport.lines()[0].startswith(b"ERROR timeout ")
    assert peer.is_closing()


def test_who_says_something_stays(server: Server) -> None:
    peer = server.greeted()
    for _ in range(5):
        server.pass_time(20)
        assert peer.says(b"hello") == [b"hello ACK"]
    server.pass_time(29.8)
    assert not peer.is_closing()
    server.pass_time(0.4)
    assert peer.is_closing()


def test_a_transfer_is_not_idle_and_the_clock_begins_anew_behind_it(tmp_path: Path) -> None:
    threads = Threads()
    server = Server(tmp_path, in_thread=threads, timeouts=LIMITS)
    server.put("a", b"x\n")
    peer = server.greeted()
    peer.sends(b"get a\n")
    server.pass_time(100)
    threads.run_all()
    server.pass_time(29.8)
    assert not peer.is_closing()
    server.pass_time(0.4)
    assert peer.is_closing()


def test_waiting_for_our_own_hashing_is_neither_idle_nor_stalled(tmp_path: Path) -> None:
    threads = Threads()
    server = Server(tmp_path, in_thread=threads, timeouts=LIMITS)
    server.put("a", b"x\n")
    peer = server.greeted()
    peer.sends(b"hash a\n")
    threads.run()
    server.pass_time(1000)
    threads.run_all()
    assert peer.transport.lines()[0].startswith(b"HASH ")


def test_who_has_not_read_its_replies_yet_is_not_idle(tmp_path: Path) -> None:
    server = Server(tmp_path, timeouts=Timeouts(idle=0.5, stall=20))
    transport = FullTransport()
    peer = server.greeted(transport)
    transport.drain()
    peer.sends(b"hello\n")
    server.pass_time(19)
    assert transport.drain() == b"hello ACK\n"
    server.pass_time(2)
    assert peer.is_closing()


@pytest.mark.parametrize(
    "nothing",
    [b"\xff\xf1", b"\xff\xfb\x01", b"\xff\xfa\x18\x00\xff\xf0", b"\xff"],
    ids=["commands", "negotiation", "subnegotiation", "pieces of them"],
)
def test_to_negotiate_without_end_is_to_say_nothing(server: Server, nothing: bytes) -> None:
    peer = server.greeted()
    for _ in range(298):
        peer.sends(nothing)
        server.pass_time(0.1)
        if nothing == b"\xff":
            peer.sends(b"\xf1")
    assert not peer.is_closing()
    server.pass_time(0.4)
    assert peer.is_closing()


# --- lines ---


def test_a_line_has_its_time_from_the_first_byte_on(server: Server) -> None:
    peer = server.greeted()
    for _ in range(98):
        peer.sends(b"x")
        server.pass_time(0.1)
    assert not peer.is_closing()
    for _ in range(4):
        peer.sends(b"x")
        server.pass_time(0.1)
    assert peer.transport.lines()[0].startswith(b"ERROR timeout ")
    assert peer.is_closing()


def test_a_line_behind_a_negotiation_has_its_time_too(server: Server) -> None:
    peer = server.greeted()
    peer.sends(b"\xff\xfb")
    peer.sends(b"\x01")
    server.pass_time(15)
    peer.sends(b"unfinished")
    server.pass_time(9.8)
    assert not peer.is_closing()
    server.pass_time(0.4)
    assert peer.is_closing()


def test_each_line_has_a_time_of_its_own(server: Server) -> None:
    peer = server.greeted()
    for _ in range(20):
        peer.sends(b"end\nbegin ")
        server.pass_time(9)
    assert not peer.is_closing()


def test_a_line_without_end_is_cut_off_in_time(server: Server) -> None:
    peer = server.greeted()
    for _ in range(98):
        peer.sends(b"x" * 5000)
        server.pass_time(0.1)
    assert [line.split()[1] for line in peer.transport.lines()] == [b"line-too-long"]
    server.pass_time(0.4)
    assert peer.is_closing()


def test_the_line_clock_stands_still_while_we_do_not_read(tmp_path: Path) -> None:
    threads = Threads()
    server = Server(tmp_path, in_thread=threads, timeouts=LIMITS)
    peer = server.greeted()
    peer.sends(b"list\nunfinished")
    server.pass_time(100)
    threads.run_all()
    server.pass_time(9.8)
    assert not peer.is_closing()
    server.pass_time(0.4)
    assert peer.is_closing()


def test_the_line_clock_goes_on_where_it_stood(server: Server) -> None:
    peer = server.greeted()
    peer.sends(b"unfinished")
    server.pass_time(5)
    peer.protocol.pauseProducing()
    server.pass_time(8)
    peer.protocol.resumeProducing()
    server.pass_time(4.8)
    assert not peer.is_closing()
    server.pass_time(0.4)
    assert peer.is_closing()


# --- stalled output ---


@pytest.mark.parametrize("request_line", [b"get big\n", b"hello\n" * 100])
def test_who_takes_nothing_of_a_reply_is_reset(server: Server, request_line: bytes) -> None:
    transport = FullTransport()
    peer = server.greeted(transport)
    transport.drain()
    peer.sends(request_line)
    server.pass_time(19.8)
    assert not transport.aborted
    server.pass_time(3)
    assert transport.aborted
    peer.vanishes()
    assert server.connected() == []


@pytest.mark.usefixtures("cold_disk")
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
    server.pass_time(100)
    assert not transport.aborted
    threads.run()
    server.pass_time(19.8)
    assert not transport.aborted
    server.pass_time(3)
    assert transport.aborted
    peer.vanishes()
    threads.run_all()


def test_who_takes_a_little_now_and_then_lives(server: Server) -> None:
    transport = FullTransport()
    peer = server.greeted(transport)
    transport.drain()
    peer.sends(b"get big\n")
    for _ in range(4):
        server.pass_time(17)
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
