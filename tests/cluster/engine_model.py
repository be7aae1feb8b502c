"""What the engine holds and how it answers, as pure functions: the scripts of a cluster without Redis.

Time is whole quarters of a lease, and what is kept of it is how much is left: `passed` moves it on. Nodes are numbered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

LEASE = 4
HALF = LEASE // 2
NEVER = 99


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of the design, of which a test can take one away."""

    limit: int = 1
    fences: bool = True
    """A call of an older generation than the latest is void."""
    fences_joins: bool = True
    """Nodes count their generations themselves, and a join of an older one is void as well."""
    closes: bool = True
    """In a new life nobody is let in for half a lease."""
    extends: bool = True
    """In a new life every lease is extended to a whole one."""
    stood_still: int = HALF
    """A new life is also what comes when nobody has called for longer than this."""
    forgets: bool = True
    """A node whose lease is over loses its generation with its seats."""
    join_frees: bool = True
    """A join frees the seats of which the node does not know."""
    beat_compares: bool = True
    """A beat is told to join where the engine has not as many seats as the node."""
    counts_asked: bool = True
    """A beat tells how many admissions are under way."""
    tells_seen: bool = True
    """Nodes tell the highest number that they have seen."""
    voids_late: bool = True
    """A node takes no seat that comes later than it would have waited for."""


class Request(NamedTuple):
    """A call of a script."""

    kind: str
    generation: int
    seen: int = 0
    numbers: tuple[int, ...] = ()
    held: int = 0
    asked: int = 0


class Reply(NamedTuple):
    """Its answer; `number` is a seat's, or the last given, `numbers` those that the engine does not know."""

    kind: str
    number: int = 0
    numbers: tuple[int, ...] = ()
    generation: int = 0


class Engine(NamedTuple):
    """All that the engine holds; seats, leases and generations by node, -1 for no lease, 0 for no generation."""

    knows_life: bool
    next: int
    opens: int
    idle: int
    seats: tuple[tuple[int, ...], ...]
    leases: tuple[int, ...]
    generations: tuple[int, ...]

    @property
    def taken(self) -> int:
        """How many seats are taken."""
        return sum(map(len, self.seats))


def empty(nodes: int) -> Engine:
    """An engine without data."""
    return Engine(False, 0, 0, 0, ((),) * nodes, (-1,) * nodes, (0,) * nodes)


def passed(engine: Engine) -> Engine:
    """The engine a quarter of a lease later."""
    return engine._replace(
        opens=max(engine.opens - 1, 0),
        idle=min(engine.idle + 1, LEASE + 1),
        leases=tuple(lease - 1 if lease > 0 else lease for lease in engine.leases),
    )


def call(engine: Engine, node: int, request: Request, rules: Rules) -> tuple[Engine, Reply]:
    """Do what a script does."""
    engine = _without_dead(_in_its_life(engine, rules), rules)
    if request.kind == "join":
        return _join(engine, node, request, rules)
    if rules.fences and engine.generations[node] != request.generation:
        return engine, Reply("stale")
    return _SCRIPTS[request.kind](engine, node, request, rules)


def _in_its_life(engine: Engine, rules: Rules) -> Engine:
    if engine.knows_life and engine.idle <= rules.stood_still:
        return engine._replace(idle=0)
    return engine._replace(
        knows_life=True,
        idle=0,
        opens=HALF if rules.closes else 0,
        leases=tuple(LEASE if lease >= 0 and rules.extends else lease for lease in engine.leases),
    )


def _without_dead(engine: Engine, rules: Rules) -> Engine:
    for node, lease in enumerate(engine.leases):
        if lease == 0:
            engine = _left(engine, node, forgets=rules.forgets)
    return engine


def _left(engine: Engine, node: int, *, forgets: bool = True) -> Engine:
    generations = put(engine.generations, node, 0) if forgets else engine.generations
    return engine._replace(
        seats=put(engine.seats, node, ()), leases=put(engine.leases, node, -1), generations=generations
    )


def _join(engine: Engine, node: int, request: Request, rules: Rules) -> tuple[Engine, Reply]:
    stored = engine.generations[node]
    if rules.fences_joins and request.generation <= stored:
        return engine, Reply("stale")
    generation = request.generation if rules.fences_joins else stored + 1
    known = tuple(number for number in engine.seats[node] if number in request.numbers)
    unknown = tuple(number for number in request.numbers if number not in known)
    engine = _raised(engine, request, rules)._replace(
        seats=put(engine.seats, node, known) if rules.join_frees else engine.seats,
        leases=put(engine.leases, node, LEASE),
        generations=put(engine.generations, node, generation),
    )
    return engine, Reply("joined", 0, unknown, generation)


def _raised(engine: Engine, request: Request, rules: Rules) -> Engine:
    return engine._replace(next=max(engine.next, request.seen)) if rules.tells_seen else engine


def _restore(engine: Engine, node: int, request: Request, rules: Rules) -> tuple[Engine, Reply]:
    seats = tuple(sorted({*engine.seats[node], *request.numbers}))
    highest = max((engine.next, *request.numbers)) if rules.tells_seen else engine.next
    leases = put(engine.leases, node, LEASE)
    return engine._replace(seats=put(engine.seats, node, seats), leases=leases, next=highest), Reply("ok")


def _beat(engine: Engine, node: int, request: Request, rules: Rules) -> tuple[Engine, Reply]:
    engine = _raised(engine, request, rules)._replace(leases=put(engine.leases, node, LEASE))
    most = request.held + (request.asked if rules.counts_asked else 0)
    agrees = request.held <= len(engine.seats[node]) <= most or not rules.beat_compares
    return engine, Reply("next", engine.next) if agrees else Reply("join")


def _admit(engine: Engine, node: int, request: Request, rules: Rules) -> tuple[Engine, Reply]:
    if engine.opens:
        return engine, Reply("wait")
    if engine.taken >= rules.limit:
        return engine, Reply("full")
    number = engine.next + 1
    seats = put(engine.seats, node, (*engine.seats[node], number))
    return engine._replace(seats=seats, next=number), Reply("seat", number)


def _release(engine: Engine, node: int, request: Request, rules: Rules) -> tuple[Engine, Reply]:
    seats = tuple(number for number in engine.seats[node] if number not in request.numbers)
    return engine._replace(seats=put(engine.seats, node, seats)), Reply("ok")


def _leave(engine: Engine, node: int, request: Request, rules: Rules) -> tuple[Engine, Reply]:
    return _left(engine, node), Reply("ok")


_SCRIPTS = {"restore": _restore, "beat": _beat, "admit": _admit, "release": _release, "leave": _leave}


def put(values: tuple[Any, ...], index: int, value: Any) -> tuple[Any, ...]:
    """The same values but for one."""
    return (*values[:index], value, *values[index + 1 :])
