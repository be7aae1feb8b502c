"""Seats: who gets in, and that a seat is free again however its client went, exactly once."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from twisted.internet import tcp
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import ISSLTransport, IStreamServerEndpoint
from twisted.internet.testing import MemoryReactor
from twisted.logger import LogEvent, globalLogPublisher
from zope.interface import implementer

from chatfile.listening import TunedEndpoint
from chatfile.server import MAX_UNSEATED, Timeouts
from chatfile.server.events import SummedLog
from tests.support.serving import WELCOME, Peer, Server
from tests.support.transports import FullTransport, MemoryTransport, Threads

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


def test_of_fifty_at_once_three_are_seated_and_the_others_told(server: Server) -> None:
    peers = [server.connect() for _ in range(50)]
    greetings = [peer.transport.lines() for peer in peers]
    assert greetings[:3] == [[WELCOME % number] for number in (1, 2, 3)]
    assert all(line.startswith(b"ERROR full ") for (line,) in greetings[3:])
    for peer in peers:
        peer.vanishes()
    assert [server.connect().transport.lines() for _ in range(3)] == [[WELCOME % number] for number in (4, 5, 6)]


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
    (visit,) = server.admission.records()
    assert visit.disconnected is not None
    assert visit.disconnected >= visit.connected
    assert server.connect().transport.lines() == [WELCOME % 2]
    server.clock.advance(1)
    peer.vanishes()  # the end of the connection comes later, or again, and changes nothing
    assert server.admission.records()[0] == visit
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


@pytest.mark.usefixtures("no_file_is_small")
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
    assert "_take_turn" in [each.call.__name__ for each in threads.waiting]  # there is no digest yet


# --- those without a seat ---


@implementer(ISSLTransport)
class EncryptedTransport(MemoryTransport):
    """As over TLS; the handshake is done when `protocol.handshakeCompleted` is called."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass

    def setTcpKeepAlive(self, enabled: bool) -> None:
        pass


def test_over_tls_a_seat_is_for_who_has_shaken_hands(server: Server) -> None:
    silent = [server.connect(EncryptedTransport()) for _ in range(10)]
    peer = server.connect(EncryptedTransport())
    assert server.connected() == []
    peer.protocol.handshakeCompleted()
    assert peer.transport.lines() == [WELCOME % 1]
    assert peer.says(b"hello") == [b"hello ACK"]
    assert [one.transport.value() for one in silent] == [b""] * 10


def test_a_handshake_takes_no_longer_than_a_line_may(server: Server) -> None:
    silent, slow = (server.connect(EncryptedTransport()) for _ in range(2))
    server.pass_time(LIMITS.line - 0.2)
    slow.protocol.handshakeCompleted()
    assert not silent.transport.aborted
    server.pass_time(0.4)
    assert silent.transport.aborted
    assert silent.transport.value() == b""
    assert not slow.transport.aborted
    silent.protocol.handshakeCompleted()  # too late, and the connection about to be lost
    assert server.connected() == ["Client01"]


def test_who_has_not_shaken_hands_holds_no_drain_up(server: Server) -> None:
    silent = server.connect(EncryptedTransport())
    server.factory.drain(30)
    assert silent.transport.aborted


def test_of_too_many_without_a_seat_the_first_have_to_go(server: Server) -> None:
    seated = [server.greeted() for _ in range(3)]
    standing = [server.connect() for _ in range(MAX_UNSEATED)]
    assert not any(peer.transport.aborted for peer in standing)
    later = [server.connect(EncryptedTransport()) for _ in range(5)]
    assert [peer.transport.aborted for peer in standing] == [True] * 5 + [False] * (MAX_UNSEATED - 5)
    assert not any(peer.transport.aborted for peer in later + seated)
    assert seated[0].says(b"hello") == [b"hello ACK"]


def _linger(server: Server) -> Peer:
    peer = server.greeted()
    peer.says(b"exit")
    peer.protocol.writeConnectionLost()
    return peer


def test_who_has_left_its_seat_and_does_not_go_stands_too(server: Server) -> None:
    half = MAX_UNSEATED // 2
    lingering = [_linger(server) for _ in range(half + 1)]
    assert server.connected() == []
    assert [peer.transport.aborted for peer in lingering] == [True] + [False] * half


class SlowTransport(MemoryTransport):
    """With a socket of which the peer has not taken everything, until it reads from `peer`."""

    def __init__(self) -> None:
        super().__init__()
        self.socket, self.peer = socket.socketpair()
        self.socket.send(b"the last of it")


@pytest.fixture
def slow(server: Server) -> Iterator[Callable[[], Peer]]:
    """A client that leaves, and has not taken everything by then."""
    left: list[SlowTransport] = []

    def leave() -> Peer:
        left.append(SlowTransport())
        peer = server.greeted(left[-1])
        peer.says(b"exit")
        peer.protocol.writeConnectionLost()
        return peer

    yield leave
    for transport in left:
        transport.socket.close()
        transport.peer.close()


def test_who_was_served_and_has_not_taken_everything_is_reset_by_no_stranger(
    server: Server, slow: Callable[[], Peer]
) -> None:
    lingering = slow()
    assert server.connected() == []
    for _ in range(3 + 2 * MAX_UNSEATED):
        server.connect()
    assert not lingering.transport.aborted
    assert sum(peer.transport.aborted for peer in server.peers) == MAX_UNSEATED + 1


def test_where_too_many_such_linger_the_next_keeps_its_seat_until_it_has_everything(
    server: Server, slow: Callable[[], Peer]
) -> None:
    lingering = [slow() for _ in range(MAX_UNSEATED // 2)]
    assert server.connected() == []
    last = slow()
    assert len(server.connected()) == 1
    assert [server.connect().transport.lines()[0][:5] for _ in range(3)] == [b"WELCO", b"WELCO", b"ERROR"]
    last.transport.peer.recv(100)
    server.clock.advance(last.protocol.LINGER)
    last.vanishes()
    assert server.connect().transport.lines()[0].startswith(b"WELCOME ")
    assert not any(peer.transport.aborted for peer in lingering)


def test_who_is_refused_has_that_in_writing_before_the_reactor_turns(server: Server) -> None:
    for _ in range(3):
        server.greeted()
    with socket.create_server(("127.0.0.1", 0)) as port, socket.create_connection(port.getsockname()) as client:
        accepted, address = port.accept()
        with accepted:
            transport = tcp.Server(accepted, None, address, None, 0, MemoryReactor())
            transport.protocol = server.factory.buildProtocol(transport.getPeer())
            transport.protocol.makeConnection(transport)
            assert client.recv(1000).startswith(b"ERROR full ")
            assert client.recv(1000) == b""
            transport.protocol.connectionLost()


@implementer(IStreamServerEndpoint)
class Listening:
    """An endpoint whose port is there already."""

    def __init__(self, port: tcp.Port) -> None:
        self._port = port

    def listen(self, protocolFactory: object) -> Deferred[tcp.Port]:
        return succeed(self._port)


def test_a_turn_of_the_reactor_accepts_one_of_a_burst(server: Server) -> None:
    port = tcp.Port(0, server.factory, interface="127.0.0.1", reactor=MemoryReactor())
    port.startListening()
    TunedEndpoint(Listening(port), "tcp:0", peer_begins=False).listen(server.factory)
    clients = [socket.create_connection(("127.0.0.1", port.getHost().port)) for _ in range(5)]
    for accepted in range(1, 6):
        port.doRead()
        assert len(server.factory._connections) == accepted
    for each in list(server.factory._connections):
        each.transport.socket.close()
        each.connectionLost()
    for client in [*clients, port.socket]:
        client.close()


def test_those_gone_count_no_more(server: Server) -> None:
    for _ in range(4):
        server.connect()
    for _ in range(2 * MAX_UNSEATED):
        server.connect().vanishes()
    assert not any(peer.transport.aborted for peer in server.peers)


# --- refusals in the log ---


@pytest.fixture
def refusals() -> Iterator[list[int]]:
    """How many refusals each line of the log tells of."""
    told: list[int] = []

    def observe(event: LogEvent) -> None:
        if event.get("event") == "refused":
            told.append(event["count"])

    globalLogPublisher.addObserver(observe)
    yield told
    globalLogPublisher.removeObserver(observe)


def refuse(server: Server, count: int) -> None:
    for _ in range(count):
        server.connect().vanishes()


def test_a_flood_of_refusals_is_no_flood_of_lines(server: Server, refusals: list[int]) -> None:
    seated = [server.greeted() for _ in range(3)]
    refuse(server, 1000)
    server.clock.advance(SummedLog.SECONDS)
    assert refusals == [1] * SummedLog.OF_A_CLIENT + [1000 - SummedLog.OF_A_CLIENT]
    refuse(server, 2)
    assert refusals[-2:] == [1, 1]
    for peer in seated:
        peer.vanishes()
    server.clock.advance(SummedLog.SECONDS)
    assert sum(refusals) == 1002


def test_what_was_not_told_yet_is_told_at_the_end(server: Server, refusals: list[int]) -> None:
    seated = [server.greeted() for _ in range(3)]
    refuse(server, 100)
    server.factory.drain(30)
    for peer in seated:
        peer.vanishes()
    assert sum(refusals) == 100
