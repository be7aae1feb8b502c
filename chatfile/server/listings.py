"""The listing as it is sent: made in a thread, one for all clients that ask before that begins, and shared by them."""

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
"""Rows in each piece of a listing."""


class Listing:
    """The rows of a folder as they were at one moment; listings share the pieces that are the same in both."""

    __slots__ = ("__weakref__", "count", "pieces")

    def __init__(self, count: int, pieces: Sequence[bytes]) -> None:
        """Keep `count` rows, which `pieces` contain as they are sent, each some dozens of them."""
        self.count = count
        self.pieces = pieces


class _ListingJob:
    """A listing that is being made, or going to be, and the askers that wait for it."""

    def __init__(self) -> None:
        self.askers: list[Deferred[Listing]] = []
        self.has_begun = False
        self.stopped = threading.Event()
        self.call: Deferred[Listing]


class Listings:
    """Makes the listings of one folder when they are asked for; a listing is never older than the request for it."""

    def __init__(self, repository: Repository, in_thread: InThread) -> None:
        """Begin without a listing; `in_thread` makes the calls that read the folder."""
        self._repository = repository
        self._in_thread = in_thread
        self._next: _ListingJob | None = None
        self._latest: Callable[[], Listing | None] = lambda: None

    def ask(self) -> Deferred[Listing]:
        """Return the listing in a Deferred; cancel that when it is not wanted any more.

        Fails with `Unavailable`, or with an OSError if the call in a thread did not return in time, or was not made.
        """
        job = self._next
        is_new = job is None or job.has_begun
        if job is None or is_new:
            job = self._next = _ListingJob()
        asker: Deferred[Listing] = Deferred(lambda asker: self._remove_asker(job, asker))
        job.askers.append(asker)
        if is_new:
            job.call = self._in_thread(self._make, job)
            job.call.addBoth(self._answer, job)
        return asker

    def _remove_asker(self, job: _ListingJob, asker: Deferred[Listing]) -> None:
        job.askers.remove(asker)
        if not job.askers:
            job.stopped.set()
            self._discard(job)
            job.call.cancel()

    def _answer(self, listing: Listing | Failure, job: _ListingJob) -> None:
        self._discard(job)
        if isinstance(listing, Listing):
            self._latest = weakref.ref(listing)
        askers, job.askers = job.askers, []
        for asker in askers:
            asker.callback(listing)

    def _discard(self, job: _ListingJob) -> None:
        if self._next is job:
            self._next = None

    def _make(self, job: _ListingJob) -> Listing:
        """Read the folder and make the rows, in a thread. Raises `Unavailable`."""
        job.has_begun = True  # before anything is read: a client that asks from now on gets the next listing
        entries = self._repository.listing(job.stopped.is_set)
        pieces = _shared(_pieces(entries), self._latest())
        return Listing(sum(piece.count(b"\n") for piece in pieces), pieces)


def _pieces(entries: Iterator[Entry]) -> Iterator[bytes]:
    while piece := b"".join(map(_row, islice(entries, _ROWS))):
        yield piece


def _row(entry: Entry) -> bytes:
    return wire.format_reply(wire.FileRow(entry.size, entry.mtime, entry.name)) + b"\n"


def _shared(pieces: Iterator[bytes], before: Listing | None) -> list[bytes]:
    """Return `pieces`, but those of the listing `before` where they are the same: a response may still hold these."""
    known = {piece: piece for piece in before.pieces} if before is not None else {}
    return [known.get(piece, piece) for piece in pieces]
