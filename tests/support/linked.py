"""A client and a real server, joined in memory, and one file to fetch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from chatfile import errors
from chatfile.client import ChatFileClient
from chatfile.downloads import Download, download
from chatfile.lines import ConnectionState
from tests.support.leftovers import at_end
from tests.support.serving import Peer, Server
from tests.support.transports import MemoryTransport, at_once

CONTENT = bytes(range(256)) * 40


class Link:
    """A client and a real server, joined in memory; what is carried over is counted, and can be cut or altered."""

    def __init__(
        self,
        server: Server,
        folder: Path,
        *,
        transport: MemoryTransport | None = None,
        waiting: Callable[[int], None] | None = None,
    ) -> None:
        self.folder = folder
        self.peer: Peer = server.connect(transport)
        self.client = ChatFileClient(server.clock, in_thread=at_once, waiting=waiting)
        self.client.makeConnection(MemoryTransport())
        self.requests: list[bytes] = []
        self.altered = lambda data: data
        self.cut_after: int | None = None
        self.piece = 0
        """How many bytes the client is given at a time; 0 where it is given all that there are."""
        self.held = b""
        """What was not carried over behind the cut."""
        self.carry()
        at_end(self.cut)

    def carry(self) -> None:
        """Until both ends have nothing more to say."""
        while self._to_client() or self._to_server():
            pass

    def _to_client(self) -> bool:
        said = self.altered(self.peer.transport.value())
        self.peer.transport.clear()
        if said and self.cut_after is not None:
            self.held += said[self.cut_after :]
            said, self.cut_after = said[: self.cut_after], max(self.cut_after - len(said), 0)
        size = self.piece or len(said) or 1
        for start in range(0, len(said), size):
            self.client.dataReceived(said[start : start + size])
        return bool(said)

    def _to_server(self) -> bool:
        said = self.client.transport.value()
        self.client.transport.clear()
        self.requests += said.splitlines()
        self.peer.sends(said)  # what was due is done with it, and the client may say more behind that
        return bool(said or self.client.transport.value())

    def go_on(self) -> None:
        """Carry over what was held back, and all else."""
        held, self.held, self.cut_after = self.held, b"", None
        self.client.dataReceived(held)
        self.carry()

    def cut(self) -> None:
        """The connection is lost."""
        if self.client.state is not ConnectionState.CLOSED:
            self.client.connectionLost(Failure(ConnectionDone()))
            self.peer.vanishes()

    def get(self, name: str = "a", **options: Any) -> Deferred[Download]:
        getting = Deferred.fromCoroutine(download(self.client, name, str(self.folder), in_thread=at_once, **options))
        self.carry()
        return getting


def serving_a(folder: Path) -> Server:
    """A server whose folder has the file `a`."""
    (folder / "served").mkdir()
    server = Server(folder / "served", limit=100)
    server.put("a", CONTENT)
    return server


def outcome(deferred: Deferred[Any]) -> Any:
    seen: list[Any] = []
    deferred.addBoth(seen.append)
    assert seen, "nothing came"
    return seen[0].value if isinstance(seen[0], Failure) else seen[0]


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def interrupted_after(server: Server, folder: Path, count: int, name: str = "a") -> None:
    """A download whose connection breaks after so many of its bytes."""
    link = Link(server, folder)
    header = len(f"FILE {len(CONTENT)} 2017-07-14T02:40:00Z {name}\n".encode())
    link.cut_after = header + count
    getting = link.get(name)
    link.cut()
    assert isinstance(outcome(getting), errors.ServerClosed)
