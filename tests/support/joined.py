"""A client and a server in one process, joined in memory, or by TCP on a reactor that is turned by hand."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.pollreactor import PollReactor
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from chatfile.client import ChatFileClient, connect
from chatfile.disk import InThread
from tests.support.linked import Link
from tests.support.serving import Server
from tests.support.transports import Threads, at_once, turn_over

PATIENCE = 10.0
"""Seconds after which it is sure that nothing will come; a turn takes a thousandth."""


class Joined(Protocol):
    """One client at a time, and the server that it talks to."""

    server: Server
    client: ChatFileClient
    in_thread: InThread

    def connect(self) -> None: ...

    def disconnect(self) -> None:
        """The client goes, and the server hears of it."""

    def result_of(self, deferred: Deferred[Any]) -> Any:
        """What comes of it: a failure of a TimeoutError where nothing does."""

    def close(self) -> None: ...


class InMemory:
    """All bytes pass through this process, and calls for a thread are made at once."""

    in_thread = staticmethod(at_once)

    def __init__(self, served: Path, *, recursive: bool = False) -> None:
        self.server = Server(served, recursive=recursive)

    def connect(self) -> None:
        self._link = Link(self.server, Path())
        self.client = self._link.client

    def disconnect(self) -> None:
        if not self.client.closed.called:
            self._link.cut()

    def result_of(self, deferred: Deferred[Any]) -> Any:
        seen: list[Any] = []
        deferred.addBoth(seen.append)
        self._link.carry()
        if self._link.peer.transport.aborted or self.client.transport.aborted:
            self.disconnect()
        return seen[0] if seen else Failure(TimeoutError())

    def close(self) -> None:
        """Nothing listens."""


class Turned(PollReactor):
    """Real sockets, the time of `clock`, and calls for a thread that are made between two turns."""

    def __init__(self, clock: Clock, threads: Threads) -> None:
        super().__init__()
        self.clock = clock
        self.threads = threads

    def callLater(self, *arguments: Any, **named: Any) -> Any:
        return self.clock.callLater(*arguments, **named)

    def turn(self) -> None:
        turn_over(self.clock)
        self.doIteration(0 if self.threads.run() else 0.005)
        turn_over(self.clock)

    def close(self) -> None:
        self.removeAll()
        self.waker.connectionLost(None)


class OverTcp:
    """The bytes of files pass from the disk to the socket and back within the system."""

    client: ChatFileClient

    def __init__(self, served: Path) -> None:
        self.in_thread = Threads()
        self.server = Server(served, in_thread=self.in_thread)
        self._reactor = Turned(self.server.clock, self.in_thread)
        self._port = self._reactor.listenTCP(0, self.server.factory, interface="127.0.0.1")

    def connect(self) -> None:
        endpoint = TCP4ClientEndpoint(self._reactor, "127.0.0.1", self._port.getHost().port)
        connecting = connect(endpoint, clock=self.server.clock, in_thread=self.in_thread)
        self.client = self.result_of(Deferred.fromCoroutine(connecting))

    def disconnect(self) -> None:
        self.client.close()
        until = time.monotonic() + PATIENCE
        while len(self.server.connected()) > 1 or not self.client.closed.called:
            assert time.monotonic() < until
            self._reactor.turn()
            self.server.pass_time(0.1)

    def result_of(self, deferred: Deferred[Any]) -> Any:
        seen: list[Any] = []
        deferred.addBoth(seen.append)
        until = time.monotonic() + PATIENCE
        while (not seen or self.in_thread.waiting) and time.monotonic() < until:
            self._reactor.turn()
        return seen[0] if seen else Failure(TimeoutError())

    def close(self) -> None:
        self.result_of(self._port.stopListening())
        self._reactor.close()
