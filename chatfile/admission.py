"""The limit on clients, and the cache of those that are and were connected, in memory only."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from chatfile import errors


@dataclass(frozen=True, slots=True)
class ClientRecord:
    """An entry of the client cache; times in seconds since 1970, `disconnected` None while the client is connected."""

    name: str
    address: str
    connected: float
    disconnected: float | None
    files: int
    bytes: int


class Seat:
    """One of the limited number of places on the server: a client has it from its admission until `release`."""

    __slots__ = ("_admission", "_connected", "_disconnected", "_files", "_sent", "address", "host", "name")

    def __init__(self, admission: Admission, name: str, address: str, host: str, connected: float) -> None:
        self.name = name
        self.address = address
        self.host = host
        self._admission = admission
        self._connected = connected
        self._disconnected: float | None = None
        self._files = 0
        self._sent = 0

    def count_bytes(self, count: int) -> None:
        """Count `count` more bytes of a file that were sent."""
        self._sent += count

    def count_file(self) -> None:
        """Count one more file that was sent to its end."""
        self._files += 1

    def release(self) -> None:
        """Free the seat, when the client is gone; only the first call counts."""
        if self._disconnected is None:
            self._disconnected = max(self._admission.now(), self._connected)  # the wall clock can step back
            self._admission.left(self)

    def record(self) -> ClientRecord:
        """Return the client's entry in the cache as it is now."""
        return ClientRecord(self.name, self.address, self._connected, self._disconnected, self._files, self._sent)


class Admission:
    """Gives out at most `limit` seats at once and remembers all clients that have one and the latest that left."""

    def __init__(
        self, now: Callable[[], float], *, limit: int = 3, limit_per_address: int = 0, history: int = 1000
    ) -> None:
        """Begin without clients; `history` is how many of those that left are remembered.

        `now` tells the wall-clock time in seconds since 1970; a `limit_per_address` of 0 means no such limit.
        """
        self.now = now
        self.limit = limit
        self._limit_per_address = limit_per_address
        self._history = history
        self._admitted = 0
        self._seated: dict[str, Seat] = {}
        self._per_address: dict[str, int] = {}
        self._clients: dict[str, Seat | ClientRecord] = {}  # in the order of admission
        self._left: deque[str] = deque()  # in the order of leaving

    @property
    def taken(self) -> int:
        """Count the seats that are taken."""
        return len(self._seated)

    def admit(self, address: str, host: str) -> Seat:
        """Return a seat for the client at `address`, which counts for `host`.

        Raises `Full`; a client that is refused gets no name and leaves no trace.
        """
        if self.taken >= self.limit:
            raise errors.Full(limit=self.limit)
        from_host = self._per_address.get(host, 0)
        if self._limit_per_address and from_host >= self._limit_per_address:
            raise errors.Full.for_address(limit=self._limit_per_address)
        self._admitted += 1
        seat = Seat(self, f"Client{self._admitted:02d}", address, host, self.now())
        self._seated[seat.name] = self._clients[seat.name] = seat
        self._per_address[host] = from_host + 1
        return seat

    def left(self, seat: Seat) -> None:
        """Take `seat` back; for `Seat.release` alone."""
        del self._seated[seat.name]
        self._per_address[seat.host] -= 1
        if not self._per_address[seat.host]:
            del self._per_address[seat.host]
        self._clients[seat.name] = seat.record()
        self._left.append(seat.name)
        if len(self._left) > self._history:
            del self._clients[self._left.popleft()]

    def present(self) -> list[Seat | ClientRecord]:
        """Return the cache, in the order of admission: a seat for a client that is here, a record for one that left."""
        return list(self._clients.values())

    def records(self) -> list[ClientRecord]:
        """Return the cache as it is at this moment, in the order of admission."""
        return [known.record() if isinstance(known, Seat) else known for known in self._clients.values()]
