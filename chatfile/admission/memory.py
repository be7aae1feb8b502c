"""The limit on clients, the line of those that wait, and the client cache, in memory."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

from chatfile import errors
from chatfile.admission.seats import ClientRecord, Seat


class Place:
    """A place in the waiting line: a client has it until it is given a seat for it, or until `release`."""

    __slots__ = ("_admission", "address", "host")

    def __init__(self, admission: MemoryAdmission, address: str, host: str) -> None:
        self.address = address
        self.host = host
        self._admission = admission

    @property
    def position(self) -> int:
        """Return how many places there are up to this one: 1 is the first; 0 once it was given back."""
        return next((number for number, place in enumerate(self._admission.line(), 1) if place is self), 0)

    def claim(self) -> Seat:
        """Give the place back for a seat. Raises `Full` unless it is `MemoryAdmission.next_in_line`."""
        return self._admission.seat_from(self)

    def release(self) -> None:
        """Give the place back, when the client is gone; only the first call counts."""
        self._admission.left_line(self)


class MemoryAdmission:
    """Gives out at most `limit` seats at once and remembers all clients that have one and the latest that left.

    Where none is free, at most `places` clients wait for one in a line. A seat goes to the first of them that may have
    one: a client whose address has all its seats is passed over until one of those is free.
    """

    def __init__(
        self,
        now: Callable[[], float],
        *,
        limit: int = 3,
        limit_per_address: int = 0,
        places: int = 0,
        history: int = 1000,
    ) -> None:
        """Begin without clients; `history` is how many of those that left are remembered.

        `now` tells the wall-clock time in seconds since 1970; a `limit_per_address` of 0 means no such limit on seats,
        and a single place in the line.
        """
        self.now = now
        self.limit = limit
        self.places = places
        self._limit_per_address = limit_per_address
        self._history = history
        self._admitted = 0
        self._seated: dict[str, Seat] = {}
        self._per_address: Counter[str] = Counter()  # without zeros, as the next one
        self._waiting_per_address: Counter[str] = Counter()
        self._line: dict[Place, None] = {}  # in the order of coming
        self._clients: dict[str, Seat | ClientRecord] = {}  # in the order of admission
        self._left: deque[str] = deque()  # in the order of leaving

    @property
    def taken(self) -> int:
        """Count the seats that are taken."""
        return len(self._seated)

    async def admit(self, address: str, host: str) -> Seat:
        """Return a seat for the client at `address`, which counts for `host`.

        Raises `Full`, also where the seat that is free is due to a client that waits; a client that is refused gets no
        name and leaves no trace.
        """
        if self.taken >= self.limit:
            raise errors.Full(limit=self.limit)
        if not self._may_sit(host):
            raise errors.Full.for_address(limit=self._limit_per_address)
        if self.next_in_line() is not None:
            raise errors.Full(limit=self.limit)
        return self._seat(address, host)

    def _may_sit(self, host: str) -> bool:
        return not self._limit_per_address or self._per_address[host] < self._limit_per_address

    def _seat(self, address: str, host: str) -> Seat:
        self._admitted += 1
        seat = Seat(self, f"Client{self._admitted:02d}", address, host, self.now())
        self._seated[seat.name] = self._clients[seat.name] = seat
        self._per_address[host] += 1
        return seat

    def left(self, seat: Seat) -> None:
        """Take `seat` back; for `Seat.release` alone."""
        del self._seated[seat.name]
        _count_down(self._per_address, seat.host)
        self._clients[seat.name] = seat.record()
        self._left.append(seat.name)
        if len(self._left) > self._history:
            del self._clients[self._left.popleft()]

    # --- the waiting line ---

    def queue(self, address: str, host: str) -> Place:
        """Return the last place of the line for the client at `address`, which counts for `host`. Raises `Full`."""
        self.check_place(host)
        place = Place(self, address, host)
        self._line[place] = None
        self._waiting_per_address[host] += 1
        return place

    def check_place(self, host: str) -> None:
        """Raise `Full` if no place is free, or none for `host`."""
        if len(self._line) >= self.places:
            raise errors.Full.in_line(limit=self.places)
        most = self._limit_per_address or 1
        if self._waiting_per_address[host] >= most:
            raise errors.Full.in_line_for_address(limit=most)

    def line(self) -> list[Place]:
        """Return the places that clients have, in their order."""
        return list(self._line)

    def next_in_line(self) -> Place | None:
        """Return the first place for which there is a seat now, if there is one."""
        if self.taken >= self.limit:
            return None
        return next((place for place in self._line if self._may_sit(place.host)), None)

    def seat_from(self, place: Place) -> Seat:
        """Take `place` back, and return a seat for it; for `Place.claim` alone. Raises `Full`."""
        if self.next_in_line() is not place:
            raise errors.Full(limit=self.limit)
        self.left_line(place)
        return self._seat(place.address, place.host)

    def left_line(self, place: Place) -> None:
        """Take `place` back, unless that is done; for `Place` alone."""
        if place in self._line:
            del self._line[place]
            _count_down(self._waiting_per_address, place.host)

    # --- the client cache ---

    async def present(self) -> list[Seat | ClientRecord]:
        """Return the cache, in the order of admission: a seat for a client that is here, a record for one that left."""
        return list(self._clients.values())

    def records(self) -> list[ClientRecord]:
        """Return the cache as it is at this moment, in the order of admission."""
        return [known.record() if isinstance(known, Seat) else known for known in self._clients.values()]


def _count_down(counts: Counter[str], host: str) -> None:
    """Count one less for `host`, and forget it at none: there are more hosts than anybody can keep."""
    counts[host] -= 1
    if not counts[host]:
        del counts[host]
