"""A server in memory: a real factory on a fake clock, with clients on transports in memory."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from chatfile.admission import MemoryAdmission
from chatfile.digests import Digests
from chatfile.disk import InThread
from chatfile.lines import ConnectionState
from chatfile.repository import Repository
from chatfile.server import ChatFileFactory, ChatFileProtocol, Listings, Timeouts
from chatfile.server.pacing import SharedRates
from tests.support.leftovers import at_end
from tests.support.transports import MemoryTransport, Threads, at_once, turn_over

NOON = 1_795_348_800  # 2026-11-22T12:00:00Z
OLD = 1_500_000_000
WELCOME = b"WELCOME Client%02d chatfile/1"


class Peer:
    """One client's end: what it sends, and what it is told."""

    def __init__(self, server: Server, transport: MemoryTransport) -> None:
        self.transport = transport
        self.protocol: ChatFileProtocol = server.factory.buildProtocol(transport.getPeer())
        server.peers.append(self)
        self._clock = server.clock
        self.protocol.makeConnection(transport)

    def says(self, *lines: bytes) -> list[bytes]:
        """Send lines in one piece; what comes back, as lines."""
        self.sends(b"".join(line + b"\n" for line in lines))
        return self.transport.lines()

    def sends(self, data: bytes) -> None:
        self.protocol.dataReceived(data)
        turn_over(self._clock)

    def pass_time(self, seconds: float) -> None:
        """Let the server's clock run."""
        pass_time(self._clock, seconds)

    def is_closing(self) -> bool:
        return self.transport.half_closed or self.transport.disconnecting

    def vanishes(self) -> None:
        """The connection is lost, as the reactor tells it: the producer hears of it first."""
        if self.transport.producer is not None:
            self.transport.producer.stopProducing()
        self.protocol.connectionLost(Failure(ConnectionDone()))


class Server:
    """The factory and what it serves."""

    def __init__(
        self,
        folder: Path,
        *,
        in_thread: InThread = at_once,
        in_tree_thread: InThread | None = None,
        limit: int = 3,
        per_address: int = 0,
        places: int = 0,
        history: int = 1000,
        timeouts: Timeouts | None = None,
        hashing: bool = True,
        recursive: bool = False,
        rate: int = 0,
        rate_per_client: int = 0,
        admission: MemoryAdmission | None = None,
    ) -> None:
        self.clock = Clock()
        self.folder = folder
        self.peers: list[Peer] = []
        self._in_thread = in_thread
        self.queues = 0
        """How many clients have a turn of their own with the disk."""
        self.admission = admission or MemoryAdmission(
            lambda: NOON + self.clock.seconds(),
            limit=limit,
            limit_per_address=per_address,
            places=places,
            history=history,
        )
        repository = Repository(str(folder), is_recursive=recursive)
        self.factory = ChatFileFactory(
            repository,
            self.admission,
            listings=Listings(repository, in_thread, in_tree_thread or in_thread),
            digests=Digests(lambda: in_thread, lambda: time.time() + 1000) if hashing else None,
            clock=self.clock,
            queue=self._queue,
            timeouts=timeouts,
            line=self.admission if places else None,
            rates=SharedRates(self.clock, total=rate, per_address=rate_per_client) if rate or rate_per_client else None,
        )
        self._port = 40000
        at_end(self.end)

    def _queue(self) -> InThread:
        self.queues += 1
        return self._in_thread

    def connect(self, transport: MemoryTransport | None = None) -> Peer:
        """A new client, whose greeting has not been read."""
        self._port += 1
        return Peer(self, transport or MemoryTransport(self._port))

    def greeted(self, transport: MemoryTransport | None = None) -> Peer:
        """A new client that has read its greeting."""
        peer = self.connect(transport)
        peer.transport.clear()
        return peer

    def put(self, name: str, content: bytes) -> None:
        """A file that has been there for long."""
        path = self.folder / name
        path.write_bytes(content)
        os.utime(path, (OLD, OLD))

    def pass_time(self, seconds: float) -> None:
        """Let the clock run, in steps as small as a reactor's."""
        pass_time(self.clock, seconds)

    def end(self) -> None:
        """Every connection is lost, at whatever point it is; nothing of it must be left."""
        for peer in self.peers:
            if peer.protocol.state is not ConnectionState.CLOSED:
                peer.vanishes()
        if isinstance(self._in_thread, Threads):
            self._in_thread.run_all()
        self.factory.drain(0)
        assert self.connected() == []
        assert self.clock.getDelayedCalls() == []

    def connected(self) -> list[str]:
        """The names of who is connected."""
        return [visit.name for visit in self.admission.records() if visit.disconnected is None]


def pass_time(clock: Clock, seconds: float) -> None:
    clock.pump([0.1] * round(seconds * 10))


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
