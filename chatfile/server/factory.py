"""The factory of a server's connections: it makes what they share, and ends them all in a drain."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory

from chatfile.admission import Admission, MemoryAdmission
from chatfile.digests import Digests
from chatfile.disk import InThread
from chatfile.repository import Repository
from chatfile.server.connections import Connections
from chatfile.server.context import ServerContext, Timeouts
from chatfile.server.events import EventLog
from chatfile.server.listings import Listings
from chatfile.server.protocol import ChatFileProtocol
from chatfile.server.small_files import FileReader
from chatfile.server.status import StatusRows
from chatfile.server.unseated import MAX_UNSEATED, UnseatedConnections
from chatfile.timeouts import Timer

if TYPE_CHECKING:
    from chatfile.server.pacing import SharedRates
    from chatfile.server.waiting import WaitingLine


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
        max_unseated: int = MAX_UNSEATED,
        line: MemoryAdmission | None = None,
        rates: SharedRates | None = None,
    ) -> None:
        """Serve `repository` to the clients that `admission` lets in; without `digests`, hash nothing.

        `queue()` returns what makes the calls of one client that open and read files. At most `max_unseated`
        connections are open without a seat. `line`, if given, is the admission again, and has places for clients that
        wait; `rates`, if given, say how fast files are sent.
        """
        self._clock = clock
        self._events = EventLog(clock)
        self._connections: Connections[ChatFileProtocol] = Connections()
        self._context = ServerContext(
            repository=repository,
            reader=FileReader(repository, digests),
            listings=listings,
            digests=digests,
            admission=admission,
            status=StatusRows(admission),
            timeouts=timeouts or Timeouts(),
            clock=clock,
            queue=queue,
            close_passed=queue(),
            under_way=set(),
            events=self._events,
            connections=self._connections,
            unseated=UnseatedConnections(max_unseated),
            waiting=None if line is None else _make_line(line, clock),
            rates=rates,
        )

    def buildProtocol(self, addr: IAddress | None) -> ChatFileProtocol:
        """Return the protocol of a new connection from `addr`, which is refused later if there is no seat."""
        protocol = ChatFileProtocol(self._context, addr)
        protocol.factory = self
        self._connections.add(protocol)
        return protocol

    def is_responding(self) -> bool:
        """Tell, in any thread, whether any client is sent a response, or waits for one."""
        return bool(self._context.under_way)

    def drain(self, seconds: float) -> Deferred[None]:
        """Close idle connections, and cancel or reset responses that have not finished in `seconds` (0: for ever).

        Fires when the last connection is gone.
        """
        drained = self._connections.drain()
        deadline = Timer(self._clock, self._end_responses)
        deadline.restart(seconds)
        for protocol in self._connections:
            protocol.shut_down()
        return drained.addBoth(lambda _: self._end_drain(deadline))

    def _end_drain(self, deadline: Timer) -> None:
        deadline.stop()
        self._events.sum_up()

    def _end_responses(self) -> None:
        for protocol in self._connections:
            protocol.abort_or_cancel()

    def reset(self) -> None:
        """Reset every connection that is left."""
        self._connections.abort()


def _make_line(admission: MemoryAdmission, clock: IReactorTime) -> WaitingLine:
    from chatfile.server.waiting import WaitingLine  # noqa: PLC0415 -- only behind its option

    return WaitingLine(admission, clock)
