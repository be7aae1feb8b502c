"""The objects that all connections of a server share.

A file of its own, for both the factory, which makes the context, and the protocols, which the factory makes, need it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.interfaces import IReactorTime

from chatfile.admission import Admission
from chatfile.digests import Digests
from chatfile.disk import InThread
from chatfile.repository import Repository
from chatfile.server.connections import Connections
from chatfile.server.events import EventLog
from chatfile.server.listings import Listings
from chatfile.server.small_files import FileReader
from chatfile.server.status import StatusRows
from chatfile.server.unseated import UnseatedConnections

if TYPE_CHECKING:
    from chatfile.server.pacing import SharedRates
    from chatfile.server.waiting import WaitingLine


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that a client is granted (docs/architecture.md: never locked out); 0 means for ever."""

    idle: float = 300.0
    line: float = 60.0
    stall: float = 60.0
    flush: float = 5.0


class UnderWay(Protocol):
    """Answers a request at present."""

    @property
    def is_transferring(self) -> bool:
        """Tell whether a file is being sent."""


@dataclass(frozen=True, slots=True)
class ServerContext:
    """The files, the seats and the connections of one server, given to each of its protocols."""

    repository: Repository
    reader: FileReader
    listings: Listings
    digests: Digests | None
    """None where nothing is to be hashed."""
    admission: Admission
    status: StatusRows
    timeouts: Timeouts
    clock: IReactorTime
    queue: Callable[[], InThread]
    """Returns a new `InThread` for the calls of one client that open and read files."""
    close_passed: InThread
    """Closes descriptors that clients have passed along: those of all clients take one turn."""
    under_way: set[UnderWay]
    """Whatever answers a request at present, with its help of the disk or of the peer."""
    events: EventLog
    connections: Connections[Any]
    unseated: UnseatedConnections
    waiting: WaitingLine | None
    """None where there are no places to wait at."""
    rates: SharedRates | None
    """None where files are sent as fast as can be."""
