"""Whatever kills the server resets what it owes, and nothing else: neither what it has given, nor what it closes."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.task import Clock
from zope.interface import implementer

from chatfile.server.transfer import PromisedSize
from tests.support.processes import RawClient, ServerProcess, wait_until
from tests.support.serving import Peer, Server
from tests.support.transports import MemoryTransport

BIG = 30_000_000
"""Bytes of a file that no socket buffer holds."""
SOME = 300_000
"""Bytes of one that a server's holds, but not that of a client which asks for a small one."""


@implementer(IReactorFDSet)
class Writing:
    """A reactor that knows what has something to write."""

    def __init__(self) -> None:
        self.writers: list[object] = []

    def getWriters(self) -> list[object]:
        return self.writers


class SocketAndMemory(MemoryTransport):
    """A transport in memory that has a socket as well, of which the options can be looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.socket = socket.socket()
        self.reactor = Writing()

    def is_reset_on_close(self) -> bool:
        on, seconds = struct.unpack("ii", self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))
        return bool(on) and seconds == 0

    def is_full(self, full: bool) -> None:
        self.reactor.writers = [self] if full else []


@pytest.fixture
def transport() -> Iterator[SocketAndMemory]:
    transport = SocketAndMemory()
    with transport.socket:
        yield transport


def test_what_is_owed_is_reset_until_it_has_left_the_process(transport: SocketAndMemory) -> None:
    clock = Clock()
    promised = PromisedSize(clock)
    assert not transport.is_reset_on_close()
    promised.begin(transport)
    clock.advance(1000)
    assert transport.is_reset_on_close()
    transport.is_full(True)
    promised.end()
    for _ in range(100):
        clock.advance(PromisedSize.LOOK)
        assert transport.is_reset_on_close()
    transport.is_full(False)
    clock.advance(PromisedSize.LOOK)
    assert not transport.is_reset_on_close()
    assert clock.getDelayedCalls() == []


def test_a_new_promise_counts_where_an_old_one_is_not_taken_back_yet(transport: SocketAndMemory) -> None:
    clock = Clock()
    promised = PromisedSize(clock)
    for _ in range(3):
        promised.begin(transport)
        promised.end()
        promised.begin(transport)
        clock.advance(1000)
        assert transport.is_reset_on_close()
        promised.end()
        clock.advance(PromisedSize.LOOK)
        assert not transport.is_reset_on_close()


@pytest.fixture
def peer(tmp_path: Path, transport: SocketAndMemory) -> Peer:
    server = Server(tmp_path)
    server.put("a", b"x")
    return server.greeted(transport)


@pytest.mark.parametrize("request_line", [b"get a", b"resume 1 a", b"list", b"status", b"help"])
def test_every_reply_that_says_how_long_it_is_is_owed(
    peer: Peer, transport: SocketAndMemory, request_line: bytes
) -> None:
    peer.says(request_line)
    assert transport.is_reset_on_close()
    peer.pass_time(2 * PromisedSize.LOOK)
    assert not transport.is_reset_on_close()


@pytest.mark.parametrize("last", [b"exit", b"get a"])
@pytest.mark.parametrize("full", [False, True])
def test_a_close_that_is_meant_is_none_that_resets(
    peer: Peer, transport: SocketAndMemory, last: bytes, full: bool
) -> None:
    transport.is_full(full)
    peer.sends(b"get a\n" + last)
    peer.protocol.readConnectionLost()
    peer.pass_time(0.001)
    assert peer.is_closing()
    assert not transport.is_reset_on_close()


def test_a_promise_that_could_not_be_kept_is_none(peer: Peer, transport: SocketAndMemory) -> None:
    peer.says(b"hash a", b"get missing", b"resume 9 a", b"hello")
    assert not transport.is_reset_on_close()


# --- real ones ---


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    served = tmp_path / "served"
    served.mkdir()
    (served / "big").touch()
    os.truncate(served / "big", BIG)
    (served / "some").write_bytes(b"x" * SOME)
    return served


def test_over_tls_too_a_server_that_is_killed_resets_what_it_owes(folder: Path) -> None:
    pytest.importorskip("OpenSSL", reason="TLS needs chatfile[tls]")
    from tests.support.certificates import Papers

    papers = Papers(folder.parent)
    with ServerProcess(folder, f"--certificate={papers.good}") as server:
        context = ssl.create_default_context(cafile=str(papers.ours))
        raw = socket.create_connection(("127.0.0.1", server.port))
        with context.wrap_socket(raw, server_hostname="localhost") as client:
            client.sendall(b"get big\n")
            with client.makefile("rb") as stream:
                assert stream.readline().startswith(b"WELCOME ")
                assert stream.readline().startswith(b"FILE ")
                server.process.kill()
                server.ended()
                with pytest.raises(ConnectionResetError):  # of the socket: Python's TLS calls any such end an EOF
                    all(iter(lambda: socket.socket.recv(client, 1 << 20), b""))


@pytest.mark.slow
def test_what_the_system_has_by_then_arrives_though_the_server_is_killed(folder: Path) -> None:
    with ServerProcess(folder) as server:
        slow, other = server.connect(receive_buffer=4096), server.greeted()
        slow.send(b"get some\n")
        wait_until(lambda: files_sent(other) == 1)
        until = time.monotonic() + 10 * PromisedSize.LOOK
        wait_until(lambda: time.monotonic() > until)  # nothing shows it
        server.process.kill()
        server.ended()
        assert slow.rest().count(b"x") == SOME


def files_sent(asker: RawClient) -> int:
    asker.send(b"status\n")
    rows = [asker.line() for _ in range(int(asker.line().split()[1]))]
    return int(rows[0].split()[4])
