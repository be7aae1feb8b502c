"""A close after a reply that the peer has not read yet: what it says meanwhile must not cost it the reply."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest
from twisted.internet.defer import maybeDeferred
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from chatfile.lines import ConnectionState, LineProtocol
from chatfile.transports import outstanding_bytes
from tests.support.joined import PATIENCE, Turned
from tests.support.transports import MemoryTransport, Threads

REPLY = bytes(range(256)) * 800


class Answering(LineProtocol):
    """Answers a line at length, and closes."""

    def lineReceived(self, line: bytes) -> None:
        self.transport.write(REPLY)
        self.close()


class Closing:
    """A server that has said its last word, and a client that has not read it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self._reactor = Turned(self.clock, Threads())
        self.server = Answering(self.clock)
        self._port = self._reactor.listenTCP(0, Factory.forProtocol(lambda: self.server), interface="127.0.0.1")
        self.client = socket.socket()
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.client.settimeout(PATIENCE)
        self.client.connect(("127.0.0.1", self._port.getHost().port))
        self.client.sendall(b"bye\n")
        self.turn_until(lambda: self.server.state is ConnectionState.LINGERING)

    def turn_until(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < until
            self._reactor.turn()

    def lingers(self) -> None:
        """Let the time pass after which a peer that had read everything would be left."""
        self.clock.advance(self.server.LINGER * 1.1)
        for _ in range(3):
            self._reactor.turn()

    def end(self) -> None:
        self.client.close()
        self.turn_until(lambda: self.server.state is ConnectionState.CLOSED)
        stopped = maybeDeferred(self._port.stopListening)
        self.turn_until(lambda: stopped.called)
        self._reactor.close()


@pytest.fixture
def closing() -> Iterator[Closing]:
    closing = Closing()
    yield closing
    closing.end()


def read_to_the_end(closing: Closing) -> bytes:
    """Slowly; what is read is acknowledged, and more comes."""
    closing.client.setblocking(False)
    came = b""

    def has_ended() -> bool:
        nonlocal came
        try:
            data = closing.client.recv(4096)
        except BlockingIOError:
            return False
        came += data
        return not data

    closing.turn_until(has_ended)
    return came


def test_a_peer_that_reads_its_last_reply_late_and_says_more_meanwhile_gets_it_whole(closing: Closing) -> None:
    for _ in range(3):
        closing.lingers()
        closing.client.sendall(b"are you there?\n")
    closing.lingers()
    assert outstanding_bytes(closing.server.transport), "the client's system has not taken it"
    assert read_to_the_end(closing) == REPLY


def test_a_peer_that_has_taken_everything_and_does_not_close_is_left(closing: Closing) -> None:
    assert read_to_the_end(closing) == REPLY
    closing.turn_until(lambda: not outstanding_bytes(closing.server.transport))
    closing.lingers()
    assert closing.server.state is ConnectionState.CLOSED


def test_a_peer_that_goes_first_ends_the_wait_for_it() -> None:
    """Also where the transport takes its time to end the connection."""
    clock, transport = Clock(), MemoryTransport()
    server = Answering(clock)
    server.makeConnection(transport)
    server.dataReceived(b"bye\n")
    server.writeConnectionLost()
    server.readConnectionLost()
    clock.advance(server.LINGER)
    assert transport.disconnecting
    server.connectionLost()
    assert not clock.getDelayedCalls()
