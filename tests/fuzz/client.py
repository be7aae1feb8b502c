"""Any bytes to a client: each request ends once, with a declared error or what was promised, however they are cut.

The first line of an input says what the client asks; the rest is what the server says.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from chatfile import errors, wire
from chatfile.pending import Received
from tests.fuzz.cuts import ways_to_cut
from tests.support.talking import Talk
from tests.support.transports import Threads, at_once

KEPT = 16 * 1024
"""Bytes of lines that a client may keep beside what came last."""
AT_MOST = 20
"""Requests of one client."""


class Asker:
    """A client in memory that has asked for things, and what became of them."""

    def __init__(self, wishes: list[bytes], files: ExitStack, in_thread: Any) -> None:
        self.talk = Talk(in_thread=in_thread)
        self.client = self.talk.client
        self._files = files
        self._accepted: list[tuple[wire.FileHeader, int]] = []
        self._ends: list[list[Any]] = []
        for asked in (self.client.greeted, self.client.closed):
            self._note(asked)
        for wish in wishes[:AT_MOST]:
            if wish in _WISHES:
                self._note(_WISHES[wish](self))

    def _note(self, asked: Deferred[Any]) -> None:
        ends: list[Any] = []
        self._ends.append(ends)
        asked.addBoth(ends.append)

    def accept(self, header: wire.FileHeader) -> Deferred[int | None]:
        """Each file goes into one of its own."""
        sink = self._files.enter_context(tempfile.TemporaryFile(buffering=0)).fileno()  # noqa: SIM115 -- it is
        self._accepted.append((header, sink))
        return succeed(sink)

    def hears(self, pieces: list[bytes]) -> None:
        """The server says this, and is gone."""
        for piece in pieces:
            self.talk.server_says(piece)
            assert not self.client.is_receiving or self.client.splitter.waiting <= KEPT + len(piece)
        self.talk.closes()

    def outcomes(self) -> list[str]:
        """What became of each request, and of each file."""
        assert self.talk.clock.getDelayedCalls() == []
        assert all(len(ends) == 1 for ends in self._ends), "each request ends, once"
        contents = {id(header): os.pread(sink, 1 << 20, 0) for header, sink in self._accepted}
        assert all(len(contents[id(header)]) <= header.size for header, _ in self._accepted)
        for [end] in self._ends:
            if isinstance(end, Received) and id(end.header) in contents:
                _check_file(end, contents[id(end.header)])
        return [_outcome(end) for [end] in self._ends] + [repr(content) for content in contents.values()]


def _check_file(received: Received, content: bytes) -> None:
    assert len(content) == received.header.size
    assert not received.verified or received.sha256 == hashlib.sha256(content).hexdigest()


def _outcome(end: object) -> str:
    if not isinstance(end, Failure):
        return repr(end)
    assert end.check(errors.ChatFileError, OSError), end.getTraceback()
    return f"{end.type.__name__}: {end.getErrorMessage()}"


_WISHES: dict[bytes, Callable[[Asker], Deferred[Any]]] = {
    b"send": lambda asker: asker.client.send("hi"),
    b"error": lambda asker: asker.client.send("ERROR full of it"),
    b"status": lambda asker: asker.client.status(),
    b"list": lambda asker: asker.client.listing(),
    b"tree": lambda asker: asker.client.tree(),
    b"folder": lambda asker: asker.client.tree("a/b"),
    b"help": lambda asker: asker.client.help(),
    b"hash": lambda asker: asker.client.hash("a b"),
    b"get": lambda asker: asker.client.get("a b", asker.accept),
    b"drop": lambda asker: asker.client.get("a b", lambda _: succeed(None)),
    b"exit": lambda asker: asker.client.exit(),
}


def _outcomes(wishes: list[bytes], pieces: list[bytes], threads: Threads | None = None) -> list[str]:
    with ExitStack() as files:
        asker = Asker(wishes, files, threads or at_once)
        asker.hears(pieces)
        if threads is not None:
            threads.run_all()
        return asker.outcomes()


def check(data: bytes) -> None:
    """Raise for what a client must never do."""
    first, _, said = data.partition(b"\n")
    wishes = first.split()
    whole, *others = ways_to_cut(said)
    expected = _outcomes(wishes, whole)
    assert _outcomes(wishes, whole, Threads()) == expected, "a slow disk changes nothing"
    for pieces in others:
        assert _outcomes(wishes, pieces) == expected
