"""Headers of the PROXY protocol, and a server in memory that reads them."""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path
from typing import Any

from chatfile.server.proxied import TrustedProxies
from tests.support.serving import Peer, Server
from tests.support.transports import MemoryTransport

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 5000\r\n"
"""A client at 192.0.2.7:4711."""


def v2(family: int, block: bytes, version_and_command: int = 0x21) -> bytes:
    """A header of version 2, with whatever is in its block of addresses and fields."""
    return SIGNATURE + struct.pack("!BBH", version_and_command, family, len(block)) + block


def ends(client: str, port: int, server: str = "198.51.100.1") -> bytes:
    """The block of two addresses."""
    ips = [ipaddress.ip_address(each) for each in (client, server if "." in client else "2001:db8::1")]
    return b"".join(ip.packed for ip in ips) + struct.pack("!HH", port, 5000)


def field(kind: int, value: bytes) -> bytes:
    """What may follow the addresses."""
    return struct.pack("!BH", kind, len(value)) + value


V2 = v2(0x11, ends("192.0.2.7", 4711))
LOCAL = v2(0x00, b"", 0x20)


class ProxiedServer(Server):
    """A server to which only trusted proxies can connect; the peers that come are at 127.0.0.1."""

    def __init__(self, folder: Path, trusted: str = "127.0.0.1", **how: Any) -> None:
        super().__init__(folder, **how)
        self.behind = self.factory.behind_proxies(self.factory, TrustedProxies.parse(trusted))

    def connect(self, transport: MemoryTransport | None = None) -> Peer:
        """A proxy that has sent no header yet."""
        self._port += 1
        return Peer(self, transport or MemoryTransport(self._port), self.behind)
