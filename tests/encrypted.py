"""Our server over TLS in this process, on a free port, and beside it without."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from chatfile import tls
from chatfile.admission import Admission, Visit
from chatfile.digests import Digests
from chatfile.repository import Repository
from chatfile.server import ChatFileFactory


class EncryptedServer:
    """The same folder and the same seats at both ports."""

    def __init__(self, folder: Path, certificate: Path, client_ca: Path | None = None, key: Path | None = None) -> None:
        from twisted.internet import reactor

        self._in_threads = 0
        self._admission = Admission(time.time, limit=3)
        self._factory = ChatFileFactory(
            Repository(str(folder)),
            self._admission,
            digests=Digests(self.in_thread, time.time),
            clock=IReactorTime(reactor),
            in_thread=self.in_thread,
        )
        listening = tls.listening(
            str(certificate), key=str(key) if key else None, client_ca=str(client_ca) if client_ca else None
        )
        factories = (listening.over_tls(self._factory), self._factory)
        self._ports = [reactor.listenTCP(0, factory, interface="127.0.0.1") for factory in factories]
        self.port, self.plain_port = (port.getHost().port for port in self._ports)

    def visits(self) -> list[Visit]:
        """Who came in so far."""
        return self._admission.visits()

    def in_thread(self, call: Callable[..., Any], *arguments: object) -> Deferred[Any]:
        """As `deferToThread`; the end waits for it."""
        self._in_threads += 1
        return deferToThread(call, *arguments).addBoth(self._done)

    def _done(self, result: Any) -> Any:
        self._in_threads -= 1
        return result

    async def end(self) -> None:
        """Nobody new, everybody gone, and no thread at work."""
        from twisted.internet import reactor

        for port in self._ports:
            await port.stopListening()
        self._ports.clear()
        draining: Deferred[None] = self._factory.drain(1)
        await draining
        while self._in_threads:
            await deferLater(reactor, 0)
