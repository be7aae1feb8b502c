"""Functions of transports, and of the system's connections beneath them, that Twisted's interfaces do not have."""

from __future__ import annotations

import fcntl
import ipaddress
import os
import socket
import struct
import sys
import termios

from twisted.internet import abstract, tcp
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableDescriptor,
    IPushProducer,
    IReactorFDSet,
    ISSLTransport,
    ITCPTransport,
)


class ILineTransport(ITCPTransport, IConsumer, IPushProducer):
    """The methods of a transport that are used here; all stream transports of Twisted have them, TCP or not."""


def plain_socket(transport: object) -> socket.socket | None:
    """Return the socket of `transport` if bytes pass between the two unchanged; else None.

    Only the class tells: a TLS transport has every attribute of the transport beneath it, and to write to the socket of
    that one would put plain text into the encrypted stream. `TLS` is set by `startTLS`.
    """
    if not isinstance(transport, tcp.Connection) or getattr(transport, "TLS", False):
        return None
    return _socket(transport)


def is_tcp(transport: ILineTransport) -> bool:
    """Tell whether TCP options can be set: the transport of a UNIX socket has the methods too, but not the options."""
    return bool(ITCPTransport.providedBy(transport) and isinstance(transport.getPeer(), IPv4Address | IPv6Address))


def describe_client(address: IAddress | None) -> tuple[str, str]:
    """Return the address of a client as `status` shows it, and the host that it counts for.

    Of IPv6 that is the network that one host can be in: whoever has one address has 2^64 of them (RFC 4291, section
    2.5.4).
    """
    if isinstance(address, IPv6Address):
        return describe_address(address), _network(address.host)
    return (describe_address(address), address.host) if isinstance(address, IPv4Address) else ("unix", "unix")


def describe_address(address: IAddress) -> str:
    """Return an address as people write it: `HOST:PORT`, `[::1]:PORT`, or `unix:PATH`."""
    if isinstance(address, IPv6Address):
        return f"[{address.host}]:{address.port}"
    if isinstance(address, IPv4Address):
        return f"{address.host}:{address.port}"
    return f"unix:{os.fsdecode(getattr(address, 'name', None) or b'')}"


def _network(host: str) -> str:
    ip = ipaddress.IPv6Address(host.partition("%")[0])
    if ip.ipv4_mapped is not None:  # an IPv4 client at a port for both versions
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((ip, 64), strict=False))


def is_half_closable(transport: object) -> bool:
    """Tell whether our side of the connection can be closed alone."""
    # A TLS transport has the interface of the transport beneath it, but can't half-close.
    return bool(IHalfCloseableDescriptor.providedBy(transport) and not ISSLTransport.providedBy(transport))


def do_not_pace(transport: ILineTransport) -> None:
    """Choose a congestion control that does not pace, if the peer is on this host.

    On the loopback interface nothing is lost or congested, but BBR, the default of many systems, still sends small
    segments at intervals, which halves the rate. Every Linux has Reno (tcp(7), TCP_CONGESTION).
    """
    sock, peer = _socket(transport), transport.getPeer()
    if sock is None or sys.platform != "linux" or not isinstance(peer, IPv4Address | IPv6Address):
        return
    if ipaddress.ip_address(peer.host.partition("%")[0]).is_loopback:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        except OSError:
            pass  # not allowed here, or the connection is gone, which the protocol hears of itself


_MAX_PACING_RATE = 47
"""SO_MAX_PACING_RATE of asm-generic/socket.h; the `socket` module does not have it."""
_NOTSENT_LOWAT = 25
"""TCP_NOTSENT_LOWAT of linux/tcp.h, for Python before 3.12."""
_LONG = struct.Struct("L")
_UNLIMITED = b"\xff" * _LONG.size
_LEAST_UNSENT = 128 * 1024


def pace_output(transport: object, rate: float | None, *, unsent: int) -> None:
    """Have the system spread what it sends, at up to `rate` bytes a second; None: as fast as it likes.

    It takes no more from us while it has `unsent` bytes that it has not sent yet, or 128 KiB if that is more: so a
    reader that was slow and begins to read is sent no more than that at once. Only Linux can; see socket(7), tcp(7).
    """
    sock = _socket(transport)
    if sock is None or sys.platform != "linux" or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    try:
        sock.setsockopt(socket.SOL_SOCKET, _MAX_PACING_RATE, _UNLIMITED if rate is None else _LONG.pack(int(rate)))
        sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, max(unsent, _LEAST_UNSENT))
    except OSError:
        pass  # the connection is gone, which the protocol hears of itself


_TURN = 16 * 1024
"""Bytes: even of telnet's negotiation, which costs most, the reactor needs some 2 ms for so many."""


def take_small_turns(transport: object, most: int = _TURN) -> None:
    """Limit what is read and buffered at once to `most` bytes, so that other connections have their turn soon.

    Twisted's own limit for both is 64 KiB (`FileDescriptor.bufferSize`).
    """
    lowest = _lowest(transport)
    if isinstance(lowest, abstract.FileDescriptor):
        lowest.bufferSize = most
    port = getattr(lowest, "server", None)
    if isinstance(port, tcp.Port):
        port.numberAccepts = 0  # Twisted makes it 1 for the next turn then; after as many accepts, it would add 20


def has_heard(transport: object) -> bool:
    """Tell whether the peer has sent anything, read or not; True where the system does not know."""
    sock = _socket(transport)
    if sock is None or sys.platform != "linux":
        return True
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _DATA_SEGMENTS_IN.size)
        return bool(_DATA_SEGMENTS_IN.unpack(info)[0])
    except (OSError, struct.error):
        return True  # no TCP, closed meanwhile, or an older system


# tcpi_data_segs_in of struct tcp_info, since Linux 4.6.
_DATA_SEGMENTS_IN = struct.Struct("=152xI")


def write_now(transport: object) -> None:
    """Write the transport's buffer to its socket at once, and close our side behind it if that was asked for.

    Does nothing where TLS or a proxy is between the two: there it is written in the reactor's next turn, as usual.
    """
    if plain_socket(transport) is None or not isinstance(transport, abstract.FileDescriptor):
        return
    if transport.doWrite() is not None:
        transport.startWriting()  # it failed or closed: the reactor finds out in its next turn, and tells the protocol


def has_unwritten(transport: object) -> bool:
    """Tell whether bytes that were written to `transport` are still in the buffers of this process."""
    lowest = _lowest(transport)
    reactor = getattr(lowest, "reactor", None)
    return IReactorFDSet.providedBy(reactor) and lowest in reactor.getWriters()


def reset_on_close(transport: object, *, on: bool) -> None:
    """Choose whether a close resets the connection: with `on`, even the close at the end of this process does.

    Nothing else resets it if the process is killed (socket(7), SO_LINGER). On UNIX sockets it has no effect.
    """
    sock = _socket(transport)
    if sock is None:
        return
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", on, 0))
    except OSError:
        pass  # the connection is gone, which the protocol hears of itself


def _lowest(transport: object) -> object:
    """Return the transport that has the socket: with TLS, or behind a proxy, there is another one above it."""
    while (below := getattr(transport, "transport", None)) is not None:
        transport = below
    return transport


_PROBES = 3
_LONGEST = 32767
"""Seconds: the most that Linux accepts for TCP_KEEPIDLE and TCP_KEEPINTVL; if it is given more, its default stays."""


def probe_when_silent(transport: ILineTransport, seconds: float) -> None:
    """Have the system probe a silent peer, so that a lost network is found out after about `seconds`; 0: no change.

    By default the system waits for two hours. TCP_USER_TIMEOUT would not do: Linux counts it from the first time that
    the peer's window was full, and so resets a peer that reads slowly, with a small window, but does read.
    """
    sock = _socket(transport)
    if sock is None or not seconds:
        return
    for option, value in keepalive_options(seconds):
        try:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        except OSError:
            pass  # not allowed here, or the connection is gone, which the protocol hears of itself


def keepalive_options(seconds: float) -> list[tuple[int, int]]:
    """Return socket options and values that find a lost network out in about `seconds`: half silence, half probes."""
    silence, between = (min(max(int(seconds / parts), 1), _LONGEST) for parts in (2, 2 * _PROBES))
    named = (
        ("TCP_KEEPIDLE", silence),
        ("TCP_KEEPALIVE", silence),  # the same, on macOS
        ("TCP_KEEPINTVL", between),
        ("TCP_KEEPCNT", _PROBES),
    )
    return [(getattr(socket, name), value) for name, value in named if hasattr(socket, name)]


# tcpi_state, then tcpi_bytes_acked (since Linux 4.1), with 24 fields of four bytes and two of eight between them.
_TCP_INFO = struct.Struct("=B119xQ")
_TCP_CLOSE = 7


def acknowledged_bytes(transport: object) -> int | None:
    """Return how many bytes the peer's system has acknowledged so far, or None where ours does not know."""
    info = _tcp_info(transport)
    return None if info is None else info[1]


def is_reset(transport: object) -> bool:
    """Tell whether the system knows that the connection is gone: else that shows only when it is read or written."""
    info = _tcp_info(transport)
    return info is not None and info[0] == _TCP_CLOSE


def _tcp_info(transport: object) -> tuple[int, int] | None:
    sock = _socket(transport)
    if sock is None or sys.platform != "linux" or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        state, acknowledged = _TCP_INFO.unpack(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size))
    except (OSError, struct.error):
        return None  # closed meanwhile, or an older system
    return state, acknowledged


def outstanding_bytes(transport: object) -> int | None:
    """Return how many bytes in the system's buffer the peer has not acknowledged yet, or None where it is unknown."""
    sock = _socket(transport)
    if sock is None or sys.platform != "linux":
        return None
    try:
        return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0])
    except (OSError, ValueError):
        return None  # closed meanwhile


def _socket(transport: object) -> socket.socket | None:
    # A TLS transport has this attribute of the transport beneath it, which is the one that is wanted.
    found = getattr(transport, "socket", None)
    return found if isinstance(found, socket.socket) else None
