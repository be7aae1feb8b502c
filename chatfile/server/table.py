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
from chatfile.server.listings import Listings
from chatfile.server.refusals import RefusalLog

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
    refusals: RefusalLog
    standing_room: int
    """Connections without a seat that are kept at once: those refused that take their time to go, and those whose TLS
    handshake is under way. Each has a descriptor, of which everyone else needs some too."""
    draining: bool = False
    connections: set[ChatFileProtocol] = field(default_factory=set)
    standing: dict[ChatFileProtocol, None] = field(default_factory=dict)
    """Those without a seat, in the order in which they came to be."""
    leaving: set[ChatFileProtocol] = field(default_factory=set)
    """Those with a seat whose connection is being closed."""
    all_gone: Deferred[None] | None = None

    def stand(self, protocol: ChatFileProtocol) -> None:
        """It has no seat, or none any more; where too many stand, the first of them has to go."""
        self.leaving.discard(protocol)
        self.standing[protocol] = None
        if len(self.standing) > self.standing_room:
            first = next(iter(self.standing))
            del self.standing[first]
            first.abort()

    def sit(self, protocol: ChatFileProtocol) -> None:
        """It has a seat."""
        self.standing.pop(protocol, None)

    def clear(self) -> None:
        """Free the seats of those who have taken everything and are about to go; they need not be waited for."""
        for protocol in list(self.leaving):
            protocol.clear_seat()

    def forget(self, protocol: ChatFileProtocol) -> None:
        """Its connection is gone."""
        self.connections.discard(protocol)
        self.standing.pop(protocol, None)
        self.leaving.discard(protocol)
        if self.all_gone is not None and not self.connections:
            all_gone, self.all_gone = self.all_gone, None
            all_gone.callback(None)
