"""What is set on a transport, and what must not be done behind the back of one."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactor

from chatfile import transports
from chatfile.sending import file_sender
from chatfile.sending.zerocopy import ZeroCopySender
from tests.support.transports import MemoryTransport, at_once

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the options are those of Linux")

PROBING = [getattr(socket, f"TCP_{name}", 0) for name in ("KEEPIDLE", "KEEPINTVL", "KEEPCNT")]


class Peered(MemoryTransport):
    """In memory, but with a real socket to set options on."""

    def __init__(self, host: str, sock: socket.socket) -> None:
        super().__init__()
        self.peerAddr = type(self.peerAddr)("TCP", host, 1)
        self.socket = sock


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        yield client


def congestion(sock: socket.socket) -> bytes:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0")


@on_linux
@pytest.mark.parametrize(("host", "paces"), [("127.0.0.1", False), ("127.8.9.1", False), ("192.0.2.1", True)])
def test_only_on_this_host_nothing_is_paced(sock: socket.socket, host: str, paces: bool) -> None:
    default = congestion(sock)
    transports.do_not_pace(Peered(host, sock))
    assert congestion(sock) == (default if paces else b"reno")


@on_linux
def test_the_system_spreads_what_is_sent_until_it_is_told_not_to(sock: socket.socket) -> None:
    transport = Peered("192.0.2.1", sock)
    unlimited = pacing(sock)
    transports.pace_output(transport, 1_250_000.5, unsent=1_000_000)
    assert (pacing(sock), unsent(sock)) == (1_250_000, 1_000_000)
    transports.pace_output(transport, None, unsent=0)
    assert (pacing(sock), unsent(sock)) == (unlimited, 128 * 1024)


def pacing(sock: socket.socket) -> int:
    return int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, 47, 8), sys.byteorder)


def unsent(sock: socket.socket) -> int:
    return sock.getsockopt(socket.IPPROTO_TCP, 25)


def test_a_connection_that_is_gone_is_not_spread(sock: socket.socket) -> None:
    sock.close()
    transports.pace_output(Peered("192.0.2.1", sock), 1_000_000, unsent=0)
    transports.pace_output(MemoryTransport(), 1_000_000, unsent=0)


def test_a_plain_connection_is_sent_to_without_a_copy(sock: socket.socket, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1000)
    transport = Connection(sock, None, MemoryReactor())
    transport.connected = 1
    sender = file_sender(
        transport,
        os.open(tmp_path / "a", os.O_RDONLY),
        offset=0,
        count=1000,
        in_thread=at_once,
        progress=lambda _: None,
    )
    assert isinstance(sender, ZeroCopySender)
    outcome = sender.start()
    transport.doWrite()
    assert (outcome.called, transport.producer) == (True, None)


def test_where_it_can_not_be_set_it_goes_without(sock: socket.socket) -> None:
    sock.close()
    for transport in (MemoryTransport(), Peered("127.0.0.1", sock)):
        transports.do_not_pace(transport)
        transports.probe_when_silent(transport, 60)


@on_linux
@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(60, [30, 10, 3]), (2, [1, 1, 3]), (0.1, [1, 1, 3]), (999_999_999, [32767, 32767, 3])],
)
def test_the_system_is_told_to_probe_a_silent_peer(sock: socket.socket, seconds: float, expected: list[int]) -> None:
    transports.probe_when_silent(Peered("192.0.2.1", sock), seconds)
    assert [sock.getsockopt(socket.IPPROTO_TCP, option) for option in PROBING] == expected


@on_linux
def test_without_a_limit_the_system_keeps_its_own_times(sock: socket.socket) -> None:
    default = [sock.getsockopt(socket.IPPROTO_TCP, option) for option in PROBING]
    transports.probe_when_silent(Peered("192.0.2.1", sock), 0)
    assert [sock.getsockopt(socket.IPPROTO_TCP, option) for option in PROBING] == default


def test_only_a_plain_connection_has_a_plain_socket(sock: socket.socket) -> None:
    plain = Connection(sock, None, object())
    assert transports.plain_socket(plain) is sock
    plain.TLS = True
    assert transports.plain_socket(plain) is None
    assert transports.plain_socket(Peered("127.0.0.1", sock)) is None, "whatever passes the attribute on is not plain"


@pytest.mark.parametrize(
    ("address", "shown", "host"),
    [
        (IPv4Address("TCP", "192.0.2.1", 1), "192.0.2.1:1", "192.0.2.1"),
        (IPv6Address("TCP", "2001:db8:1:2:3:4:5:6", 1), "[2001:db8:1:2:3:4:5:6]:1", "2001:db8:1:2::/64"),
        (IPv6Address("TCP", "2001:db8:1:2::9", 1), "[2001:db8:1:2::9]:1", "2001:db8:1:2::/64"),
        (IPv6Address("TCP", "2001:db8:1:3::9", 1), "[2001:db8:1:3::9]:1", "2001:db8:1:3::/64"),
        (IPv6Address("TCP", "::ffff:192.0.2.1", 1), "[::ffff:192.0.2.1]:1", "192.0.2.1"),
        (IPv6Address("TCP", "fe80::1%lo", 1), "[fe80::1%lo]:1", "fe80::/64"),
        (UNIXAddress(b"path"), "unix", "unix"),
        (UNIXAddress(None), "unix", "unix"),
    ],
)
def test_of_ipv6_a_host_is_a_network(address: IPv4Address, shown: str, host: str) -> None:
    assert transports.describe_client(address) == (shown, host)
