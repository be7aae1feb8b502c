"""Connections without a seat: how many are kept, and which of them has to go when one more comes."""

from __future__ import annotations

import enum
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol


class Claim(enum.IntEnum):
    """What a connection without a seat has to lose; who has the least goes first."""

    NOTHING = 0
    """It was refused or served, and has all that was said to it."""
    SILENT = 1
    """Its TLS handshake has not begun: nothing has come of it."""
    BEGINNING = 2
    """Something has come that is no beginning yet, or was not read."""
    REFUSED = 3
    """It was told so, and may not have heard it yet."""
    SHAKING_HANDS = 4
    """It is in the midst of its TLS handshake."""


class Standing(Protocol):
    """A connection without a seat."""

    def claim(self) -> Claim:
        """What it has to lose."""

    def abort(self) -> None:
        """Reset it."""


class StandingRoom:
    """At most `room` connections without a seat. Each has a descriptor, of which everyone else needs some too."""

    NOT_JUDGED = 4
    """One part in so many, those who have just come, are not judged yet: what they have to say is on its way."""

    def __init__(self, room: int, choose: Callable[[Sequence[Standing]], Standing] = random.choice) -> None:
        """`choose` takes one of many that have the same claim, by chance."""
        self._room = room
        self._choose = choose
        self._hosts: dict[Standing, str] = {}  # in the order in which they came to have no seat
        self._served: dict[Standing, None] = {}  # likewise

    def enter(self, who: Standing, host: str) -> None:
        """It has no seat; where too many stand, one of them has to go."""
        self._hosts.setdefault(who, host)
        self._make_room()

    def keeps(self, who: Standing) -> bool:
        """Let `who`, that was served, stand here until it has the last of it; False where there is no room for that.

        Those who were served have half of the room: neither does a flood at the door take from them what is theirs, nor
        can they keep everyone else out. Among themselves, only one who has everything makes way.
        """
        if len(self._served) >= self._room // 2:
            one = next((one for one in self._served if one.claim() is Claim.NOTHING), None)
            if one is None:
                return False
            self._turn_out(one)
        self._served[who] = None
        self._make_room()
        return True

    def leave(self, who: Standing) -> None:
        """It has a seat now, or its connection is gone."""
        self._hosts.pop(who, None)
        self._served.pop(who, None)

    def _make_room(self) -> None:
        if len(self._hosts) + len(self._served) > self._room:
            self._turn_out(self._one_who_has_to_go())

    def _turn_out(self, who: Standing) -> None:
        self.leave(who)
        who.abort()

    def _one_who_has_to_go(self) -> Standing:
        """Take one of the host that has most here, so that no host can push out another, with the least to lose.

        Of those in the midst of a handshake any may have to go: if it were always the first, a flood of them would
        never let in who is slower than it.
        """
        count = Counter(self._hosts.values())
        most = max(count.values())
        some = [who for who, host in self._hosts.items() if count[host] == most]
        claims = {who: who.claim() for who in some[: len(some) - len(some) // self.NOT_JUDGED]}
        least = min(claims.values())
        some = [who for who, claim in claims.items() if claim is least]
        return self._choose(some) if least is Claim.SHAKING_HANDS else some[0]
