"""How the engine is connected to: directly, or where the Sentinels say that it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IProtocolFactory, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from txredisapi import RedisError
from zope.interface import implementer

from chatfile import errors, tls
from chatfile.cluster.address import PORTS, EngineAddress, parse_host
from chatfile.cluster.connection import CheckedRedis

SENTINEL_PATIENCE = 0.5
"""Seconds that a Sentinel has to be reached, and to answer: there are others."""

EndpointOf = Callable[[str, int, float], IStreamClientEndpoint]
"""Returns the endpoint of a host and a port, which has so many seconds to be reached."""


def engine_endpoint(address: EngineAddress, timeout: float, reactor: Any) -> IStreamClientEndpoint:
    """Return the endpoint of the engine, which has `timeout` seconds to be reached.

    Over TLS its certificate is verified, and that it is for that host. Raises `TlsMissing`, `BadCertificate`.
    """

    def endpoint_of(host: str, port: int, seconds: float) -> IStreamClientEndpoint:
        if not address.is_encrypted:
            return _plain(reactor, host, port, seconds)
        place = tls.Address(host, port, (("timeout", str(seconds)),))
        return tls.address_endpoint(
            place, cafile=address.cafile, certificate=address.cert, key=address.key, reactor=reactor
        )

    if address.master is None:
        return endpoint_of(*address.hosts[0], timeout)
    return SentinelEndpoint(address.master, address.hosts, timeout, endpoint_of, IReactorTime(reactor))


def _plain(reactor: Any, host: str, port: int, seconds: float) -> IStreamClientEndpoint:
    """Return the endpoint without TLS; nobody has to look up what is an address already."""
    if isIPAddress(host):
        return TCP4ClientEndpoint(reactor, host, port, seconds)
    if isIPv6Address(host):
        return TCP6ClientEndpoint(reactor, host, port, seconds)
    return HostnameEndpoint(reactor, host, port, seconds)


@implementer(IStreamClientEndpoint)
class SentinelEndpoint:
    """Connects to the engine that the first Sentinel which answers calls the master."""

    def __init__(
        self,
        master: str,
        sentinels: tuple[tuple[str, int], ...],
        timeout: float,
        endpoint_of: EndpointOf,
        clock: IReactorTime,
    ) -> None:
        """Ask `sentinels` for `master`, which has `timeout` seconds to be reached.

        Raises what `endpoint_of` does.
        """
        self._master = master
        self._sentinels = [endpoint_of(*each, SENTINEL_PATIENCE) for each in sentinels]
        self._timeout = timeout
        self._endpoint_of = endpoint_of
        self._clock = clock

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """Return the protocol, when it is connected. See `IStreamClientEndpoint`."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> Any:
        why = ""
        for sentinel in list(self._sentinels):
            try:
                host, port = await self._ask(sentinel)
            except (ConnectError, OSError, RedisError, ValueError, errors.ChatFileError) as error:
                why = str(error).rstrip(".")
                self._sentinels.append(self._sentinels.pop(0))  # the next attempt begins with another
            else:
                return await self._endpoint_of(host, port, self._timeout).connect(factory)
        raise ConnectError(string=f"no Sentinel knows where {self._master} is ({why})")

    async def _ask(self, sentinel: IStreamClientEndpoint) -> tuple[str, int]:
        """Return host and port of the master. Raises ConnectError, OSError, RedisError, ValueError, ChatFileError."""
        factory = Factory.forProtocol(partial(CheckedRedis, SENTINEL_PATIENCE, self._clock))
        factory.noisy = False
        connecting: Deferred[Any] = sentinel.connect(factory)
        connection = await connecting
        try:
            answer = await connection.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._master)
        finally:
            connection.transport.abortConnection()
        if not isinstance(answer, list) or len(answer) != 2:  # noqa: PLR2004 -- a host and its port
            raise ValueError("a Sentinel does not know it")
        host, port = map(str, answer)
        return parse_host(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", PORTS["redis"])
