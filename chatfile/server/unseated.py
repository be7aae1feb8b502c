"""Connections without a seat: how many are kept, and which of them is evicted when one more comes."""

from __future__ import annotations

import enum
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

MAX_UNSEATED = 64
"""Connections without a seat that are kept at once by default."""


class EvictionRank(enum.IntEnum):
    """The order in which connections without a seat are evicted: those of the lowest rank have the least to lose."""

    NOTHING = 0
    """It was refused or served, and its peer has all that was sent to it."""
    SILENT = 1
    """Its TLS handshake has not begun: nothing has come."""
    BEGINNING = 2
    """Some bytes have come, but no whole ClientHello, or they were not read yet."""
    REFUSED = 3
    """It was refused, and the ERROR line may not have arrived yet, or it may still ask for a place in the line."""
    HANDSHAKING = 4
    """Its TLS handshake is under way."""
    ASKING = 5
    """It is about to be let in, or refused."""


class UnseatedConnection(Protocol):
    """A connection without a seat, as `UnseatedConnections` uses it."""

    def eviction_rank(self) -> EvictionRank:
        """Return its rank as it is now."""

    def abort(self) -> None:
        """Reset it."""


Choose = Callable[[Sequence[UnseatedConnection]], UnseatedConnection]


class UnseatedConnections:
    """Keeps a bounded number of connections without a seat, for each has a descriptor, of which there are not many."""

    NOT_JUDGED = 4
    """The newest quarter is not evicted: the first bytes of these connections may still be on their way."""

    def __init__(self, limit: int = MAX_UNSEATED, choose: Choose = random.choice) -> None:
        """Keep at most `limit` connections; `choose` picks one by chance from several that may be evicted."""
        self._limit = limit
        self._choose = choose
        self._hosts: dict[UnseatedConnection, str] = {}  # in the order in which they came to have no seat
        self._released: dict[UnseatedConnection, None] = {}  # likewise

    def add(self, connection: UnseatedConnection, host: str) -> None:
        """Keep a connection from `host`, and evict one if there are too many now."""
        self._hosts.setdefault(connection, host)
        self._make_room()

    def add_released(self, connection: UnseatedConnection) -> bool:
        """Keep a connection that was served until its peer has the last byte; return False if there is no room for it.

        Such connections have half of the room, so that a flood of new ones can't evict them, nor can they keep all new
        ones out. One of them is evicted for another only if its peer has everything.
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
        """Return one of the lowest rank from the host that has most here, so that no host can evict those of another.

        Among those that have most to lose it is one by chance: if it were always the oldest, a flood of new ones would
        evict each client whose handshake is slower than theirs.
        """
        count = Counter(self._hosts.values())
        most = max(count.values())
        some = [each for each, host in self._hosts.items() if count[host] == most]
        ranks = {each: each.eviction_rank() for each in some[: len(some) - len(some) // self.NOT_JUDGED]}
        least = min(ranks.values())
        some = [each for each, rank in ranks.items() if rank is least]
        return self._choose(some) if least >= EvictionRank.HANDSHAKING else some[0]
