"""The header of the PROXY protocol, by which a proxy tells whose connection it passes on: what it says, and its end.

Both versions are those of https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt. The library reads what is in a
header; how long one may be, and where it ends, is told here.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from dataclasses import dataclass

from proxyprotocol import ProxyProtocolChecksumError
from proxyprotocol.result import ProxyResult, ProxyResultType, is_ipv4, is_ipv6
from proxyprotocol.v1 import ProxyProtocolV1
from proxyprotocol.v2 import ProxyProtocolV2, ProxyProtocolV2Header
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

LONGEST_V1 = 107
"""Bytes of a header of version 1, its end included (section 2.1 of the protocol)."""
LONGEST_V2 = 2048
"""Bytes of a header of version 2, which could have 65551; with a name of a certificate, real ones have some 200."""

IP = ipaddress.IPv4Address | ipaddress.IPv6Address

_V1_BEGIN = b"PROXY "
_V2_BEGIN = b"\r\n\r\n\0\r\nQUIT\n"
_V2_FIXED = 16
"""Bytes of version 2 that say how many follow."""
# The library takes a zone with any characters in it for part of an address, and "+8_0" for a port.
_V1 = re.compile(rb"PROXY (UNKNOWN( [^\r\n]*)?|TCP[46] [0-9A-Fa-f:.]+ [0-9A-Fa-f:.]+ [0-9]{1,5} [0-9]{1,5})\r\n")


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """A whole header, and what it says."""

    length: int
    """Bytes; what follows is the client's."""
    client: IAddress | None = None
    """Where the client is, or None where the proxy does not say."""
    server: IAddress | None = None
    """Where the client has connected to, if the proxy says that."""
    is_local: bool = False
    """Whether the proxy has connected on its own behalf, to see whether it can: there is no client."""


def parse_proxy_header(data: bytes) -> ProxyHeader | None:
    """Return the header that `data` begins with, or None while that is not whole.

    Raises ValueError, with the reason for people, as soon as it can't become one.
    """
    try:
        if _V2_BEGIN.startswith(data[: len(_V2_BEGIN)]):
            return _parse_v2(data)
        if _V1_BEGIN.startswith(data[: len(_V1_BEGIN)]):
            return _parse_v1(data)
    except (ValueError, struct.error) as error:
        raise ValueError("its PROXY header is malformed, or too long") from error
    raise ValueError("it sent no PROXY header")


def _parse_v1(data: bytes) -> ProxyHeader | None:
    length = data.find(b"\n", 0, LONGEST_V1) + 1
    if not length and len(data) < LONGEST_V1:
        return None
    if not _V1.fullmatch(data, 0, length):
        raise ValueError(data[:LONGEST_V1])
    return ProxyHeader(length, *_ends(ProxyProtocolV1().unpack(data[:length])))


def _parse_v2(data: bytes) -> ProxyHeader | None:
    if len(data) < _V2_FIXED:
        return None
    header = ProxyProtocolV2().unpack_header(data[:_V2_FIXED])
    length = _V2_FIXED + header.data_len
    if length > LONGEST_V2:
        raise ValueError(length)
    if len(data) < length:
        return None
    if header.command == "local":
        return ProxyHeader(length, is_local=True)
    if header.command == "proxy" and header.type is ProxyResultType.UNIX:
        return ProxyHeader(length, UNIXAddress(None))  # nobody is shown its path; the library would insist on ASCII
    return ProxyHeader(length, *_v2_ends(header, data[:length]))


def _v2_ends(header: ProxyProtocolV2Header, data: bytes) -> tuple[IAddress | None, IAddress | None]:
    try:
        return _ends(ProxyProtocolV2().unpack_data(header, data[:_V2_FIXED], data[_V2_FIXED:]))
    except ProxyProtocolChecksumError as error:
        # Where the library computes one at all, it sorts the fields before, and finds fault with good headers. TCP has
        # a checksum of its own.
        return _ends(error.result)


def _ends(result: ProxyResult) -> tuple[IAddress | None, IAddress | None]:
    """Return the two ends of the client's connection, where they are told."""
    if is_ipv4(result) or is_ipv6(result):
        return _address(*result.source), _address(*result.dest)
    return None, None


def _address(ip: IP, port: int) -> IAddress:
    ip = unmapped(ip)
    kind = IPv4Address if isinstance(ip, ipaddress.IPv4Address) else IPv6Address
    return kind("TCP", str(ip), port)


def unmapped(ip: IP) -> IP:
    """Return the IPv4 address that `ip` is written for, as at a port for both versions; else `ip` itself."""
    return getattr(ip, "ipv4_mapped", None) or ip
