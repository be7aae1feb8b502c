"""Resolving the names of hosts, in threads that nobody waits for at the end of the process."""

from __future__ import annotations

import encodings.idna  # noqa: F401 -- getaddrinfo needs it; a process that has given up its rights may not find it
import socket
from collections.abc import Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IHostnameResolver, IHostResolution, IResolutionReceiver
from zope.interface import implementer

from chatfile import disk

_ADDRESSES: dict[int, type[IPv4Address | IPv6Address]] = {
    socket.AF_INET: IPv4Address,
    socket.AF_INET6: IPv6Address,
}


@implementer(IHostResolution)
class _Resolution:
    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """Do nothing: a thread that waits for a name server can't be interrupted, and ends with the program."""


@implementer(IHostnameResolver)
class Resolver:
    """Resolves host names as Twisted's own resolver does, but a reactor that stops does not wait for its threads."""

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",  # noqa: ARG002 -- there is nothing else here
    ) -> IHostResolution:
        """See `IHostnameResolver`."""
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        Deferred.fromCoroutine(_resolve(resolutionReceiver, hostName, portNumber, addressTypes))
        return resolution


async def _resolve(
    receiver: IResolutionReceiver, host: str, port: int, wanted: Sequence[type[IAddress]] | None
) -> None:
    try:
        found = await disk.in_thread(socket.getaddrinfo, host, port, 0, socket.SOCK_STREAM)
    except (OSError, ValueError):  # no such host, no thread to be had, or not the name of a host
        found = []
    for family, _, _, _, address in found:
        kind: Any = _ADDRESSES.get(family)
        if kind is not None and (wanted is None or kind in wanted):
            receiver.addressResolved(kind("TCP", _with_zone(*address), *address[1:]))
    receiver.resolutionComplete()


def _with_zone(host: str, _port: int, _flow: int = 0, zone: int = 0) -> str:
    """Return `host` with its IPv6 zone: a link-local address needs it, and endpoints use nothing but the host."""
    return f"{host}%{zone}" if zone and "%" not in host else host
