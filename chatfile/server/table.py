"""What all connections share: the files, the seats, and who is here without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from chatfile.admission import Admission
from chatfile.digests import Digests
from chatfile.disk import InThread
from chatfile.repository import Repository
from chatfile.server.events import Events
from chatfile.server.listings import Listings
from chatfile.server.standing import StandingRoom
from chatfile.server.visitors import Visitors

if TYPE_CHECKING:
    from chatfile.server.protocol import ChatFileProtocol


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that a client is granted (design, promise 2); 0 means for ever."""

    idle: float = 300.0
    line: float = 60.0
    stall: float = 60.0
    flush: float = 5.0


@dataclass(slots=True)
class Table:
    """The seats and the files, and every connection there is."""

    repository: Repository
    listings: Listings
    digests: Digests | None
    admission: Admission
    timeouts: Timeouts
    clock: IReactorTime
    queue: Callable[[], InThread]
    """Gives what makes the calls of one client that open and read files."""
    visitors: Visitors
    events: Events
    standing: StandingRoom
    draining: bool = False
    connections: set[ChatFileProtocol] = field(default_factory=set)
    leaving: set[ChatFileProtocol] = field(default_factory=set)
    """Those with a seat whose connection is being closed."""
    all_gone: Deferred[None] | None = None

    def stand(self, protocol: ChatFileProtocol, host: str) -> None:
        """It has no seat."""
        self.standing.enter(protocol, host)

    def sit(self, protocol: ChatFileProtocol) -> None:
        """It has a seat."""
        self.standing.leave(protocol)

    def clear(self) -> None:
        """Free the seats of those who have taken everything and are about to go; they need not be waited for."""
        for protocol in list(self.leaving):
            protocol.clear_seat()

    def forget(self, protocol: ChatFileProtocol) -> None:
        """Its connection is gone."""
        self.connections.discard(protocol)
        self.standing.leave(protocol)
        self.leaving.discard(protocol)
        if self.all_gone is not None and not self.connections:
            all_gone, self.all_gone = self.all_gone, None
            all_gone.callback(None)
