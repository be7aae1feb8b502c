"""A server behind proxies: who its clients are, and what it says to whom before it knows."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import tcp
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol
from twisted.logger import LogEvent

from chatfile.server import MAX_UNSEATED, ChatFileProtocol, Timeouts
from chatfile.server.events import SummedLog
from chatfile.server.proxied import ProxyHeaderProtocol, TrustedProxies
from tests.support.joined import PATIENCE, Turned
from tests.support.proxied import LOCAL, V1, V2, ProxiedServer, ends, v2
from tests.support.serving import WELCOME
from tests.support.transports import MemoryTransport, Threads

HERE = MemoryTransport().getHost()
OWN_CHECK = f"PROXY TCP4 127.0.0.1 {HERE.host} 40001 {HERE.port}\r\n".encode()
"""What HAProxy sends with its own checks in version 1: the two ends of this very connection."""
LINE = Timeouts().line


@pytest.fixture
def server(tmp_path: Path) -> ProxiedServer:
    server = ProxiedServer(tmp_path)
    server.put("a", b"x")
    return server


def addresses(server: ProxiedServer) -> list[str]:
    return [record.address for record in server.admission.records()]


def refused(told: list[LogEvent]) -> list[str]:
    return [event["address"] for event in told if event["event"] == "refused"]


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (V1, "192.0.2.7:4711"),
        (V2, "192.0.2.7:4711"),
        (v2(0x21, ends("2001:db8:0:0::9", 1)), "[2001:db8::9]:1"),
        (v2(0x31, b"\xff" * 216), "unix"),
        (v2(0x00, b""), "127.0.0.1:40001"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1:40001"),
    ],
)
def test_the_client_is_who_the_header_says(server: ProxiedServer, header: bytes, address: str) -> None:
    peer = server.connect()
    assert peer.transport.value() == b""
    peer.sends(header)
    assert peer.transport.lines() == [WELCOME % 1]
    status = peer.says(b"status")
    assert status[1].split()[:2] == [b"Client01", address.encode()]
    assert peer.says(V1.strip()) == [V1.strip() + b" ACK"], "a second one is a line as any other"


def converse(server: ProxiedServer, pieces: list[bytes]) -> bytes:
    peer = server.connect()
    for piece in pieces:
        peer.sends(piece)
    IHalfCloseableProtocol(peer.protocol).readConnectionLost()
    peer.vanishes()
    return peer.transport.value()


@given(st.sampled_from([V1, V2]), st.lists(st.integers(0, 80)))
def test_however_the_header_and_what_follows_are_cut_the_answers_are_the_same(header: bytes, cuts: list[int]) -> None:
    said = header + b"hello\nget a\nand no more"
    bounds = [0, *sorted({min(cut, len(said)) for cut in cuts}), len(said)]
    server = ProxiedServer(Path(os.devnull))
    heard = converse(server, [said[start:end] for start, end in pairwise(bounds)])
    assert heard.startswith(WELCOME % 1 + b"\nhello ACK\nERROR unavailable ")
    assert heard.endswith(b"\nand no more ACK\n")


def test_byte_by_byte_too(server: ProxiedServer) -> None:
    said = V2 + b"get a\n"
    assert b"\nxEND " in converse(server, [said[at : at + 1] for at in range(len(said))])


@pytest.mark.parametrize("header", [LOCAL, OWN_CHECK])
def test_a_check_of_the_proxy_s_own_takes_nothing(server: ProxiedServer, told: list[LogEvent], header: bytes) -> None:
    peer = server.connect()
    peer.sends(header + b"hello\n")
    assert peer.transport.disconnecting
    assert not peer.transport.aborted
    peer.vanishes()
    silent = server.connect()
    silent.vanishes()
    assert (peer.transport.value(), told, addresses(server)) == (b"", [], [])


@pytest.mark.parametrize("other", [f"{HERE.host} 40001 1", f"198.51.100.1 40001 {HERE.port}"])
def test_a_client_at_the_same_port_of_the_proxy_s_host_is_no_check(server: ProxiedServer, other: str) -> None:
    peer = server.connect()
    peer.sends(f"PROXY TCP4 127.0.0.1 {other}\r\n".encode())
    assert addresses(server) == ["127.0.0.1:40001"]


@pytest.mark.parametrize("said", [b"hello\n", b"PROXY TCP4 \x1b[2J 1.1.1.1 1 1\r\n", v2(0x11, b""), b"\x16\x03\x01"])
def test_who_sends_no_header_is_reset_and_told_of_in_the_log(
    server: ProxiedServer, told: list[LogEvent], said: bytes
) -> None:
    peer = server.connect()
    peer.sends(said)
    peer.sends(V1)
    assert peer.transport.aborted
    peer.vanishes()
    assert (peer.transport.value(), addresses(server)) == (b"", [])
    assert refused(told) == ["127.0.0.1:40001"]


def test_who_goes_amid_its_header_leaves_a_line_in_the_log(server: ProxiedServer, told: list[LogEvent]) -> None:
    peer = server.connect()
    peer.sends(V1[:-1])
    peer.vanishes()
    assert refused(told) == ["127.0.0.1:40001"]


@pytest.mark.parametrize("said", [b"", V1[:-1]])
def test_a_header_has_the_time_of_a_line(server: ProxiedServer, told: list[LogEvent], said: bytes) -> None:
    peer = server.connect()
    server.pass_time(LINE / 2)
    peer.sends(said)
    server.pass_time(LINE / 2 - 1)
    assert not peer.transport.aborted
    server.pass_time(1.1)
    assert peer.transport.aborted
    peer.vanishes()
    assert refused(told) == ["127.0.0.1:40001"]


def test_without_a_limit_it_has_any_time(tmp_path: Path) -> None:
    server = ProxiedServer(tmp_path, timeouts=Timeouts(line=0))
    peer = server.connect()
    server.pass_time(2 * LINE)
    assert not peer.transport.aborted


def test_behind_the_header_a_client_has_all_the_time_of_others(server: ProxiedServer) -> None:
    peer = server.connect()
    peer.sends(V1)
    server.pass_time(2 * LINE)
    assert peer.says(b"hello") == [WELCOME % 1, b"hello ACK"]


def test_nothing_is_left_between_the_transport_and_its_protocol(server: ProxiedServer) -> None:
    peer = server.connect()
    peer.sends(V1)
    assert isinstance(peer.protocol, ChatFileProtocol)
    assert peer.protocol.transport is peer.transport
    assert peer.transport.producer is peer.protocol


class Listening:
    """A server at a port of its own, on a reactor that is turned by hand, and one connection."""

    def __init__(self, folder: Path, trusted: str = "127.0.0.1") -> None:
        self.server = ProxiedServer(folder, trusted, in_thread=(threads := Threads()))
        self.reactor = Turned(self.server.clock, threads)
        self.port = self.reactor.listenTCP(0, self.server.behind, interface="127.0.0.1")
        self.client = socket.create_connection(("127.0.0.1", self.port.getHost().port), PATIENCE)
        self.client.setblocking(False)

    def transports(self) -> list[tcp.Server]:
        return [each for each in self.reactor.getReaders() if isinstance(each, tcp.Server)]

    def turn_until(self, condition: Callable[[], object]) -> None:
        until = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < until
            self.reactor.turn()

    def heard_until_the_end(self) -> bytes:
        heard: list[bytes] = []

        def is_at_the_end() -> bool:
            with suppress(BlockingIOError):
                heard.append(self.client.recv(1 << 20))
            return bool(heard) and not heard[-1]

        self.turn_until(is_at_the_end)
        return b"".join(heard)

    def end(self) -> None:
        self.client.close()
        stopped: list[object] = []
        self.port.stopListening().addBoth(stopped.append)
        self.turn_until(lambda: stopped and not (self.transports() or self.server.connected()))
        self.reactor.close()


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Listening]:
    listening = Listening(tmp_path)
    yield listening
    listening.end()


def test_files_go_from_the_disk_to_the_socket_within_the_system(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    sendfile = os.sendfile

    def note(*arguments: Any) -> int:
        sent.append(sendfile(*arguments))
        return sent[-1]

    monkeypatch.setattr(os, "sendfile", note)
    listening.server.put("large", b"x" * 1_000_000)
    listening.client.sendall(V2 + b"get large\n")
    listening.client.shutdown(socket.SHUT_WR)
    heard = listening.heard_until_the_end()
    assert heard.startswith(WELCOME % 1 + b"\nFILE 1000000 ")
    assert b"xEND " in heard
    assert sum(sent) == 1_000_000


def test_no_more_is_read_with_the_header_than_at_any_time(listening: Listening) -> None:
    listening.turn_until(listening.transports)
    (transport,) = listening.transports()
    assert isinstance(transport.protocol, ProxyHeaderProtocol)
    most = transport.bufferSize
    listening.client.sendall(V2)
    listening.turn_until(lambda: isinstance(transport.protocol, ChatFileProtocol))
    assert transport.bufferSize == most


def test_strangers_are_turned_away_unheard(tmp_path: Path, told: list[LogEvent]) -> None:
    server = ProxiedServer(tmp_path, "10.0.0.7")
    for _ in range(100):
        peer = server.connect()
        assert peer.transport.aborted
        peer.sends(V1)
        assert peer.transport.value() == b""
    assert len(refused(told)) == SummedLog.OF_A_CLIENT
    assert addresses(server) == []


def test_a_turn_of_the_reactor_turns_one_stranger_away(tmp_path: Path, told: list[LogEvent]) -> None:
    listening = Listening(tmp_path, "10.0.0.7")
    listening.port.numberAccepts = 1
    others = [socket.create_connection(("127.0.0.1", listening.port.getHost().port)) for _ in range(4)]
    for count in range(1, 6):
        listening.reactor.turn()
        assert len(refused(told)) == count
    for other in others:
        with pytest.raises(ConnectionResetError), other:
            other.recv(100)
    listening.end()


@pytest.mark.parametrize(
    ("trusted", "peer", "is_trusted"),
    [
        ("10.0.0.7", IPv4Address("TCP", "10.0.0.7", 1), True),
        ("10.0.0.7", IPv4Address("TCP", "10.0.0.8", 1), False),
        ("10.0.0.7", IPv6Address("TCP", "::ffff:10.0.0.7", 1), True),
        ("10.0.0.7", IPv6Address("TCP", "::ffff:10.0.0.8", 1), False),
        ("10.0.0.7", UNIXAddress(None), False),
        ("2001:db8::/64 , 10.0.0.0/24", IPv4Address("TCP", "10.0.0.255", 1), True),
        ("2001:db8::/64,10.0.0.0/24", IPv6Address("TCP", "2001:db8::ffff", 1), True),
        ("2001:db8::/64,10.0.0.0/24", IPv6Address("TCP", "2001:db8:0:1::1", 1), False),
        ("fe80::/10", IPv6Address("TCP", "fe80::1%eth0", 1), True),
        ("::/0", IPv4Address("TCP", "10.0.0.7", 1), False),
        ("unix", UNIXAddress(None), True),
        ("unix", UNIXAddress(b"/run/proxy"), True),
        ("unix", IPv4Address("TCP", "127.0.0.1", 1), False),
        ("127.0.0.1,unix", UNIXAddress(None), True),
    ],
)
def test_who_is_in_the_list(trusted: str, peer: IAddress, is_trusted: bool) -> None:
    assert (peer in TrustedProxies.parse(trusted)) is is_trusted


def test_clients_of_one_proxy_have_limits_of_their_own(tmp_path: Path) -> None:
    server = ProxiedServer(tmp_path, per_address=1)
    greetings = []
    for host in ("192.0.2.7", "192.0.2.7", "192.0.2.8"):
        peer = server.connect()
        peer.sends(v2(0x11, ends(host, 1)))
        greetings.append(peer.transport.lines()[0].split()[0])
    assert greetings == [b"WELCOME", b"ERROR", b"WELCOME"]


def test_a_drain_waits_for_nobody_whose_header_is_not_whole(server: ProxiedServer, told: list[LogEvent]) -> None:
    peers = [server.connect() for _ in range(3)]
    peers[0].sends(V1[:-1])
    peers[1].sends(V1)
    drained = server.factory.drain(30)
    assert [peer.transport.aborted for peer in peers] == [True, False, True]
    assert peers[1].transport.lines()[-1].startswith(b"ERROR shutdown ")
    for peer in peers:
        peer.vanishes()
    assert drained.called
    assert refused(told) == []


def test_those_without_a_header_are_bounded_with_all_others_without_a_seat(tmp_path: Path) -> None:
    server = ProxiedServer(tmp_path, limit=1)
    seated, refused_one = [server.connect() for _ in range(2)]
    seated.sends(V1)
    refused_one.sends(V1)
    begun = server.connect()
    begun.sends(V1[:-1])
    silent = [server.connect() for _ in range(2 * MAX_UNSEATED)]
    assert not any(peer.transport.aborted for peer in (seated, refused_one, begun, silent[-1]))
    assert [peer.transport.aborted for peer in silent].count(False) == MAX_UNSEATED - 2


def test_who_passes_descriptors_instead_is_reset_and_a_thread_closes_them(tmp_path: Path) -> None:
    threads = Threads()
    server = ProxiedServer(tmp_path, "unix", in_thread=threads)
    peer = server.connect(MemoryTransport(peer=UNIXAddress(None)))
    descriptor = os.open(os.devnull, os.O_RDONLY)
    peer.protocol.fileDescriptorReceived(descriptor)
    peer.sends(V1)
    assert peer.transport.aborted
    os.fstat(descriptor)
    threads.run_all()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(descriptor)
