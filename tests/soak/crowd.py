"""All actors at once, each again and again, until the time is over."""

from __future__ import annotations

import time
import traceback
from collections.abc import Awaitable
from dataclasses import dataclass
from random import Random

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from tests.soak.good import GoodTurn
from tests.soak.stage import NoSeat, RawTurn, Stage

PATIENCE = 60.0
"""Seconds beyond the end within which everyone must have had a turn."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Takes a turn, rests for about `pause` seconds, and so on; whole turns are counted as `counts`."""

    name: str
    turn: GoodTurn
    pause: float
    counts: str


def in_thread(turn: RawTurn) -> GoodTurn:
    """An actor that blocks, as one that does not."""

    def call(stage: Stage, rng: Random) -> Awaitable[None]:
        return deferToThread(turn, stage, rng)

    return call


class Crowd:
    """The actors of one run, and when they go home."""

    def __init__(self, clock: IReactorTime, stage: Stage, seconds: float, seed: str) -> None:
        self._clock = clock
        self._stage = stage
        self._seed = seed
        self._ends = time.monotonic() + seconds

    def perform(self, actors: list[Actor]) -> Deferred[list[None]]:
        """Let them all act; the result comes when the last one has gone."""
        rngs = [Random(f"{self._seed} {number}") for number in range(len(actors))]
        return gatherResults([Deferred.fromCoroutine(self._act(*each)) for each in zip(actors, rngs, strict=True)])

    async def _act(self, actor: Actor, rng: Random) -> None:
        turns = 0
        while self._goes_on(actor, turns):
            turns += await self._turn(actor, rng)
            await deferLater(self._clock, min(self._rest(), actor.pause * rng.uniform(0.5, 1.5)))

    def _rest(self) -> float:
        """Seconds until the end, or, behind it, a moment."""
        return max(self._ends - time.monotonic(), 0.1)

    def _goes_on(self, actor: Actor, turns: int) -> bool:
        over = time.monotonic() - self._ends
        if turns or self._stage.tally.is_hopeless:
            return over < 0 and not self._stage.tally.is_hopeless
        if over > PATIENCE:
            self._stage.tally.wrong(f"{actor.name} never got a seat")
        return over <= PATIENCE

    async def _turn(self, actor: Actor, rng: Random) -> bool:
        """Whether the turn was had, well or badly; where there is no seat, there is none."""
        try:
            await actor.turn(self._stage, rng)
        except NoSeat:
            return False
        except Exception as error:  # whatever a turn may raise is what was to be found
            where = traceback.extract_tb(error.__traceback__)[-1]
            self._stage.tally.wrong(f"{actor.name}: {type(error).__name__}: {error} ({where.name}:{where.lineno})")
        else:
            self._stage.tally.count(actor.counts)
        return True
