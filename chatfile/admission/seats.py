"""A client's seat, its entry in the client cache, and what every kind of admission offers a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ClientRecord:
    """An entry of the client cache; times in seconds since 1970, `disconnected` None while the client is connected."""

    name: str
    address: str
    connected: float
    disconnected: float | None
    files: int
    bytes: int


class SeatOwner(Protocol):
    """What gives out seats, as a seat knows it."""

    def now(self) -> float:
        """Return the wall-clock time in seconds since 1970."""

    def left(self, seat: Seat) -> None:
        """Take a seat back, once."""


class Seat:
    """One of the limited number of places on the server: a client has it from its admission until `release`."""

    __slots__ = ("_admission", "_connected", "_disconnected", "address", "bytes", "files", "host", "name")

    def __init__(self, admission: SeatOwner, name: str, address: str, host: str, connected: float) -> None:
        """Begin with nothing sent; `connected` is in seconds since 1970."""
        self.name = name
        self.address = address
        self.host = host
        self._admission = admission
        self._connected = connected
        self._disconnected: float | None = None
        self.files = 0
        """Files that were sent to their end."""
        self.bytes = 0
        """Bytes of files that were sent."""

    def count_bytes(self, count: int) -> None:
        """Count `count` more bytes of a file that were sent."""
        self.bytes += count

    def count_file(self) -> None:
        """Count one more file that was sent to its end."""
        self.files += 1

    @property
    def is_released(self) -> bool:
        """Tell whether it was given back."""
        return self._disconnected is not None

    def release(self) -> None:
        """Free the seat, when the client is gone; only the first call counts."""
        if not self.is_released:
            self._disconnected = max(self._admission.now(), self._connected)  # the wall clock can step back
            self._admission.left(self)

    def record(self) -> ClientRecord:
        """Return the client's entry in the cache as it is now."""
        return ClientRecord(self.name, self.address, self._connected, self._disconnected, self.files, self.bytes)


class Admission(Protocol):
    """Gives out a limited number of seats, and knows all clients that have one and the latest that left.

    A server asks nothing more of it, wherever the seats are counted.
    """

    @property
    def limit(self) -> int:
        """Return how many seats there are."""

    @property
    def taken(self) -> int:
        """Count the seats that clients of this server have."""

    async def admit(self, address: str, host: str) -> Seat:
        """Return a seat for the client at `address`, which counts for `host`. Raises `Full`, `Unavailable`."""

    async def present(self) -> list[Seat | ClientRecord]:
        """Return the client cache, in the order of admission: a seat for each client that is here, else a record.

        Raises `Unavailable`.
        """
