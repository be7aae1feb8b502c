"""Any bytes from a trusted proxy: a client, or none and not a word; the same however cut, and no header is shown."""

from __future__ import annotations

from twisted.internet.interfaces import IHalfCloseableProtocol

from tests.fuzz.cuts import ways_to_cut
from tests.fuzz.server import served
from tests.support.proxied import ProxiedServer
from tests.support.serving import WELCOME
from tests.support.transports import turn_over


def _converse(pieces: list[bytes]) -> tuple[bytes, list[str]]:
    server = ProxiedServer(served())
    peer = server.connect()
    for piece in pieces:
        peer.sends(piece)
    if half_closeable := IHalfCloseableProtocol(peer.protocol, None):
        half_closeable.readConnectionLost()
        turn_over(server.clock)
        assert peer.is_closing(), "a peer that has ended is let go"
    peer.vanishes()
    assert server.connected() == []
    return peer.transport.value(), [record.address for record in server.admission.records()]


def check(data: bytes) -> None:
    """Raise for what a server must never do."""
    first, *others = ways_to_cut(data)
    said, addresses = _converse(first)
    for pieces in others:
        assert _converse(pieces) == (said, addresses)
    assert said.startswith(WELCOME % 1 + b"\n" if addresses else b"")
    assert bool(said) == bool(addresses)
    assert all(address.isascii() and address.isprintable() for address in addresses)
