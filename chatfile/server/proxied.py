"""Connections that trusted proxies pass on: each begins with a header that tells who the client is.

The protocol here reads that header, no more, and leaves the bare transport to the one behind it: for that, all is as it
would be if the client had connected itself.
"""

from __future__ import annotations

import enum
import ipaddress
from dataclasses import dataclass

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress, IFileDescriptorReceiver, IProtocol, IProtocolFactory
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer

from chatfile.disk import run_unawaited
from chatfile.fdio import close_quietly
from chatfile.server.context import ServerContext
from chatfile.server.proxy_header import IP, ProxyHeader, parse_proxy_header, unmapped
from chatfile.server.unseated import EvictionRank
from chatfile.timeouts import Timer
from chatfile.transports import describe_client, take_small_turns


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The proxies that may say who their clients are."""

    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    has_unix: bool
    """Whether those at UNIX sockets are trusted: which of them can connect is a matter of the socket's mode."""

    @classmethod
    def parse(cls, text: str) -> TrustedProxies:
        """Return those that `text` names: addresses, networks and the word `unix`, with commas between them.

        Raises ValueError, with the reason for people.
        """
        names = [each.strip() for each in text.split(",")]
        return cls(tuple(_parse_network(each) for each in names if each != "unix"), "unix" in names)

    def __contains__(self, address: IAddress) -> bool:
        """Tell whether the peer at `address` is one."""
        if isinstance(address, UNIXAddress):
            return self.has_unix
        if not isinstance(address, IPv4Address | IPv6Address):
            return False
        return any(_ip(address) in network for network in self.networks)


def _ip(address: IPv4Address | IPv6Address) -> IP:
    return unmapped(ipaddress.ip_address(address.host.partition("%")[0]))


def _parse_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        if "%" in text:
            raise ValueError("a zone, which would not be looked at")
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(
            f"{text!r} is not an address (10.0.0.7), a network (10.0.0.0/24, 2001:db8::/64) or the word unix"
        ) from error


def _is_same(told: IAddress | None, seen: IAddress) -> bool:
    if not isinstance(told, IPv4Address | IPv6Address) or not isinstance(seen, IPv4Address | IPv6Address):
        return False
    return (_ip(told), told.port) == (_ip(seen), seen.port)


class HeaderState(enum.Enum):
    """How far a connection has come; from each state it goes only to one below it."""

    READING = "the header is not whole yet"
    READ = "the protocol behind has the transport"
    ENDED = "the connection is reset, or closed"


@implementer(IFileDescriptorReceiver)
class ProxyHeaderProtocol(Protocol):
    """Reads the header of one connection; until that is whole, nothing is said, and nobody has come."""

    transport: Connection

    def __init__(self, context: ServerContext, behind: IProtocolFactory, peer: IAddress) -> None:
        """Wait for the connection of the proxy at `peer`, and for its header, then have `behind` make its protocol."""
        self._context = context
        self._behind = behind
        self._peer = peer
        self._state = HeaderState.READING
        self._received = b""
        self._timer = Timer(context.clock, self._took_too_long)

    def connectionMade(self) -> None:
        """Begin to wait."""
        take_small_turns(self.transport)
        self._timer.restart(self._context.timeouts.line)
        self._context.connections.add(self)
        self._context.unseated.add(self, describe_client(self._peer)[1])

    def dataReceived(self, data: bytes) -> None:
        """Read on, until the header is whole; what follows it is for the protocol behind."""
        if self._state is not HeaderState.READING:
            return
        self._received += data
        try:
            header = parse_proxy_header(self._received)
        except ValueError as error:
            self._turn_away(str(error))
            return
        if header is not None:
            self._act_on(header)

    def _act_on(self, header: ProxyHeader) -> None:
        behind = None if self._is_check(header) else self._behind.buildProtocol(header.client or self._peer)
        if behind is None:
            self._state = HeaderState.ENDED
            self.transport.loseConnection()
        else:
            self._hand_over(behind, self._received[header.length :])

    def _is_check(self, header: ProxyHeader) -> bool:
        """Tell whether the proxy speaks for itself: version 2 says so, and version 1 tells of this very connection."""
        ends = ((header.client, self._peer), (header.server, self.transport.getHost()))
        return header.is_local or all(_is_same(told, seen) for told, seen in ends)

    def _hand_over(self, behind: IProtocol, rest: bytes) -> None:
        self._state = HeaderState.READ
        self._forget()
        self.transport.protocol = behind
        behind.makeConnection(self.transport)
        if rest:
            behind.dataReceived(rest)

    def _took_too_long(self) -> None:
        self._turn_away(f"it sent no whole PROXY header within {self._context.timeouts.line:g} s")

    def _turn_away(self, why: str) -> None:
        self._log_refusal(why)
        self.abort()

    def _log_refusal(self, why: str) -> None:
        self._context.events.refused(*describe_client(self._peer), why)

    def abort(self) -> None:
        """Reset the connection."""
        self._state = HeaderState.ENDED
        self.transport.abortConnection()

    shut_down = abort_or_cancel = abort
    """A drain waits for none of these: nothing was promised."""

    def release_seat(self) -> None:
        """Do nothing: it has none."""

    def eviction_rank(self) -> EvictionRank:
        """Return which of the connections without a seat this one is; see `UnseatedConnection`."""
        return EvictionRank.BEGINNING if self._received else EvictionRank.SILENT

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """Close a descriptor that came over a UNIX socket, and reset the connection, as `ChatFileProtocol` does."""
        run_unawaited(self._context.close_passed, close_quietly, descriptor)
        self.abort()

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: ARG002 -- it does not matter here
        """Hear that the connection is gone: without a word from the peer, that was a check of the port."""
        if self._state is HeaderState.READING and self._received:
            self._log_refusal("it left amid its PROXY header")
        self._forget()

    def _forget(self) -> None:
        self._timer.stop()
        self._context.unseated.discard(self)
        self._context.connections.discard(self)


class TurnedAway(Protocol):
    """Resets a stranger's connection; without a protocol for it, the port would accept ever more of them at once."""

    transport: Connection

    def connectionMade(self) -> None:
        """Give other connections their turn, and hear nothing of this one."""
        take_small_turns(self.transport)
        self.transport.abortConnection()


@implementer(IProtocolFactory)
class ProxyHeaderFactory:
    """Makes a `ProxyHeaderProtocol` of the connection of a trusted proxy, and turns all others away."""

    def __init__(self, context: ServerContext, behind: IProtocolFactory, trusted: TrustedProxies) -> None:
        """Have `behind` make the protocols of connections whose clients are known."""
        self._context = context
        self._trusted = trusted
        self._behind = behind
        self.doStart = behind.doStart
        self.doStop = behind.doStop

    def buildProtocol(self, addr: IAddress) -> IProtocol:
        """Return the protocol of a connection from `addr`, which must be that of a trusted proxy."""
        if addr in self._trusted:
            return ProxyHeaderProtocol(self._context, self._behind, addr)
        self._context.events.refused(*describe_client(addr), "it is none of --proxy-protocol-from")
        return TurnedAway()
