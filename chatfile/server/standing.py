"""Connections without a seat: how many are kept, and which of them has to go when one more comes."""

from __future__ import annotations

import enum
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol


class Claim(enum.IntEnum):
    """What a connection without a seat has to lose; who has the least goes first."""

    REFUSED = 0
    """It was told so, and takes its time to go."""
    SILENT = 1
    """Its TLS handshake has not begun."""
    SHAKING_HANDS = 2
    """It is in the midst of it."""
    SERVED = 3
    """It was served, and may not have the last of its replies yet."""


class Standing(Protocol):
    """A connection without a seat."""

    def claim(self) -> Claim:
        """What it has to lose."""

    def abort(self) -> None:
        """Reset it."""


class StandingRoom:
    """At most `room` connections without a seat. Each has a descriptor, of which everyone else needs some too."""

    def __init__(self, room: int, choose: Callable[[Sequence[Standing]], Standing] = random.choice) -> None:
        """`choose` takes one of many that have the same claim, by chance."""
        self._room = room
        self._choose = choose
        self._hosts: dict[Standing, str] = {}  # in the order in which they came to have no seat

    def enter(self, who: Standing, host: str) -> None:
        """It has no seat, or none any more; where too many stand, one of them has to go."""
        self._hosts[who] = host
        if len(self._hosts) > self._room:
            one = self._one_who_has_to_go()
            del self._hosts[one]
            one.abort()

    def leave(self, who: Standing) -> None:
        """It has a seat now, or its connection is gone."""
        self._hosts.pop(who, None)

    def _one_who_has_to_go(self) -> Standing:
        """Take one of the host that has most here, so that no host can push out another, with the least to lose.

        Those who were served count by themselves, and are safe up to half of the room: neither does a flood at the
        door take from them what is theirs, nor can they keep everyone else out. Of those in the midst of a handshake
        any may have to go: if it were always the first, a flood of them would never let in who is slower than it.
        """
        claims = {who: who.claim() for who in self._hosts}
        served = [who for who, claim in claims.items() if claim is Claim.SERVED]
        some = served if len(served) > self._room // 2 else [who for who in claims if claims[who] is not Claim.SERVED]
        count = Counter(self._hosts[who] for who in some)
        most = max(count.values())
        some = [who for who in some if count[self._hosts[who]] == most]
        least = min(claims[who] for who in some)
        some = [who for who in some if claims[who] is least]
        return self._choose(some) if least is Claim.SHAKING_HANDS else some[0]
