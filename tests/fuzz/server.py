"""Any bytes to the server: no exception, an end, and the same answers however they are cut, in bursts or not."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from chatfile import wire
from tests.fuzz.cuts import ways_to_cut
from tests.support.serving import WELCOME, Peer, Server
from tests.support.transports import turn_over

FILES = {"a": b"one\ntwo\n", "empty": b"", "a b": bytes(range(256)), "é": "é\n".encode() * 20, "f/g": b"three\n"}


@functools.cache
def _served() -> tuple[tempfile.TemporaryDirectory[str], Path]:
    """The folder, and what keeps it until the program ends."""
    kept = tempfile.TemporaryDirectory(prefix="chatfile-fuzz-")
    server = Server(Path(kept.name))
    (server.folder / "f").mkdir()
    for name, content in FILES.items():
        server.put(name, content)
    return kept, server.folder


def _by_the_line(peer: Peer) -> list[bytes]:
    """Have every line go the long way; the lines, as they are delivered."""
    delivered: list[bytes] = []
    answer = peer.protocol.lineReceived

    def note(line: bytes) -> None:
        delivered.append(line)
        answer(line)

    peer.protocol.line_countReceived = lambda _, start: start
    peer.protocol.lineReceived = note
    return delivered


def _converse(pieces: list[bytes], *, in_bursts: bool = True) -> tuple[bytes, list[bytes]]:
    server = Server(_served()[1], recursive=True)
    peer = server.connect()
    lines = [] if in_bursts else _by_the_line(peer)
    for piece in pieces:
        peer.sends(piece)
    peer.protocol.readConnectionLost()
    turn_over(server.clock)
    assert peer.is_closing(), "a peer that has ended is let go"
    peer.vanishes()
    assert server.connected() == []
    return peer.transport.value(), lines


def check(data: bytes) -> None:
    """Raise for what a server must never do."""
    first, *others = ways_to_cut(data)
    said, _ = _converse(first)
    for pieces in others:
        assert _converse(pieces)[0] == said
    by_the_line, lines = _converse(first, in_bursts=False)
    assert by_the_line == said
    assert said.startswith(WELCOME % 1 + b"\n")
    assert said.endswith(b"\n")
    _check_messages(said, lines)


def _check_messages(said: bytes, lines: list[bytes]) -> None:
    """What is no command comes back as it was sent, in its turn."""
    at = 0
    for line in lines:
        if not wire.is_command(line) and len(line) <= wire.MAX_REQUEST and _is_clean(line):
            at = said.index(b"\n" + line + b" ACK\n", at) + len(line) + 5


def _is_clean(line: bytes) -> bool:
    try:
        return all(character.isprintable() or character in "\t" for character in line.decode())
    except UnicodeDecodeError:
        return False
