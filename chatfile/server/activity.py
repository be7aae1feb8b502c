"""What a server does at a moment, and what has happened to its clients since its start, in numbers."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field

from chatfile.admission import Seat

OTHER = "other"
REFUSALS_COUNTED = {
    "full": "no seat was free",
    "shutdown": "the server was going down",
    "unavailable": "the seats could not be counted",
    "tls": "no TLS handshake",
    OTHER: "other",
}
"""What a refusal is counted as (the code of an error on the wire, or another word), and how people are told of it."""


class LeaveReason(enum.Enum):
    """Why a client that had a seat left; the value is how the log tells it."""

    EXIT = "exit"
    CLOSED = "closed"
    LOST = "connection lost"
    RESET = "reset"
    IDLE = "idle"
    UNFINISHED_LINE = "unfinished line"
    STALLED = "stalled"
    SHUTDOWN = "shutdown"
    DESCRIPTORS = "it passed descriptors"


@dataclass(slots=True)
class ClientTotals:
    """What has happened to clients since the start. A file that is sent costs nothing here: its client counts it."""

    seats: dict[Seat, None] = field(default_factory=dict)
    """Those that clients of this server have now, in the order of admission."""
    admitted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """By the words of `REFUSALS_COUNTED`."""
    left: Counter[LeaveReason] = field(default_factory=Counter)
    cut: int = 0
    """Transfers that were reset for a reason of the server's, such as a file that got shorter."""
    faults: int = 0
    """Faults of the server's own."""
    files_of_those_who_left: int = 0
    bytes_of_those_who_left: int = 0

    def admit(self, seat: Seat) -> None:
        """Count a client that has `seat` from now on."""
        self.seats[seat] = None
        self.admitted += 1

    def refuse(self, code: str) -> None:
        """Count a client that was refused."""
        self.refused[code if code in REFUSALS_COUNTED else OTHER] += 1

    def leave(self, seat: Seat, reason: LeaveReason) -> None:
        """Count a client that gave `seat` back, and what it was sent."""
        self.seats.pop(seat, None)
        self.left[reason] += 1
        self.files_of_those_who_left += seat.files
        self.bytes_of_those_who_left += seat.bytes


@dataclass(frozen=True, slots=True)
class Activity:
    """What a server does at a moment, and has done since its start; of this server alone, if there are several."""

    seated: int
    """Clients that have a seat."""
    unseated: int
    """Open connections that have neither a seat nor a place in the waiting line."""
    waiting: int
    """Clients that have a place in the waiting line."""
    transfers: int
    """Files that are being sent."""
    admitted: int
    refused: dict[str, int]
    """By the words of `REFUSALS_COUNTED`, all of them."""
    left: dict[LeaveReason, int]
    """By all reasons."""
    sent_files: int
    """Files that were sent to their end."""
    sent_bytes: int
    """Bytes of files, with those of transfers under way."""
    cut: int
    """Transfers that were reset for a reason of the server's."""
    faults: int
    """Faults of the server's own."""


def sum_up_activity(totals: ClientTotals, *, connections: int, waiting: int, transfers: int) -> Activity:
    """Return what `totals` say at this moment; `connections` counts all that are open, whoever has them."""
    seats = totals.seats
    return Activity(
        seated=len(seats),
        unseated=connections - waiting - len(seats),
        waiting=waiting,
        transfers=transfers,
        admitted=totals.admitted,
        refused={code: totals.refused[code] for code in REFUSALS_COUNTED},
        left={reason: totals.left[reason] for reason in LeaveReason},
        sent_files=totals.files_of_those_who_left + sum(seat.files for seat in seats),
        sent_bytes=totals.bytes_of_those_who_left + sum(seat.bytes for seat in seats),
        cut=totals.cut,
        faults=totals.faults,
    )
