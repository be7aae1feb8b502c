"""The states of a connection, what leads from one to the next, and what pauses its lines.

    OPEN ---- the peer half-closes ----------------------> HALF_CLOSED
     | |                                                        |
     | +----- we close, and can't half-close ----------+        | all is delivered: we close
     |                                                 v        v
     | we close                                      DISCONNECTING
     v                                                 ^        ^
    FLUSHING ---- the peer half-closes ----------------+        | that, or the peer has it all
     |                                                          |
     +---- all is with the system ----------------------> LINGERING

From each of them a reset leads to ABORTED, and the loss of the connection, last of all, to CLOSED.
"""

from __future__ import annotations

import enum


class ConnectionState(enum.Enum):
    """The states of a connection."""

    OPEN = "both sides can talk; lines are delivered"
    HALF_CLOSED = "the peer has half-closed; what came before that is delivered, and then it is closed"
    FLUSHING = "closing: what was written goes out, our end behind it; what still comes is dropped"
    LINGERING = "closing: our end is out, and the peer is given time to fetch it all"
    DISCONNECTING = "closing: the connection is gone as soon as what was written is out"
    ABORTED = "reset, and about to be lost"
    CLOSED = "there is no connection"


class ConnectionEvent(enum.Enum):
    """The events that change the state of a connection."""

    PEER_CLOSED = "the peer has half-closed"
    HALF_CLOSE = "we close, our own side first"
    DISCONNECT = "we close both sides"
    FLUSHED = "everything written is with the system, and our end behind it"
    ABORT = "we reset the connection"
    LOST = "the connection is gone"


_S, _E = ConnectionState, ConnectionEvent
TRANSITIONS: dict[ConnectionState, dict[ConnectionEvent, ConnectionState]] = {
    _S.OPEN: {
        _E.PEER_CLOSED: _S.HALF_CLOSED,
        _E.HALF_CLOSE: _S.FLUSHING,
        _E.DISCONNECT: _S.DISCONNECTING,
        _E.ABORT: _S.ABORTED,
        _E.LOST: _S.CLOSED,
    },
    _S.HALF_CLOSED: {_E.DISCONNECT: _S.DISCONNECTING, _E.ABORT: _S.ABORTED, _E.LOST: _S.CLOSED},
    _S.FLUSHING: {
        _E.PEER_CLOSED: _S.DISCONNECTING,
        _E.FLUSHED: _S.LINGERING,
        _E.ABORT: _S.ABORTED,
        _E.LOST: _S.CLOSED,
    },
    _S.LINGERING: {
        _E.PEER_CLOSED: _S.DISCONNECTING,
        _E.DISCONNECT: _S.DISCONNECTING,
        _E.ABORT: _S.ABORTED,
        _E.LOST: _S.CLOSED,
    },
    _S.DISCONNECTING: {_E.PEER_CLOSED: _S.DISCONNECTING, _E.ABORT: _S.ABORTED, _E.LOST: _S.CLOSED},
    _S.ABORTED: {_E.LOST: _S.CLOSED},
    _S.CLOSED: {_E.LOST: _S.CLOSED},
}
"""For each state the legal events, and the state that follows each; any other event is a fault of this program."""
RECEIVING = (_S.OPEN, _S.HALF_CLOSED)
"""The states in which lines are delivered."""


class IllegalEvent(Exception):
    """Raised for an event that is not legal in the present state: a fault of this program, or of the transport."""


def next_state(state: ConnectionState, event: ConnectionEvent) -> ConnectionState:
    """Return the state that follows `state` after `event`. Raises `IllegalEvent`."""
    if event not in TRANSITIONS[state]:
        raise IllegalEvent(f"{event.name} in {state.name}")
    return TRANSITIONS[state][event]


class PauseReason(enum.Enum):
    """The reasons why no line is delivered, and soon nothing read; there can be several at once."""

    BACKPRESSURE = "the peer has not taken what was written"
    BUSY = "a response is under way"
    YIELD = "other connections have their turn"
    QUEUED = "the peer waits to be let in"
    DISK = "what was read has not reached the disk"
    DETACHED = "something else reads the socket"
    RATE = "what was read came too early for the rate that is to be kept to"

    __hash__ = object.__hash__  # Enum's own is a call in Python, for each look at what pauses a line
