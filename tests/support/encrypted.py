"""Our server over TLS in this process, on a free port, and beside it without."""

from __future__ import annotations

import time
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from chatfile import tls
from chatfile.admission import ClientRecord, MemoryAdmission
from chatfile.digests import Digests
from chatfile.disk import Disk
from chatfile.repository import Repository
from chatfile.server import ChatFileFactory, Listings


class EncryptedServer:
    """The same folder and the same seats at both ports."""

    def __init__(self, folder: Path, certificate: Path, client_ca: Path | None = None, key: Path | None = None) -> None:
        from twisted.internet import reactor

        self._disk = Disk(IReactorTime(reactor), reactor.callFromThread, timeout=30, clients=3)
        self._admission = MemoryAdmission(time.time, limit=3)
        repository = Repository(str(folder))
        self._factory = ChatFileFactory(
            repository,
            self._admission,
            listings=Listings(repository, self._disk.listings.queue(), self._disk.trees.queue()),
            digests=Digests(self._disk.digests.queue, time.time),
            clock=IReactorTime(reactor),
            queue=self._disk.files.queue,
        )
        encrypted = tls.server_tls(
            str(certificate), key=str(key) if key else None, client_ca=str(client_ca) if client_ca else None
        )
        factories = (encrypted.wrap(self._factory), self._factory)
        self._ports = [reactor.listenTCP(0, factory, interface="127.0.0.1") for factory in factories]
        self.port, self.plain_port = (port.getHost().port for port in self._ports)

    def records(self) -> list[ClientRecord]:
        """Who came in so far."""
        return self._admission.records()

    async def end(self) -> None:
        """Nobody new, and everybody gone."""

        for port in self._ports:
            await port.stopListening()
        self._ports.clear()
        draining: Deferred[None] = self._factory.drain(1)
        await draining
        self._disk.close()
