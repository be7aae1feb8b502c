"""What holds a connection's lines, and how far each side of it is."""

from __future__ import annotations

import enum


class PauseReason(enum.Enum):
    """Why no line is delivered, and soon nothing read; there can be several reasons at once."""

    BACKPRESSURE = "the peer has not taken what was written"
    BUSY = "a reply is under way"
    YIELD = "it is the others' turn"
    DISK = "what was read has not reached the disk"
    DETACHED = "somebody else reads the socket"


class Input(enum.Enum):
    """How far the peer's side of the connection is."""

    OPEN = "more can come"
    ENDED = "the peer has half-closed; lines may be waiting here"
    DONE = "every line that came has been delivered"


class Phase(enum.Enum):
    """How far our side of the connection is."""

    OPEN = "lines are delivered"
    FLUSHING = "closing: what was written goes out"
    LINGERING = "closing: all is out, the peer is given time to fetch it"
    ABORTED = "reset, and about to be lost"
    LOST = "there is no connection"
