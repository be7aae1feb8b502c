"""TLS in large pieces: the same bytes in the same order, in fewer calls; ends and faults are told as ever."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.abstract import FileDescriptor
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

pytest.importorskip("OpenSSL", reason="TLS needs chatfile[tls]")
from OpenSSL.SSL import Connection
from twisted.internet.ssl import optionsForClientTLS

from chatfile.tls.files import trust
from chatfile.tls.server import ServerTLS
from chatfile.tls.sessions import ClientSessions
from tests.support.certificates import Authority
from tests.support.leftovers import without_collector

PIECE = os.urandom(256 << 10)


class Ear(Protocol):
    """Remembers what it is told, in the order in which it is."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.lost: list[Failure] = []

    def dataReceived(self, data: bytes) -> None:
        assert not self.lost
        self.heard.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.append(reason)


class End:
    """A session in memory."""

    def __init__(self, sessions: Any) -> None:
        sessions._clock = Clock()
        self.transport = StringTransport()
        self.session = sessions.buildProtocol(None)
        self.ear: Ear = self.session.wrappedProtocol
        self.session.makeConnection(self.transport)

    def sent(self) -> bytes:
        sent = self.transport.value()
        self.transport.clear()
        return sent

    @property
    def content(self) -> bytes:
        return b"".join(self.ear.heard)


class Pair:
    """Both ends, and a network that carries bytes when it is told to."""

    def __init__(self, folder: Path, *, is_read_anew: bool) -> None:
        authority = Authority(folder, "ca")
        key = authority.issue("server")
        server = ServerTLS(str(folder / "server.pem"), str(key), None)
        if is_read_anew:
            server.use(server.read_anew())
        creator = optionsForClientTLS("localhost", trust(str(folder / "ca.pem")))
        self.client = End(ClientSessions(creator, True, Factory.forProtocol(Ear)))
        self.server = End(server.wrap(Factory.forProtocol(Ear)))

    def carry(self) -> None:
        while (to_server := self.client.sent()) + (to_client := self.server.sent()):
            if to_server:
                self.server.session.dataReceived(to_server)
            if to_client:
                self.client.session.dataReceived(to_client)


@pytest.fixture(params=[False, True], ids=["as at the start", "read anew"])
def early(tmp_path: Path, request: pytest.FixtureRequest) -> Pair:
    """Before the handshake."""
    return Pair(tmp_path, is_read_anew=request.param)


@pytest.fixture
def pair(early: Pair) -> Pair:
    """After the handshake."""
    early.carry()
    return early


@pytest.mark.parametrize("size", [1, 1 << 14, (1 << 14) + 1, 64_001, 300_000, 1_000_003])
def test_what_is_written_arrives(pair: Pair, size: int) -> None:
    content = os.urandom(size)
    for source, target in ((pair.server, pair.client), (pair.client, pair.server)):
        source.session.write(content)
        source.session._aggregator.flush()
        pair.carry()
        assert target.content == content


def test_what_is_written_before_the_handshake_arrives_behind_it(early: Pair) -> None:
    early.server.session.write(PIECE)
    early.server.session.write(b"END")
    early.carry()
    early.server.session._aggregator.flush()
    early.carry()
    assert early.client.content == PIECE + b"END"


def test_small_and_large_writes_keep_their_order(pair: Pair) -> None:
    pieces = [b"FILE\n", PIECE, b"END\n", b"", PIECE[:20_000], PIECE[:70_000], b"BYE\n"]
    for piece in pieces:
        pair.server.session.write(piece)
    pair.server.session._aggregator.flush()
    pair.carry()
    assert pair.client.content == b"".join(pieces)


def test_a_piece_is_encrypted_passed_on_and_delivered_at_once(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("send", "bio_read"):
        really = getattr(Connection, name)

        def call(connection: Connection, *arguments: object, really: object = really, name: str = name) -> object:
            calls.append(name)
            return really(connection, *arguments)  # type: ignore[operator]

        monkeypatch.setattr(Connection, name, call)
    passed_on: list[int] = []
    monkeypatch.setattr(pair.server.transport, "write", lambda data: passed_on.append(len(data)))
    pair.server.session.write(PIECE)
    assert calls == ["send", "bio_read", "bio_read"], "the second finds nothing left"
    assert len(passed_on) == 1
    assert len(PIECE) < passed_on[0] < len(PIECE) + 2000


def test_what_comes_at_once_is_delivered_at_once(pair: Pair) -> None:
    pair.server.session.write(PIECE)
    pair.carry()
    assert pair.client.ear.heard == [PIECE]


def test_an_end_is_told_once_and_behind_all_that_came(pair: Pair) -> None:
    pair.server.session.write(PIECE)
    pair.server.session.loseConnection()
    pair.carry()
    assert pair.client.content == PIECE
    pair.client.session.connectionLost(Failure(ConnectionResetError()))
    assert len(pair.client.ear.lost) == 1


def test_a_session_that_is_cut_is_kept_by_nobody(pair: Pair) -> None:
    session = weakref.ref(pair.server.session)
    with without_collector():
        pair.server.session.connectionLost(Failure(ConnectionResetError()))
        del pair.server
        assert session() is None


def test_what_is_not_sent_when_a_session_is_cut_is_let_go_of(pair: Pair) -> None:
    beneath = FileDescriptor(Clock())  # type: ignore[arg-type]  # it asks for nothing
    beneath.dataBuffer, beneath._tempDataBuffer = PIECE, [PIECE]
    pair.server.session.transport = beneath
    pair.server.session.connectionLost(Failure(ConnectionResetError()))
    assert not beneath.dataBuffer
    assert not beneath._tempDataBuffer


def test_what_can_not_be_decrypted_is_never_delivered(pair: Pair) -> None:
    pair.server.session.write(PIECE)
    damaged = bytearray(pair.server.sent())
    damaged[100_000] ^= 1
    pair.client.session.dataReceived(bytes(damaged))
    assert PIECE.startswith(pair.client.content)
    assert len(pair.client.content) < 100_000
    pair.client.session.connectionLost(Failure(ConnectionResetError()))
    (lost,) = pair.client.ear.lost
    assert lost.type.__module__ == "OpenSSL.SSL", "the fault, not the end that comes of it"


def test_sockets_are_read_and_written_in_large_pieces(early: Pair) -> None:
    for end in (early.server, early.client):
        end.session.transport = FileDescriptor(Clock())  # type: ignore[arg-type]  # it asks for nothing
        end.session.connectionMade()
    written, read = early.server.session.transport, early.client.session.transport
    assert written.SEND_LIMIT > FileDescriptor.SEND_LIMIT
    assert written.bufferSize == FileDescriptor.bufferSize, "what a client sends is read as ever"
    assert read.bufferSize > FileDescriptor.bufferSize
