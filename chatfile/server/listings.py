"""The listing as it goes out: made in a thread, one for all who ask before it begins, and shared by all who read it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatfile import wire
from chatfile.disk import InThread
from chatfile.repository import Entry, Repository

_ROWS = 64
"""Rows in one piece."""


class Listing:
    """The rows of a folder as they were at one moment; what several listings have in common is one object."""

    __slots__ = ("__weakref__", "count", "pieces")

    def __init__(self, count: int, pieces: Sequence[bytes]) -> None:
        """`count` rows, some dozens in each of the `pieces`."""
        self.count = count
        self.pieces = pieces


class _Making:
    """A listing that is being made, or going to be, and who waits for it."""

    def __init__(self) -> None:
        self.askers: list[Deferred[Listing]] = []
        self.has_begun = False
        self.stopped = threading.Event()
        self.call: Deferred[Listing]


class Listings:
    """The listings of one folder, made when they are asked for; an answer is never older than its question."""

    def __init__(self, repository: Repository, in_thread: InThread) -> None:
        """Nothing is read yet."""
        self._repository = repository
        self._in_thread = in_thread
        self._next: _Making | None = None
        self._latest: Callable[[], Listing | None] = lambda: None

    def ask(self) -> Deferred[Listing]:
        """Return the listing; cancel it when it is not wanted any more.

        Fails with `Unavailable`, or with an OSError where no thread could tell.
        """
        making = self._next
        is_new = making is None or making.has_begun
        if making is None or is_new:
            making = self._next = _Making()
        asker: Deferred[Listing] = Deferred(lambda asker: self._leave(making, asker))
        making.askers.append(asker)
        if is_new:
            making.call = self._in_thread(self._make, making)
            making.call.addBoth(self._answer, making)
        return asker

    def _leave(self, making: _Making, asker: Deferred[Listing]) -> None:
        making.askers.remove(asker)
        if not making.askers:
            making.stopped.set()
            self._forget(making)
            making.call.cancel()

    def _answer(self, listing: Listing | Failure, making: _Making) -> None:
        self._forget(making)
        if isinstance(listing, Listing):
            self._latest = weakref.ref(listing)
        askers, making.askers = making.askers, []
        for asker in askers:
            asker.callback(listing)

    def _forget(self, making: _Making) -> None:
        if self._next is making:
            self._next = None

    def _make(self, making: _Making) -> Listing:
        """In a thread."""
        making.has_begun = True  # before anything is read: who asks from now on is not answered by this one
        entries = self._repository.listing(making.stopped.is_set)
        pieces = _shared(_pieces(entries), self._latest())
        return Listing(sum(piece.count(b"\n") for piece in pieces), pieces)


def _pieces(entries: Iterator[Entry]) -> Iterator[bytes]:
    while piece := b"".join(map(_row, islice(entries, _ROWS))):
        yield piece


def _row(entry: Entry) -> bytes:
    return wire.format_reply(wire.FileRow(entry.size, entry.mtime, entry.name)) + b"\n"


def _shared(pieces: Iterator[bytes], before: Listing | None) -> list[bytes]:
    """Take those of `before` that are the same: whoever still reads that keeps them anyway."""
    known = {piece: piece for piece in before.pieces} if before is not None else {}
    return [known.get(piece, piece) for piece in pieces]
