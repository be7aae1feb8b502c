"""What all connections share, and their common end."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory

from chatfile.admission import Admission
from chatfile.digests import Digests
from chatfile.disk import InThread
from chatfile.repository import Repository
from chatfile.server.events import Events
from chatfile.server.listings import Listings
from chatfile.server.protocol import ChatFileProtocol
from chatfile.server.standing import StandingRoom
from chatfile.server.table import Table, Timeouts
from chatfile.server.visitors import Visitors
from chatfile.timeouts import Timer

STANDING_ROOM = 64
"""Connections without a seat that are kept at once, unless that is asked for otherwise."""


class ChatFileFactory(Factory):
    """Makes a `ChatFileProtocol` of every connection; owns the limit, the cache, the files and the open connections."""

    noisy = False

    def __init__(
        self,
        repository: Repository,
        admission: Admission,
        *,
        listings: Listings,
        digests: Digests | None,
        clock: IReactorTime,
        queue: Callable[[], InThread],
        timeouts: Timeouts | None = None,
        standing_room: int = STANDING_ROOM,
    ) -> None:
        """`queue()` gives what makes the calls of one client that open and read files; without `digests`, hash nothing.

        `standing_room` is how many connections may be open without a seat.
        """
        self._clock = clock
        self._table = Table(
            repository, listings, digests, admission, timeouts or Timeouts(), clock, queue, Visitors(admission),
            Events(clock), StandingRoom(standing_room),
        )  # fmt: skip

    def buildProtocol(self, addr: IAddress | None) -> ChatFileProtocol:  # noqa: ARG002 -- the transport knows it better
        """The protocol of a new connection, which is refused later if there is no seat."""
        protocol = ChatFileProtocol(self._table)
        protocol.factory = self
        self._table.connections.add(protocol)
        return protocol

    def drain(self, seconds: float) -> Deferred[None]:
        """Tell the idle, let replies under way finish for at most `seconds` (0: for ever), then cut them short.

        The result comes when the last connection is gone.
        """
        self._table.draining = True
        drained: Deferred[None] = Deferred()
        drained.addBoth(lambda _: self._table.events.sum_up())
        if not self._table.connections:
            drained.callback(None)
            return drained
        self._table.all_gone = drained
        deadline = Timer(self._clock, self._cut_short)
        deadline.restart(seconds)
        for protocol in list(self._table.connections):
            protocol.shut_down()
        return drained.addBoth(lambda _: deadline.stop())

    def _cut_short(self) -> None:
        for protocol in list(self._table.connections):
            protocol.cut_short()

    def reset(self) -> None:
        """Reset every connection that is left."""
        for protocol in list(self._table.connections):
            protocol.abort()
