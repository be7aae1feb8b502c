"""How the engine is connected to: an address is not looked up, and a Sentinel can say anything."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from zope.interface import implementer

from chatfile.cluster import engine_endpoint
from chatfile.cluster.address import parse_engine_url
from chatfile.cluster.endpoints import SentinelEndpoint


class Unresolving(MemoryReactorClock):  # type: ignore[misc]  # it has no annotations
    """A reactor that nobody may ask for a host."""

    @property
    def nameResolver(self) -> Any:
        raise AssertionError("an address was looked up")

    @nameResolver.setter
    def nameResolver(self, _: object) -> None:
        """The reactor sets its own."""


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_an_address_is_connected_to_without_being_looked_up(host: str) -> None:
    reactor = Unresolving()
    endpoint = engine_endpoint(parse_engine_url(f"redis://{host}:7000"), 0.5, reactor)
    endpoint.connect(Factory.forProtocol(Protocol))
    [(asked, port, _, seconds, _)] = reactor.tcpClients
    assert (asked, port, seconds) == (host.strip("[]"), 7000, 0.5)


@implementer(IStreamClientEndpoint)
class Place:
    """One that answers what is asked there with the same words, whatever it is."""

    def __init__(self, clock: Clock, answer: bytes) -> None:
        self.clock, self.answer = clock, answer

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        protocol = protocolFactory.buildProtocol(IPv6Address("TCP", "::1", 1))
        protocol.makeConnection(StringTransport())
        self.clock.callLater(0.1, protocol.dataReceived, self.answer)
        return succeed(protocol)


def where(host: bytes, port: bytes) -> list[tuple[str, int, float]]:
    """Where the engine was looked for, after the Sentinel has said that it is there. Raises ConnectError."""
    clock = Clock()
    answer = b"*2\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(host), host, len(port), port)
    asked: list[tuple[str, int, float]] = []

    def endpoint_of(*place: Any) -> IStreamClientEndpoint:
        asked.append(place)
        return Place(clock, answer)

    endpoint = SentinelEndpoint("main", (("sentinel", 26379),), 0.8, endpoint_of, clock)
    connecting = endpoint.connect(Factory.forProtocol(Protocol))
    failures: list[Any] = []
    connecting.addErrback(failures.append)
    clock.advance(0.2)
    if failures:
        failures[0].raiseException()
    return asked[1:]


@pytest.mark.parametrize("host", ["10.0.0.7", "2001:db8::7", "engine.example"])
def test_the_engine_is_where_a_sentinel_says(host: str) -> None:
    assert where(host.encode(), b"7000") == [(host, 7000, 0.8)]


@pytest.mark.parametrize(
    ("host", "port"),
    [
        (b"10.0.0.7", b"99999"), (b"10.0.0.7", b"0"), (b"10.0.0.7", b"-1"), (b"10.0.0.7", b"x"), (b"10.0.0.7", b""),
        (b"", b"7000"), (b"a\0b", b"7000"), (b"a b", b"7000"), (b"\r\n", b"7000"),
    ],
)  # fmt: skip
def test_where_nothing_can_be_is_not_connected_to(host: bytes, port: bytes) -> None:
    with pytest.raises(ConnectError):
        where(host, port)
