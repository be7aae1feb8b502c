"""The metrics' port of a server in memory, and those who ask there."""

from __future__ import annotations

from typing import NamedTuple

from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from chatfile.cluster import Engine, EngineAddress, keys
from chatfile.cluster.answers import AnswerHistogram
from chatfile.disk import Disk
from chatfile.metrics import CertificateSource, EngineSource, MetricsService
from chatfile.metrics.web import MetricsChannel, MetricsSite
from tests.support.leftovers import at_end
from tests.support.serving import NOON, Server
from tests.support.transports import MemoryTransport, at_once

MOST = 8


class Response(NamedTuple):
    """What came back."""

    code: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One who has connected to a site."""

    def __init__(self, site: MetricsSite, host: str = "127.0.0.1") -> None:
        self.transport = MemoryTransport()
        self.transport.peerAddr = IPv4Address("TCP", host, 40000)
        self.transport.abortConnection = self._abort  # type: ignore[method-assign]
        self.channel: MetricsChannel = site.buildProtocol(self.transport.peerAddr)
        self.channel.makeConnection(self.transport)
        self._is_lost = False
        at_end(self.vanish)

    def _abort(self) -> None:
        self.transport.aborted = True
        self.vanish()

    @property
    def is_open(self) -> bool:
        return not self.transport.aborted and not self.transport.disconnecting

    def send(self, data: bytes) -> None:
        self.channel.dataReceived(data)

    def ask(self, path: str, method: str = "GET") -> Response:
        self.send(f"{method} {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        return self.response()

    def response(self) -> Response:
        head, body = self.transport.value().split(b"\r\n\r\n", 1)
        self.transport.clear()
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return Response(int(first.split()[1]), {name.lower(): value for name, value in headers.items()}, body)

    def vanish(self) -> None:
        if self._is_lost:
            return
        self._is_lost = True
        self.channel.connectionLost(Failure(ConnectionDone()))


def _engine(clock: Clock) -> Engine:
    """One that was not reached yet."""
    address = EngineAddress((("engine", 6379),))
    endpoint = TCP4ClientEndpoint(clock, "engine", 6379)
    return Engine(address, endpoint, clock, keys=keys("chatfile"), node="n0de", lease=10, history=0)


class MetricsPort:
    """The port of a server; nothing is bound, and the clock of the server is that of the port."""

    def __init__(self, server: Server) -> None:
        self.clock: Clock = server.clock
        self.disk = Disk(server.clock, lambda call, *arguments: call(*arguments), timeout=30, clients=2)
        self.engine = _engine(server.clock)
        self.service = MetricsService(
            "tcp:0:interface=127.0.0.1",
            server.factory,
            self.disk,
            server.clock,
            lambda: NOON + server.clock.seconds(),
            in_thread=at_once,
            seats=server.admission.limit,
            places=server.admission.places,
            version="1.2.3",
            most=MOST,
            sources=(EngineSource(self.engine, AnswerHistogram()), CertificateSource(lambda: NOON)),
        )
        at_end(self.disk.close)

    def connect(self, host: str = "127.0.0.1") -> Connection:
        return Connection(self.service.site, host)

    def get(self, path: str) -> str:
        """What is there in a second: the page of this one may have been made already."""
        self.clock.advance(1)
        response = self.connect().ask(path)
        assert response.code == 200
        return response.body.decode()
