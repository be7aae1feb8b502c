"""Listings and trees as they are sent: made in threads, each for all that ask before it begins, and shared by them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from itertools import islice
from weakref import WeakValueDictionary

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

    def __init__(self, tree: str | None) -> None:
        """Begin without askers; `tree` is the path of a folder, None for the listing that is flat."""
        self.tree = tree
        self.askers: list[Deferred[Listing]] = []
        self.has_begun = False
        self.stopped = threading.Event()
        self.call: Deferred[Listing]


class Listings:
    """Makes listings and trees of one folder when they are asked for; none is ever older than the request for it."""

    def __init__(self, repository: Repository, in_thread: InThread, in_tree_thread: InThread) -> None:
        """Begin without a listing; `in_thread` makes the calls that read one folder, the other those that read many."""
        self._repository = repository
        self._in_thread = in_thread
        self._in_tree_thread = in_tree_thread
        self._next: dict[str | None, _ListingJob] = {}
        self._latest: WeakValueDictionary[str | None, Listing] = WeakValueDictionary()

    def ask(self, tree: str | None = None) -> Deferred[Listing]:
        """Return the listing in a Deferred, or the `tree` of a folder; cancel that when it is not wanted any more.

        Fails with a `Refusal`, or with an OSError if the call in a thread did not return in time, or was not made.
        """
        job = self._next.get(tree)
        is_new = job is None or job.has_begun
        if job is None or is_new:
            job = self._next[tree] = _ListingJob(tree)
        asker: Deferred[Listing] = Deferred(lambda asker: self._remove_asker(job, asker))
        job.askers.append(asker)
        if is_new:
            in_thread = self._in_thread if tree is None else self._in_tree_thread
            job.call = in_thread(self._make, job)
            job.call.addBoth(self._answer, job)
        return asker

    def _remove_asker(self, job: _ListingJob, asker: Deferred[Listing]) -> None:
        job.askers.remove(asker)
        if not job.askers:
            job.stopped.set()
            self._discard(job)
            job.call.cancel()

    def _answer(self, listing: Listing | Failure, job: _ListingJob) -> None:
        job.stopped.set()  # a thread that did not return in time reads no further
        self._discard(job)
        if isinstance(listing, Listing):
            self._latest[job.tree] = listing
        askers, job.askers = job.askers, []
        for asker in askers:
            asker.callback(listing)

    def _discard(self, job: _ListingJob) -> None:
        if self._next.get(job.tree) is job:
            del self._next[job.tree]

    def _make(self, job: _ListingJob) -> Listing:
        """Read the folder and make the rows, in a thread. Raises a `Refusal`."""
        job.has_begun = True  # before anything is read: a client that asks from now on gets the next listing
        if job.tree is None:
            entries = self._repository.listing(job.stopped.is_set)
        else:
            entries = self._repository.tree(job.tree, most=wire.MAX_TREE_ROWS, is_stopped=job.stopped.is_set)
        pieces = _shared(_pieces(entries), self._latest.get(job.tree))
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
