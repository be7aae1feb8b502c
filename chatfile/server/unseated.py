"""Connections without a seat: how many are kept, and which of them is evicted when one more comes."""

from __future__ import annotations

import enum
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

MAX_UNSEATED = 64
"""Connections without a seat that are kept at once, unless that is asked for otherwise."""


class EvictionRank(enum.IntEnum):
    """What a connection without a seat has to lose; the one with the least is evicted first."""

    NOTHING = 0
    """It was refused or served, and has all that was said to it."""
    SILENT = 1
    """Its TLS handshake has not begun: nothing has come of it."""
    BEGINNING = 2
    """Something has come that is no beginning yet, or was not read."""
    REFUSED = 3
    """It was told that it is refused, and may not have heard it yet."""
    HANDSHAKING = 4
    """It is in the midst of its TLS handshake."""


class UnseatedConnection(Protocol):
    """A connection without a seat."""

    def eviction_rank(self) -> EvictionRank:
        """Tell what it has to lose."""

    def abort(self) -> None:
        """Reset it."""


Choose = Callable[[Sequence[UnseatedConnection]], UnseatedConnection]


class UnseatedConnections:
    """A bounded number of connections without a seat: each has a descriptor, of which all others need some too."""

    NOT_JUDGED = 4
    """One part in so many, those that have just come, are not judged yet: what they have to say is on its way."""

    def __init__(self, limit: int = MAX_UNSEATED, choose: Choose = random.choice) -> None:
        """Keep at most `limit`; `choose` takes one of many that have the same rank, by chance."""
        self._limit = limit
        self._choose = choose
        self._hosts: dict[UnseatedConnection, str] = {}  # in the order in which they came to have no seat
        self._released: dict[UnseatedConnection, None] = {}  # likewise

    def add(self, connection: UnseatedConnection, host: str) -> None:
        """Keep a connection from `host` that has no seat, and evict one where there are too many."""
        self._hosts.setdefault(connection, host)
        self._make_room()

    def add_released(self, connection: UnseatedConnection) -> bool:
        """Keep a connection that was served until its peer has the last byte; False where there is no room for that.

        These have half of the room: neither does a flood of new ones take from them what is theirs, nor can they keep
        all others out. Among themselves, only one that has everything makes way.
        """
        if len(self._released) >= self._limit // 2:
            done = next((each for each in self._released if each.eviction_rank() is EvictionRank.NOTHING), None)
            if done is None:
                return False
            self._evict(done)
        self._released[connection] = None
        self._make_room()
        return True

    def discard(self, connection: UnseatedConnection) -> None:
        """Forget a connection that has a seat now, or is gone."""
        self._hosts.pop(connection, None)
        self._released.pop(connection, None)

    def _make_room(self) -> None:
        if len(self._hosts) + len(self._released) > self._limit:
            self._evict(self._next_to_evict())

    def _evict(self, connection: UnseatedConnection) -> None:
        self.discard(connection)
        connection.abort()

    def _next_to_evict(self) -> UnseatedConnection:
        """Take one of the host that has most here, so that no host can push out another, with the least to lose.

        Of those in the midst of a handshake any may have to go: if it were always the first, a flood of them would
        never let in one that is slower than it.
        """
        count = Counter(self._hosts.values())
        most = max(count.values())
        some = [each for each, host in self._hosts.items() if count[host] == most]
        ranks = {each: each.eviction_rank() for each in some[: len(some) - len(some) // self.NOT_JUDGED]}
        least = min(ranks.values())
        some = [each for each, rank in ranks.items() if rank is least]
        return self._choose(some) if least is EvictionRank.HANDSHAKING else some[0]
