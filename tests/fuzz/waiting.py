"""Any bytes to a full server that has a line: a place or none, the same answers however they are cut, and an end."""

from __future__ import annotations

from tests.fuzz.cuts import ways_to_cut
from tests.fuzz.server import served
from tests.support.serving import WELCOME, Server
from tests.support.transports import turn_over


def _converse(pieces: list[bytes]) -> bytes:
    """The client says all, half-closes, and then has its turn, if it is in the line."""
    server = Server(served(), limit=1, places=1)
    holder = server.greeted()
    peer = server.connect()
    for piece in pieces:
        peer.sends(piece)
    peer.protocol.readConnectionLost()
    turn_over(server.clock)
    assert peer.is_closing() == (not server.admission.line()), "it is closed, or it waits"
    holder.vanishes()
    turn_over(server.clock)
    assert peer.is_closing(), "a peer that has ended is let go"
    peer.vanishes()
    assert (server.admission.line(), server.connected()) == ([], [])
    return peer.transport.value()


def check(data: bytes) -> None:
    """Raise for what a server must never do."""
    first, *others = ways_to_cut(data)
    said = _converse(first)
    for pieces in others:
        assert _converse(pieces) == said
    refusal, *lines = said.split(b"\n")
    assert refusal.startswith(b"ERROR full ")
    assert lines.pop() == b"", "each line has its end"
    assert lines[:2] in ([], [b"WAIT 1"], [b"WAIT 1", WELCOME % 2])
