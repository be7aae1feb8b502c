"""The open connections of a server, of which only two methods are known here, and the end of the last one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred, succeed


class OpenConnection(Protocol):
    """A connection, as `Connections` uses it."""

    def abort(self) -> None:
        """Reset it."""

    def release_seat(self) -> None:
        """Give the seat back if the peer has taken nearly everything; called while the connection is closing."""


C = TypeVar("C", bound=OpenConnection)


class Connections(Generic[C]):
    """Keeps all open connections, and those of them that have a seat and are closing."""

    def __init__(self) -> None:
        """Begin with none."""
        self._open: dict[C, None] = {}  # in the order of coming
        self._closing: dict[C, None] = {}
        self._drained: Deferred[None] | None = None

    def __len__(self) -> int:
        """Count the open connections."""
        return len(self._open)

    def __iter__(self) -> Iterator[C]:
        """Go through the connections that are open now; they may close meanwhile."""
        return iter(list(self._open))

    @property
    def is_draining(self) -> bool:
        """Tell whether the server is going down."""
        return self._drained is not None

    def add(self, connection: C) -> None:
        """Take in a new connection."""
        self._open[connection] = None

    def add_closing(self, connection: C) -> None:
        """Note that a connection which has a seat is being closed, and may not need the seat any more."""
        self._closing[connection] = None

    def discard_closing(self, connection: C) -> None:
        """Note that a connection has given its seat back."""
        self._closing.pop(connection, None)

    def reap_closing(self) -> bool:
        """Have every closing connection give its seat back if it does not need it any more; tell whether one did."""
        before = len(self._closing)
        for connection in list(self._closing):
            connection.release_seat()
        return len(self._closing) < before

    def discard(self, connection: C) -> None:
        """Forget a connection that is gone."""
        self._open.pop(connection, None)
        self._closing.pop(connection, None)
        if self._drained is not None and not self._open and not self._drained.called:
            self._drained.callback(None)

    def drain(self) -> Deferred[None]:
        """Return a Deferred that fires when the last connection is gone; call it once, when no more can come."""
        self._drained = Deferred() if self._open else succeed(None)
        return self._drained

    def abort(self) -> None:
        """Reset every connection that is left."""
        for connection in self:
            connection.abort()
