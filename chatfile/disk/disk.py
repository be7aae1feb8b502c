"""The lanes of a server: a call in one of them never waits for those in another."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime

from chatfile.disk.lanes import Lane, LaneLoad
from chatfile.disk.workers import ThreadWorker, Worker

LEAST, MOST = 16, 256
"""Bounds for the threads of a lane in calls that clients wait for; between these, it has one for each client."""


class Disk:
    """Has four lanes: for listings, for trees, for opening, reading and closing files, and for digests."""

    def __init__(
        self,
        clock: IReactorTime,
        in_reactor: Callable[..., object],
        *,
        timeout: float,
        clients: int,
        start: Callable[[], Worker] = ThreadWorker,
    ) -> None:
        """Make lanes for so many `clients`, whose calls may take `timeout` seconds (0: any time).

        See `Lane` for the other arguments.
        """
        most = min(max(clients, LEAST), MOST)

        def lane(*, at_once: int, most: int, patience: float) -> Lane:
            return Lane(clock, in_reactor, timeout=timeout, at_once=at_once, most=most, patience=patience, start=start)

        # A listing needs the interpreter's lock: two of them at once are not done sooner.
        self.listings = lane(at_once=1, most=4, patience=1.0)
        self.trees = lane(at_once=1, most=4, patience=0.2)
        self.files = lane(at_once=8, most=most, patience=0.02)
        # Hashing does not, and can use two processors.
        self.digests = lane(at_once=2, most=most, patience=0.05)

    def loads(self) -> dict[str, LaneLoad]:
        """Return how busy each lane is at this moment, by their names."""
        return {name: lane.load() for name, lane in self._lanes().items()}

    def close(self) -> None:
        """End the threads that are in no call, and begin no more calls."""
        for lane in self._lanes().values():
            lane.close()

    def _lanes(self) -> dict[str, Lane]:
        return {"listings": self.listings, "trees": self.trees, "files": self.files, "digests": self.digests}


def in_thread(call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Deferred[Any]:
    """Make a call in a thread, for a program that is a single client; see `InThread`.

    Unlike those of the reactor's pool, the thread does not keep the process from ending.
    """
    return _lane_of_this_process().queue()(call, *arguments, **named)


@lru_cache(maxsize=1)
def _lane_of_this_process() -> Lane:
    from twisted.internet import reactor  # noqa: PLC0415 -- the program may have chosen one

    in_reactor = IReactorFromThreads(reactor).callFromThread
    return Lane(IReactorTime(reactor), in_reactor, timeout=0, at_once=LEAST, most=MOST, patience=0.05)
