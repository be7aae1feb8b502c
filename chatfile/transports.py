"""What a transport can do, and what the system tells of its connection, beyond Twisted's interfaces."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
import sys
import termios

from twisted.internet import abstract, tcp
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableDescriptor,
    IPushProducer,
    IReactorFDSet,
    ISSLTransport,
    ITCPTransport,
)


class ILineTransport(ITCPTransport, IConsumer, IPushProducer):
    """What a transport of Twisted provides here, TCP or not."""


def plain_socket(transport: object) -> socket.socket | None:
    """The socket of `transport`, if what is written to the transport goes into it as it is, and the reverse; else None.

    It is the class that tells: a TLS transport passes every attribute on from the one beneath it, and whoever wrote to
    that socket would put plain text into the stream. `TLS` is what `startTLS` sets.
    """
    if not isinstance(transport, tcp.Connection) or getattr(transport, "TLS", False):
        return None
    return _socket(transport)


def is_tcp(transport: ILineTransport) -> bool:
    """Whether the options of TCP can be set: those of UNIX sockets have the methods too, but not the options."""
    return bool(ITCPTransport.providedBy(transport) and isinstance(transport.getPeer(), IPv4Address | IPv6Address))


def describe_peer(transport: ILineTransport) -> tuple[str, str]:
    """Return the peer's address as `status` shows it, and the host that it counts for.

    Of IPv6 that is the network that one host can be in: whoever has one address has 2^64 of them (RFC 4291, section
    2.5.4).
    """
    address = transport.getPeer()
    if isinstance(address, IPv6Address):
        return f"[{address.host}]:{address.port}", _network(address.host)
    if isinstance(address, IPv4Address):
        return f"{address.host}:{address.port}", address.host
    return "unix", "unix"


def _network(host: str) -> str:
    ip = ipaddress.IPv6Address(host.partition("%")[0])
    if ip.ipv4_mapped is not None:  # at a port for both, IPv4 looks like this
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((ip, 64), strict=False))


def is_half_closable(transport: object) -> bool:
    """Whether our end can be closed on its own."""
    # A TLS transport passes the interface on from the one beneath it, but has no half-close of its own.
    return bool(IHalfCloseableDescriptor.providedBy(transport) and not ISSLTransport.providedBy(transport))


def do_not_pace(transport: ILineTransport) -> None:
    """Where the peer is on this host, take a congestion control that does not pace.

    Nothing is ever lost or congested there, but BBR, the default of many systems, still spreads what is sent over time
    in small segments, and halves the rate. Reno is always there (tcp(7), TCP_CONGESTION).
    """
    sock, peer = _socket(transport), transport.getPeer()
    if sock is None or sys.platform != "linux" or not isinstance(peer, IPv4Address | IPv6Address):
        return
    if ipaddress.ip_address(peer.host.partition("%")[0]).is_loopback:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        except OSError:
            pass  # not allowed here, or the connection is gone, which is told elsewhere


_TURN = 16 * 1024
"""Bytes: what costs most of all that can be in so many, telnet's negotiation, takes the reactor some 2 ms."""


def take_small_turns(transport: object) -> None:
    """Read little at once, and have the peer take what was written before much more is: then the others have a turn.

    Twisted's own limit for both is 64 KiB (`FileDescriptor.bufferSize`).
    """
    lowest = _lowest(transport)
    if isinstance(lowest, abstract.FileDescriptor):
        lowest.bufferSize = _TURN
    port = getattr(lowest, "server", None)
    if isinstance(port, tcp.Port):
        port.numberAccepts = 0  # not what was accepted in this turn: then Twisted accepts no more in the next


def has_heard(transport: object) -> bool:
    """Whether anything has come from the peer, read or not; so it is taken to be where the system does not tell."""
    sock = _socket(transport)
    if sock is None or sys.platform != "linux":
        return True
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _DATA_SEGMENTS_IN.size)
        return bool(_DATA_SEGMENTS_IN.unpack(info)[0])
    except (OSError, struct.error):
        return True  # no TCP, closed under our hands, or an older system


# tcpi_data_segs_in of struct tcp_info, since Linux 4.6.
_DATA_SEGMENTS_IN = struct.Struct("=152xI")


def write_now(transport: object) -> None:
    """Hand to the system what was written, and our end behind it, before the reactor's turn to write comes.

    Where nothing is between the transport and its socket: elsewhere it goes out in its time, as all else does.
    """
    if plain_socket(transport) is None or not isinstance(transport, abstract.FileDescriptor):
        return
    if transport.doWrite() is not None:
        transport.startWriting()  # that it is at an end is for the reactor to hear


def has_unwritten(transport: object) -> bool:
    """Whether something that was written to `transport` waits in this process until the system can take it."""
    lowest = _lowest(transport)
    reactor = getattr(lowest, "reactor", None)
    return IReactorFDSet.providedBy(reactor) and lowest in reactor.getWriters()


def reset_on_close(transport: object, *, on: bool) -> None:
    """Have a close end the connection with a reset, or as usual again: also the close that is the end of this process.

    Nothing else does that where we are killed (socket(7), SO_LINGER). For UNIX sockets there is no such thing.
    """
    sock = _socket(transport)
    if sock is None:
        return
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", on, 0))
    except OSError:
        pass  # the connection is gone, which is told elsewhere


def _lowest(transport: object) -> object:
    """The transport that has the socket: there is another one above it over TLS, or behind a proxy."""
    while (below := getattr(transport, "transport", None)) is not None:
        transport = below
    return transport


_PROBES = 3
_LONGEST = 32767
"""Seconds: Linux takes no more for TCP_KEEPIDLE and TCP_KEEPINTVL, and leaves its default where it is told more."""


def probe_when_silent(transport: ILineTransport, seconds: float) -> None:
    """Have the system find out, within about `seconds` of silence, that the peer's network has gone; 0: when it likes.

    By itself it waits for two hours. TCP_USER_TIMEOUT is not for us: Linux counts it from the first time that the
    window was shut, and so resets a peer with a small one that reads slowly, and moves.
    """
    sock = _socket(transport)
    if sock is None or not seconds:
        return
    for option, value in keepalive_options(seconds):
        try:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        except OSError:
            pass  # not allowed here, or the connection is gone, which is told elsewhere


def keepalive_options(seconds: float) -> list[tuple[int, int]]:
    """In whole seconds, half of the time is silence, and the other half goes to the probes."""
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
    """How many bytes the peer's system has acknowledged so far; None where ours does not tell."""
    info = _tcp_info(transport)
    return None if info is None else info[1]


def is_reset(transport: object) -> bool:
    """Whether the system knows that the connection is gone: none else does while it is neither read nor written."""
    info = _tcp_info(transport)
    return info is not None and info[0] == _TCP_CLOSE


def _tcp_info(transport: object) -> tuple[int, int] | None:
    sock = _socket(transport)
    if sock is None or sys.platform != "linux" or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        state, acknowledged = _TCP_INFO.unpack(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size))
    except (OSError, struct.error):
        return None  # closed under our hands, or an older system: nothing is known of it
    return state, acknowledged


def outstanding_bytes(transport: object) -> int | None:
    """How many bytes in the system's buffer the peer has not acknowledged yet; None where it does not tell."""
    sock = _socket(transport)
    if sock is None or sys.platform != "linux":
        return None
    try:
        return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0])
    except (OSError, ValueError):
        return None  # closed under our hands


def _socket(transport: object) -> socket.socket | None:
    # A TLS transport passes the attribute on from the one beneath it, which is the one to ask.
    found = getattr(transport, "socket", None)
    return found if isinstance(found, socket.socket) else None
