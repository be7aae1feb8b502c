"""All that a model can do, breadth first: the first violation found is one of the shortest."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from tests.cluster.engine_model import LEASE, Engine
from tests.cluster.model import (
    CUT,
    DEAD,
    NONE,
    RESET,
    RUNS,
    UP,
    Node,
    Promise,
    Setting,
    Violation,
    World,
    beaten,
    beginning,
    disconnected,
    engine_steps,
    is_waiting,
    joining,
    later,
    read_steps,
    steps,
    with_node,
)


class Found(NamedTuple):
    """A broken promise, and what led to it."""

    promise: Promise
    what: str
    trace: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([*self.trace, self.what, f"(so it is not true that {self.promise.value})"])


@dataclass
class Exploration:
    """What was found, of how many worlds."""

    worlds: int = 0
    found: Found | None = None


class Undisturbed:
    """How many quarters of a lease it takes, from any world, until all is well, if nothing more happens."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.known: dict[World, int] = {}

    def __call__(self, world: World) -> int:
        """Return the quarters. Raises `Violation` where it takes longer than a lease."""
        path: list[tuple[World, int]] = []
        world = calmed(world)
        while world not in self.known and not is_well(world):
            world_after, quarters = self._next(world)
            path.append((world, quarters))
            world = world_after
            if sum(quarters for _, quarters in path) > LEASE:
                raise Violation(Promise.WELL, "all run undisturbed for a lease, and it is not so")
        total = self.known.get(world, 0)
        for passed_world, quarters in reversed(path):
            total += quarters
            self.known[passed_world] = total
        if total > LEASE:
            raise Violation(Promise.WELL, "all run undisturbed for a lease, and it is not so")
        return total

    def _next(self, world: World) -> tuple[World, int]:
        """The next thing that is done at once, or a quarter."""
        for place, node in enumerate(world.nodes):
            if (after := self._at_once(world, place, node)) is not None:
                return after, 0
        return later(world._replace(ticks=1))._replace(ticks=0), 1

    def _at_once(self, world: World, place: int, node: Node) -> World | None:
        if node.power == DEAD:
            return None
        if node.replies:
            return next(read_steps(world, self.setting, place))[1]
        if node.requests:
            return next(engine_steps(world, self.setting, place))[1]
        if node.link == NONE:
            return with_node(world, place, **joining(node))
        if not node.beaten:
            return beaten(world, place)
        return None


def calmed(world: World) -> World:
    """The world when all go on and nothing of old connections comes any more."""
    for place, node in enumerate(world.nodes):
        if node.power == DEAD:
            world = with_node(world, place, requests=(), stuck=())
            continue
        if node.link in (CUT, RESET) or node.late:
            world = with_node(world, place, **disconnected(node))
        world = with_node(world, place, power=UP, stuck=())
    return world._replace(power=RUNS, saved=None, faults=-1, ticks=0, clients=0)


def is_well(world: World) -> bool:
    """Tell whether all nodes are joined, anybody may come in, and the engine holds what the nodes hold.

    What is there for nobody is freed when somebody calls.
    """
    engine, alive = world.engine, [node for node in world.nodes if node.power != DEAD]
    held = {node.id: node.inside for node in alive}
    return not alive or (
        engine.knows_life
        and not engine.opens
        and all(node.joined and node.beaten and not is_waiting(node) for node in alive)
        and all(seats == held.get(id_, ()) for id_, seats in enumerate(engine.seats))
    )


def explore(setting: Setting, most: int = 10**9, *, undisturbed: bool = True) -> Exploration:
    """Look at all worlds that can be reached, or the first so many."""
    start = canonical(beginning(setting))
    parents: dict[World, World | None] = {start: None}
    todo, result = deque([start]), Exploration()
    wait = Undisturbed(setting)
    while todo and result.worlds < most:
        world = todo.popleft()
        result.worlds += 1
        try:
            if undisturbed:
                wait(world)
            for after in [canonical(after) for _, after in steps(world, setting)]:
                if after not in parents:
                    parents[after] = world
                    todo.append(after)
        except Violation as violation:
            result.found = _found(violation, world, parents, setting)
            break
    return result


def canonical(world: World) -> World:
    """The same world for all orders in which its nodes can stand."""
    return _reordered(world, _order(world))


def _order(world: World) -> tuple[int, ...]:
    """The order for the nodes that does not depend on how they stand; after a new start, as they stand."""
    ids = tuple(node.id for node in world.nodes)
    places = tuple(range(len(ids)))
    return places if ids != places else tuple(sorted(places, key=lambda place: _looks(world, place)))


def _reordered(world: World, order: tuple[int, ...]) -> World:
    if order == tuple(range(len(order))):
        return world
    nodes = tuple(world.nodes[old]._replace(id=place) for place, old in enumerate(order))
    saved = world.saved and _in_order(world.saved, order)
    return world._replace(nodes=nodes, engine=_in_order(world.engine, order), saved=saved)


def _looks(world: World, id_: int) -> tuple[object, ...]:
    engine, saved = world.engine, world.saved or world.engine
    return (
        world.nodes[id_][1:],
        *(values[id_] for kept in (engine, saved) for values in (kept.seats, kept.leases, kept.generations)),
    )


def _in_order(engine: Engine, order: tuple[int, ...]) -> Engine:
    def ordered(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(values[id_] for id_ in order) + values[len(order) :]

    return engine._replace(
        seats=ordered(engine.seats), leases=ordered(engine.leases), generations=ordered(engine.generations)
    )


def _found(broken: Violation, world: World, parents: dict[World, World | None], setting: Setting) -> Found:
    """What happened until this world, with one name for each node throughout."""
    path = [world]
    while (parent := parents[path[-1]]) is not None:
        path.append(parent)
    names, trace = "ABC", []
    for before, after in pairwise(reversed(path)):
        label, order = next((label, _order(step)) for label, step in steps(before, setting) if canonical(step) == after)
        trace.append(_named(label, names))
        names = "".join(names[place] for place in order)
    return Found(broken.promise, _named(str(broken), names), tuple(trace))


def _named(text: str, names: str) -> str:
    return re.sub("<([0-9])>", lambda place: names[int(place[1])], text)
