"""Admission by many nodes together: seats, names and the client cache are counted at the engine."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatfile import errors
from chatfile.admission import ClientRecord, Seat
from chatfile.cluster import scripts
from chatfile.cluster.answers import AnswerHistogram
from chatfile.cluster.engine import Ask, Engine, EngineAway
from chatfile.cluster.pages import Pages, name_of
from chatfile.timeouts import Timer

RESTORED = 200
"""Clients that are told in one call when the engine has lost them: it answers nobody else meanwhile."""
COUNTED = 1000
"""The same of counts, of which each call tells those that have changed."""
BEATS = 3
"""Calls in the time of a lease: it holds although two of them are lost."""
_SEAT = re.compile(r"seat ([0-9]{1,15}) ([0-9]{1,15})")
_NEXT = re.compile(r"next ([0-9]{1,15})")
_JOINED = re.compile(r"joined(?: [0-9]{1,15})*")
_NONSENSE = "it answers what no script of this cluster says"


class SharedAdmission:
    """Gives out seats that are counted together with those of other nodes, as long as the engine answers.

    This node knows its own clients, and tells the engine of them whenever it joins; all else is only there.
    """

    log = Logger()

    def __init__(
        self,
        engine: Engine,
        clock: IReactorTime,
        now: Callable[[], float],
        *,
        lease: float,
        limit: int,
        limit_per_address: int,
        capacity: int,
    ) -> None:
        """Begin without clients; `lease` is in seconds, `now` tells the wall-clock time in seconds since 1970.

        A `limit_per_address` of 0 means no such limit. `capacity` is how many clients this node can have.
        """
        self.engine = engine
        self.answers = AnswerHistogram()
        """The times of its answers to admissions."""
        self._clock = clock
        self.now = now
        self.limit = limit
        self._limit_per_address = limit_per_address
        self._capacity = capacity
        self._interval = lease / BEATS
        self._pages = Pages(engine)
        self._beat = Timer(clock, self._renew)
        self._seats: dict[int, Seat] = {}
        self._highest = 0
        self._asking = 0  # admissions that are not answered yet
        self._released: dict[int, Seat] = {}  # which the engine has not been told yet
        self._releasing: Deferred[None] | None = None  # it is being told of others, and then of these
        self._told: dict[int, tuple[int, int]] = {}  # files and bytes of each client that the engine knows

    @property
    def taken(self) -> int:
        """Count the seats that clients of this node have."""
        return len(self._seats)

    # --- clients come and go ---

    async def admit(self, address: str, host: str) -> Seat:
        """Return a seat for the client at `address`, which counts for `host`. Raises `Full`, `Unavailable`."""
        # Unless it is short of descriptors, only the engine knows: of those that are asked for, it may refuse some.
        if self._capacity < self.limit and len(self._seats) + self._asking >= self._capacity:
            raise errors.Full.here(limit=self._capacity)
        self._asking += 1
        began = self._clock.seconds()
        try:
            answer = await self.engine.ask(scripts.ADMIT, self.limit, self._limit_per_address, host, address)
        except EngineAway:
            raise errors.Unavailable.seats() from None
        finally:
            self._asking -= 1
        self.answers.count(self._clock.seconds() - began)
        if answer == "full":
            raise errors.Full(limit=self.limit)
        if answer == "address":
            raise errors.Full.for_address(limit=self._limit_per_address)
        given = _SEAT.fullmatch(answer)
        if given is None or int(given[1]) <= self._highest:
            if answer != "wait":
                self.engine.reject(_NONSENSE)
            raise errors.Unavailable.seats()
        return self._seat(int(given[1]), address, host, float(given[2]))

    def _seat(self, number: int, address: str, host: str, connected: float) -> Seat:
        seat = self._seats[number] = Seat(self, name_of(number), address, host, connected)
        self._highest = number
        return seat

    def left(self, seat: Seat) -> None:
        """Take `seat` back; for `Seat.release` alone."""
        number = _number(seat)
        del self._seats[number]
        self._told.pop(number, None)
        self._released[number] = seat
        if self.engine.is_joined and self._releasing is None:
            self._releasing = self._run(self._release(self.engine.ask))
            self._releasing.addCallback(self._all_released)

    def _all_released(self, _: None) -> None:
        self._releasing = None

    async def _release(self, ask: Ask) -> None:
        """Tell the engine of the clients that have left, and in one call of all that leave meanwhile."""
        while self._released:
            some, self._released = self._released, {}
            await ask(scripts.RELEASE, *(each for number, seat in some.items() for each in (number, *_counts(seat))))

    async def present(self) -> list[Seat | ClientRecord]:
        """Return the client cache of all nodes, in the order of admission; of this node's clients, as it is now.

        Raises `Unavailable`.
        """
        own = dict(self._seats)  # of those that come meanwhile, some have the seat of one that is still shown
        try:
            shared = await self._pages.ask()
        except EngineAway:
            raise errors.Unavailable.clients() from None
        known: dict[int, Seat | ClientRecord] = {**shared, **own}
        return [known[number] for number in sorted(known)]

    # --- this node and the engine ---

    def start(self) -> None:
        """Connect to the engine, and keep the lease."""
        self.engine.start(self._join)
        self._beat.restart(self._interval)

    async def stop(self) -> None:
        """Free all seats, and disconnect."""
        self._beat.stop()
        try:
            while await self.engine.ask(scripts.LEAVE) == "more":
                pass
        except EngineAway:
            pass  # the lease ends by itself
        await self.engine.stop()

    async def _join(self, ask: Ask) -> None:
        """Tell who is inside, and have the engine forget all else of this node. Raises `EngineAway`."""
        self._released.clear()
        self._told.clear()
        answer = await ask(scripts.JOIN, self._highest, *self._seats)
        if not _JOINED.fullmatch(answer):
            raise EngineAway(_NONSENSE)
        for numbers in _chunks([int(each) for each in answer.split()[1:]], RESTORED):
            some = [self._seats[number] for number in numbers if number in self._seats]
            await ask(scripts.RESTORE, *(each for seat in some for each in _whole(seat)))
        await self._release(ask)  # of those that have left meanwhile

    def _renew(self) -> None:
        self._beat.restart(self._interval)
        if self.engine.is_joined:
            self._run(self._send_beat())

    async def _send_beat(self) -> None:
        """Renew the lease, and tell what was sent since the last time."""
        changed = [number for number, seat in self._seats.items() if self._told.get(number) != _counts(seat)]
        for numbers in _chunks(changed, COUNTED) or [[]]:
            some = {number: _counts(self._seats[number]) for number in numbers if number in self._seats}
            self._told.update(some)
            counts = (each for number, sent in some.items() for each in (number, *sent))
            others = self._asking + len(self._released)  # which may have a seat there, or have one still
            self._heard(await self.engine.ask(scripts.BEAT, self._highest, len(self._seats), others, *counts))

    def _heard(self, answer: str) -> None:
        if (given := _NEXT.fullmatch(answer)) is None:
            self.engine.reject("it has lost clients of this node" if answer == "join" else _NONSENSE)
            raise EngineAway
        self._highest = max(self._highest, int(given[1]))

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> Deferred[None]:
        """Run something that is told anew at the next join, if the engine does not hear of it."""
        return Deferred.fromCoroutine(coroutine).addErrback(self._not_told)

    def _not_told(self, failure: Failure) -> None:
        if failure.check(EngineAway) is None:
            self.log.failure("Telling the engine of clients", failure, event="engine")


class ClusterService(Service):
    """Has a node join its cluster, and leave it at the end."""

    def __init__(self, admission: SharedAdmission) -> None:
        """Join, once started, with the clients of `admission`."""
        self.admission = admission

    def startService(self) -> None:
        """Connect to the engine, and stay connected."""
        super().startService()  # type: ignore[no-untyped-call]
        self.admission.start()

    def stopService(self) -> Deferred[None]:
        """Leave the cluster; fires when that is done, or the engine does not answer."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self.admission.stop())


def _number(seat: Seat) -> int:
    return int(seat.name.removeprefix("Client"))


def _counts(seat: Seat) -> tuple[int, int]:
    return seat.files, seat.bytes


def _whole(seat: Seat) -> tuple[object, ...]:
    """Return what `scripts.RESTORE` takes of a client."""
    return _number(seat), seat.host, seat.address, round(seat.record().connected), *_counts(seat)


def _chunks(numbers: list[int], most: int) -> list[list[int]]:
    return [numbers[start : start + most] for start in range(0, len(numbers), most)]
