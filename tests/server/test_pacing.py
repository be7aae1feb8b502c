"""Rates in a server in memory: what is sent in which time, by whom, and what it does to the timeouts."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock

from chatfile.server import Timeouts
from chatfile.server.pacing import SharedRates
from tests.support.serving import Peer, Server, sha256
from tests.support.transports import FullTransport, MemoryTransport

SECOND = 100_000
"""Bytes: what the servers here send in one."""
LARGE = bytes(range(250)) * 4000
"""Ten seconds of it."""


@pytest.fixture
def serve(tmp_path: Path) -> Callable[..., Server]:
    def made(**options: object) -> Server:
        server = Server(tmp_path, limit=9, **{"rate": SECOND, **options})  # type: ignore[arg-type]
        server.put("large", LARGE)
        server.put("small", LARGE[:5000])
        return server

    return made


def came_from(server: Server, host: str, transport: MemoryTransport | None = None) -> Peer:
    """A new client of that host, which was greeted."""
    transport = transport or MemoryTransport()
    transport.peerAddr = IPv4Address("TCP", host, 40000)
    return server.greeted(transport)


def taken(peer: Peer) -> int:
    """How much has come since the last call."""
    count = len(peer.transport.value())
    peer.transport.clear()
    return count


def assert_gets(peers: list[Peer], *seconds: float, within: float = 0.1) -> None:
    """In the next second each of the peers gets what its rate gives in so many seconds of the server's."""
    for peer in peers:
        taken(peer)
    peers[0].pass_time(2)
    assert [taken(peer) / 2 / SECOND for peer in peers] == pytest.approx(seconds, rel=within, abs=0.001)


def test_a_file_takes_its_time(serve: Callable[..., Server]) -> None:
    server = serve()
    peer = server.greeted()
    peer.sends(b"get large\n")
    header, _, _ = peer.transport.value().partition(b"\n")
    peer.transport.clear()
    came = 0
    for second in range(1, 10):
        server.pass_time(1)
        came += taken(peer)
        assert (second - 0.2) * SECOND <= came <= second * SECOND
    server.pass_time(1.2)
    assert header.startswith(b"FILE 1000000 ")
    assert peer.transport.value().endswith(LARGE[-250:] + b"END " + sha256(LARGE) + b"\n")


def test_readers_share_and_what_one_leaves_is_the_others_at_once(serve: Callable[..., Server]) -> None:
    server = serve()
    peers = [came_from(server, f"192.0.2.{number}") for number in range(3)]
    for peer in peers:
        peer.sends(b"get large\n")
    assert_gets(peers, 1 / 3, 1 / 3, 1 / 3)
    peers[2].vanishes()
    assert_gets(peers[:2], 1 / 2, 1 / 2)
    late = came_from(server, "192.0.2.9")
    late.sends(b"get large\n")
    assert_gets([*peers[:2], late], 1 / 3, 1 / 3, 1 / 3)


def test_shares_are_those_of_addresses(serve: Callable[..., Server]) -> None:
    server = serve()
    peers = [came_from(server, host) for host in ("192.0.2.1", "192.0.2.2", "192.0.2.2")]
    for peer in peers:
        peer.sends(b"get large\n")
    assert_gets(peers, 1 / 2, 1 / 4, 1 / 4)


def test_a_limit_for_each_client_is_void_for_nobody_who_connects_twice(serve: Callable[..., Server]) -> None:
    server = serve(rate=0, rate_per_client=SECOND // 10)
    peers = [came_from(server, host) for host in ("192.0.2.1", "192.0.2.2", "192.0.2.2")]
    for peer in peers:
        peer.sends(b"get large\n")
    assert_gets(peers, 0.1, 0.05, 0.05)


@pytest.mark.parametrize("rate", [0, 0.05, 0.2])
def test_what_a_slow_reader_leaves_is_for_the_others(serve: Callable[..., Server], rate: float) -> None:
    server = serve()
    quick, slow = came_from(server, "192.0.2.1"), came_from(server, "192.0.2.2", SlowTransport(rate))
    for peer in (quick, slow):
        peer.sends(b"get large\n")
    read_for(server, slow, 3)
    taken(quick)
    read_for(server, slow, 2)
    assert taken(quick) / 2 / SECOND >= (1 - 1.3 * rate - 1 / 32) * 0.9
    slow.transport.rate = 10.0  # and then it reads all that it is given
    read_for(server, slow, 6)
    taken(quick)
    slow.transport.came = 0
    read_for(server, slow, 2)
    assert (taken(quick) / 2 / SECOND, slow.transport.came / 2 / SECOND) == pytest.approx((0.5, 0.5), rel=0.1)


class SlowTransport(FullTransport):
    """Takes a part of a second's bytes in each."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.came = 0
        self._left = 0.0

    def read(self, seconds: float) -> None:
        """Take what is there of what so much time is enough for, then be given more."""
        self._left = min(self._left + seconds * self.rate * SECOND, self.rate * SECOND)
        if self._left >= len(self.value()):
            count = len(self.value())
            self._left -= count
            self.came += count
            self.drain()


def read_for(server: Server, peer: Peer, seconds: float) -> None:
    for _ in range(round(seconds * 10)):
        assert isinstance(peer.transport, SlowTransport)
        peer.transport.read(0.1)
        server.pass_time(0.1)


def test_a_run_of_small_files_keeps_to_the_rate_as_well(serve: Callable[..., Server]) -> None:
    server = serve()
    peer = server.greeted()
    peer.sends(b"get small\n" * 100)
    files = 0
    for second in range(1, 5):
        server.pass_time(1)
        files += peer.transport.value().count(b"END ")
        peer.transport.clear()
        assert second * SECOND * 0.9 <= files * 5000 + 5000
        assert files * 5000 <= second * SECOND
    server.pass_time(3)
    assert files + peer.transport.value().count(b"END " + sha256(LARGE[:5000])) == 100


def test_connections_for_one_small_file_each_are_no_way_around_it(serve: Callable[..., Server]) -> None:
    server = serve()
    files = 0
    for _ in range(100):
        peer = server.greeted()
        peer.sends(b"get small\n")
        for _ in range(2):
            server.pass_time(0.1)
        files += peer.transport.value().count(b"END ")
        peer.vanishes()
    assert files * 5000 <= SECOND * server.clock.seconds()


@pytest.mark.parametrize("name", [b"large", b"small"])
def test_a_rate_trips_no_timeout(serve: Callable[..., Server], name: bytes) -> None:
    server = serve(rate=10, timeouts=Timeouts(idle=3, line=3, stall=2, flush=1))
    peer = server.greeted()
    peer.sends(b"get " + name + b"\n")
    peer.transport.clear()
    server.pass_time(100)
    assert not peer.transport.aborted
    assert 900 <= taken(peer) <= 1000


def test_what_is_said_beside_a_file_waits_for_nothing(serve: Callable[..., Server]) -> None:
    server = serve()
    peer, other = server.greeted(), server.greeted()
    peer.sends(b"get large\n")
    server.pass_time(1)
    assert other.says(b"hello") == [b"hello ACK"]
    assert other.says(b"list")[0] == b"LIST 2"


def test_what_comes_behind_a_file_is_not_slow(serve: Callable[..., Server]) -> None:
    server = serve(rate=1000)
    peer = server.greeted()
    peer.sends(b"get small\n")
    server.pass_time(6)
    peer.transport.clear()
    assert peer.says(b"x" * 4000) == [b"x" * 4000 + b" ACK"]


def test_the_deadline_of_a_drain_holds(serve: Callable[..., Server]) -> None:
    server = serve(rate=100)
    peers = [server.greeted(), server.greeted()]
    peers[0].sends(b"get large\n")
    peers[1].sends(b"get small\n")
    server.pass_time(1)
    server.factory.drain(2)
    server.pass_time(1.8)
    assert [peer.transport.aborted for peer in peers] == [False, False]
    server.pass_time(0.3)
    assert [peer.transport.aborted for peer in peers] == [True, True]


def test_who_goes_amid_a_small_file_was_sent_what_the_record_says(serve: Callable[..., Server]) -> None:
    server = serve(rate=1000)
    peer = server.greeted()
    peer.sends(b"get small\n")
    server.pass_time(2)
    peer.vanishes()
    (record,) = server.admission.records()
    assert (record.files, 1500 < record.bytes <= 2000) == (0, True)


@pytest.mark.skipif(sys.platform != "linux", reason="only there the system spreads what is sent")
def test_a_socket_is_paced_while_a_large_file_is_sent_and_not_behind_it() -> None:
    shared = SharedRates(Clock(), total=4_000_000, per_address=0)
    with socket.create_server(("127.0.0.1", 0)) as port, socket.create_connection(port.getsockname()) as sock:
        unlimited = pacing(sock)
        transport = MemoryTransport()
        transport.socket = sock
        rate, other = shared.client(transport, "192.0.2.1"), shared.client(MemoryTransport(), "192.0.2.2")
        with rate.sending(spread=False):
            assert pacing(sock) == unlimited, "a small file is one write"
        with rate.sending(spread=True):
            assert pacing(sock) == 5_000_000
            with other.sending(spread=True):
                assert pacing(sock) == 2_500_000
                other.end()
            assert pacing(sock) == 5_000_000
        assert pacing(sock) == unlimited
        rate.end()


def pacing(sock: socket.socket) -> int:
    return int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, 47, 8), sys.byteorder)
