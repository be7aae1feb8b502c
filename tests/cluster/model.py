"""Nodes, their connections and the engine behind, as one hashable value, with everything that can happen to it.

A message is under way from its sending until it is done by the engine, or read by the node. On a connection they keep
their order; where it is cut, answers are lost, and requests may be done at any later time, or never. What a client
does (comes, goes) and what is slow needs no fault; faults are counted, so that an exploration ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from tests.cluster.engine_model import HALF, LEASE, Engine, Reply, Request, Rules, call, empty, passed, put

UP, STOPPED, DEAD = "up", "stopped", "dead"
NONE, OPEN, CUT, RESET = "none", "open", "cut", "reset"
RUNS, FROZEN, DOWN = "runs", "frozen", "down"


class Promise(Enum):
    """What is checked."""

    LIMIT = "no more are let in than the limit"
    NAMES = "no number is given twice"
    SEATS = "whoever is let in has a seat"
    APART = "a node that is cut off lets nobody in"
    QUIET = "no node is told to join again without a reason"
    WELL = "a lease after the last fault all seats of the dead are free, and the nodes' clients counted"


class Violation(AssertionError):
    """A promise that is broken."""

    def __init__(self, promise: Promise, what: str) -> None:
        super().__init__(what)
        self.promise = promise


class Node(NamedTuple):
    """A node and what is under way between it and the engine."""

    id: int
    power: str = UP
    link: str = NONE
    joined: bool = False
    generation: int = 0
    inside: tuple[int, ...] = ()
    seen: int = 0
    asked: int = 0
    left: tuple[int, ...] = ()
    """Who has left since the latest join was sent, and was not released yet."""
    requests: tuple[Request, ...] = ()
    replies: tuple[Reply, ...] = ()
    late: bool = False
    """Whether something has been under way for longer than the node waits for it."""
    beaten: bool = False
    stuck: tuple[Request, ...] = ()
    """Requests of the connection before."""
    grace: int = 0
    """No part of the system: for how long it must still be counted, as `checked_grant` says."""


class World(NamedTuple):
    """Everything; `faults`, `ticks` and `clients` are how many of each may still come."""

    engine: Engine
    power: str
    saved: Engine | None
    """What the engine has on its disk, where that is less than what it knows."""
    nodes: tuple[Node, ...]
    faults: int
    ticks: int
    clients: int


@dataclass(frozen=True)
class Setting:
    """What is explored: the rules, and what may happen."""

    rules: Rules = field(default_factory=Rules)
    nodes: int = 2
    may_fail: frozenset[str] = frozenset()
    """Of a node `cut`, `stop`, `kill`; of the engine `freeze`, `die`, `lose` (die with its data), `flush`, `drop`."""
    faults: int = 0
    ticks: int = 4
    clients: int = 2
    may_leave: bool = True
    beats_first: bool = True
    """Whether a beat is sent before anything else of its quarter: few orders, but no admission is under way then."""
    joined: bool = True
    """Whether the nodes have joined and the engine is open at the start."""
    inside: int = 0
    """How many clients the first node has at the start."""


Step = tuple[str, World]


def beginning(setting: Setting) -> World:
    """The world in which all begins."""
    many, more = setting.nodes, setting.faults  # each fault can be the new start of a node, with a new id
    engine, nodes = empty(many + more), tuple(Node(number) for number in range(many))
    if setting.joined:
        inside = tuple(range(1, setting.inside + 1))
        engine = Engine(
            True, setting.inside, 0, 0,
            (inside, *((),) * (many + more - 1)), (LEASE,) * many + (-1,) * more, (1,) * many + (0,) * more,
        )  # fmt: skip
        joined = Node(0, UP, OPEN, joined=True, generation=1, seen=setting.inside, beaten=True, grace=LEASE)
        nodes = (joined._replace(inside=inside), *(joined._replace(id=number) for number in range(1, many)))
    saved = engine if "lose" in setting.may_fail else None
    return World(engine, RUNS, saved, nodes, setting.faults, setting.ticks, setting.clients)


def steps(world: World, setting: Setting) -> Iterator[Step]:
    """What can happen next. Raises `Violation`."""
    if urgent := list(urgent_steps(world, setting)):
        yield from urgent
        return
    for place in range(len(world.nodes)):
        yield from node_steps(world, setting, place)
        yield from engine_steps(world, setting, place)
        if world.faults:
            yield from node_faults(world, setting, place)
    if world.faults:
        yield from engine_faults(world, setting)
    if world.power != RUNS:
        yield "the engine goes on", world._replace(power=RUNS)
    if world.ticks and time_may_pass(world):
        yield "a quarter of a lease passes", later(world)


def urgent_steps(world: World, setting: Setting) -> Iterator[Step]:
    """What a node does before anything else happens but a fault: in another order it would come to the same."""
    for place, node in enumerate(world.nodes):
        if node.power != UP:
            continue
        name = name_of(world, place)
        if node.replies:
            yield from read_steps(world, setting, place)
            if world.faults:
                yield from node_faults(world, setting, place)
                yield from engine_faults(world, setting)
        elif node.late:
            yield f"{name} gives its connection up", with_node(world, place, **disconnected(node))
        elif setting.beats_first and node.joined and not node.beaten:
            yield f"{name} sends a beat", beaten(world, place)
        else:
            continue
        return


# --- nodes ---


def node_steps(world: World, setting: Setting, place: int) -> Iterator[Step]:
    """What a node or its clients do next."""
    node, name = world.nodes[place], name_of(world, place)
    if node.power == STOPPED:
        yield f"{name} wakes", with_node(world, place, power=UP)
    elif node.power == DEAD:
        yield f"{name} starts anew", started_anew(world, place)
    elif node.link == NONE:
        if world.power == RUNS:
            yield f"{name} connects, and sends its join", with_node(world, place, **joining(node))
    else:
        yield from connected_steps(world, setting, place)
    if node.power == UP and setting.may_leave:
        for number in node.inside:
            yield f"{number} leaves {name}", left(world, place, number)


def connected_steps(world: World, setting: Setting, place: int) -> Iterator[Step]:
    """What a node that believes that it is connected does next."""
    node, name = world.nodes[place], name_of(world, place)
    if node.link in (CUT, RESET):
        yield f"{name} gives its connection up", with_node(world, place, **disconnected(node))
    if node.joined and not node.beaten:
        yield f"{name} sends a beat", beaten(world, place)
    if node.joined and not node.asked and world.clients:
        after = world._replace(clients=world.clients - 1)
        yield f"a client comes to {name}", sent(after, place, Request("admit", node.generation), asked=1)


def joining(node: Node) -> dict[str, Any]:
    """What changes when a node connects and sends a join."""
    generation = node.generation + 1
    join = Request("join", generation, node.seen, node.inside)
    return {"link": OPEN, "generation": generation, "beaten": True, "left": (), "requests": (join,)}


def disconnected(node: Node) -> dict[str, Any]:
    """What changes when a node drops its connection: it may be that some of what it has sent is done later."""
    stuck = () if node.link == RESET else node.requests
    return {
        "link": NONE,
        "joined": False,
        "asked": 0,
        "requests": (),
        "replies": (),
        "late": False,
        "stuck": stuck or node.stuck,
    }


def beaten(world: World, place: int) -> World:
    """The world when a node has sent a beat."""
    node = world.nodes[place]
    beat = Request("beat", node.generation, node.seen, held=len(node.inside), asked=node.asked)
    return sent(world, place, beat, beaten=True)


def left(world: World, place: int, number: int) -> World:
    """The world without this client."""
    node = world.nodes[place]
    inside = tuple(other for other in node.inside if other != number)
    if node.joined:
        return sent(world, place, Request("release", node.generation, numbers=(number,)), inside=inside)
    return with_node(world, place, inside=inside, left=(*node.left, number) if node.link != NONE else ())


def started_anew(world: World, place: int) -> World:
    """The world when a killed node was started again, under an id that nobody had."""
    highest = max(node.id for node in world.nodes)
    return world._replace(nodes=put(world.nodes, place, Node(highest + 1)))


def read_steps(world: World, setting: Setting, place: int) -> Iterator[Step]:
    """What comes of the next answer."""
    node, name = world.nodes[place], name_of(world, place)
    reply = node.replies[0]
    is_late = node.late
    node = node._replace(replies=node.replies[1:], seen=max(node.seen, reply.number))
    node = node._replace(late=is_late and is_waiting(node))
    world = world._replace(nodes=put(world.nodes, place, node))
    said = f"{name} reads {reply.kind} {reply.number or ''}".rstrip()
    if is_late and setting.rules.voids_late:
        yield f"{said}, too late", with_node(world, place, **disconnected(node))
    elif reply.kind == "seat":
        yield f"{said}: let in", let_in(world, place, reply.number)
        if setting.may_leave:
            yield f"{said}, but the client has gone", left(with_node(world, place, asked=0), place, reply.number)
    else:
        yield said, with_node(world, place, **ANSWERED[reply.kind](node, reply))


def let_in(world: World, place: int, number: int) -> World:
    """The world when a client has its seat. Raises `Violation` where it has none, or the node was cut off for a lease.

    An engine that has lost it, and knows, lets nobody in before the node has told of it.
    """
    node, engine = world.nodes[place], world.engine
    if number not in engine.seats[node.id] and engine.knows_life and not engine.opens:
        raise Violation(Promise.SEATS, f"{name_of(world, place)} lets {number} in without a seat")
    if not node.grace:
        raise Violation(Promise.APART, f"{name_of(world, place)} lets {number} in, and was not heard of for a lease")
    return with_node(world, place, inside=tuple(sorted((*node.inside, number))), asked=0)


def is_joined(node: Node, reply: Reply) -> dict[str, Any]:
    """What changes when a join was answered: who is missing is told first, and who has left meanwhile."""
    missing = tuple(number for number in reply.numbers if number in node.inside)
    if missing:
        restore = Request("restore", reply.generation, numbers=missing)
        return {"generation": reply.generation, "requests": (*node.requests, restore)}
    return is_restored(node._replace(generation=reply.generation), reply) | {"generation": reply.generation}


def is_restored(node: Node, reply: Reply) -> dict[str, Any]:
    """What changes when the engine knows of all."""
    if node.joined or not node.left:
        return {"joined": True}
    release = Request("release", node.generation, numbers=node.left)
    return {"joined": True, "left": (), "requests": (*node.requests, release)}


ANSWERED = {
    "joined": is_joined,
    "ok": is_restored,
    "next": lambda node, reply: {},
    "wait": lambda node, reply: {"asked": 0},
    "full": lambda node, reply: {"asked": 0},
    "join": lambda node, reply: disconnected(node),
    "stale": lambda node, reply: disconnected(node),
}
"""What changes at a node with each kind of answer."""


# --- the engine ---


def engine_steps(world: World, setting: Setting, place: int) -> Iterator[Step]:
    """What the engine does next of what this node has sent."""
    node, name = world.nodes[place], name_of(world, place)
    if world.power == RUNS and node.requests and node.link != RESET:
        request, rest = node.requests[0], node.requests[1:]
        said, world_after, reply = done(world, setting, place, request)
        heeded = node.link == OPEN and (request.kind, reply.kind) != ("release", "ok")
        replies = (*node.replies, reply) if heeded else node.replies
        yield f"{name}'s {said}", with_node(world_after, place, requests=rest, replies=replies)
    if world.power == RUNS and node.stuck:
        said, world_after, reply = done(world, setting, place, node.stuck[0])
        yield f"{name}'s old {said}", with_node(world_after, place, stuck=node.stuck[1:])


def done(world: World, setting: Setting, place: int, request: Request) -> tuple[str, World, Reply]:
    """What is said of a request, the world after it, and the answer. Raises `Violation`."""
    node = world.nodes[place]
    engine, reply = call(world.engine, node.id, request, setting.rules)
    if reply.kind == "seat":
        check_grant(world, setting, place, reply.number)
    if request.kind == "beat" and reply.kind == "join" and world.faults == setting.faults:
        raise Violation(Promise.QUIET, f"{name_of(world, place)} is told to join again without a reason")
    world = world._replace(engine=engine)
    is_heard = request.kind in ("beat", "join", "restore") and reply.kind != "stale"
    if is_heard and set(node.inside) <= set(engine.seats[node.id]):
        world = with_node(world, place, grace=LEASE)
    return f"{request.kind} is done: {reply.kind} {reply.number or ''}".rstrip(), world, reply


def check_grant(world: World, setting: Setting, place: int, number: int) -> None:
    """Raise `Violation` if letting in one more breaks the limit, or if a living node knows of that name.

    A node counts, with those inside and those whose seat is on its way to it, for a lease after it was last heard of
    and all of its clients were known. Of time in which the engine did not run this is true: where it was killed, it is
    no part of that lease; where it stood still, it is, but who was heard of in the quarter before is still counted
    for a quarter after. Where the engine lost data, a node counts for half a lease after.
    """
    counted = [node for node in world.nodes if node.power != DEAD and node.grace]
    inside = sum(len({*node.inside, *on_their_way(node)}) for node in counted)
    if inside >= setting.rules.limit:
        raise Violation(Promise.LIMIT, f"{name_of(world, place)}'s admit is done: seat {number}, and {inside} inside")
    known = max((max((node.seen, *on_their_way(node))) for node in counted), default=0)
    if number <= known:
        raise Violation(Promise.NAMES, f"{name_of(world, place)}'s admit is done: seat {number}, and {known} is known")


def on_their_way(node: Node) -> list[int]:
    """The seats that this node has been given and will take."""
    if node.link != OPEN or node.late:
        return []
    return [reply.number for reply in node.replies if reply.kind == "seat"]


# --- faults ---


def node_faults(world: World, setting: Setting, place: int) -> Iterator[Step]:
    """What can befall a node or its connection."""
    node, name = world.nodes[place], name_of(world, place)
    world = world._replace(faults=world.faults - 1)
    if "cut" in setting.may_fail and node.link == OPEN:
        yield f"{name}'s connection is cut", with_node(world, place, link=CUT, replies=unheard(node))
    if "stop" in setting.may_fail and node.power == UP:
        yield f"{name} is stopped", with_node(world, place, power=STOPPED)
    if "kill" in setting.may_fail and node.power == UP:
        dead = Node(node.id, DEAD, CUT, requests=node.requests, stuck=node.stuck)
        yield f"{name} is killed", world._replace(nodes=put(world.nodes, place, dead))


def engine_faults(world: World, setting: Setting) -> Iterator[Step]:
    """What can befall the engine."""
    before, world = world, world._replace(faults=world.faults - 1)
    if world.power != RUNS:
        return
    if "flush" in setting.may_fail:
        nodes = tuple(node._replace(grace=min(node.grace, HALF)) for node in world.nodes)
        yield "the engine is flushed", world._replace(engine=empty(len(world.engine.seats)), nodes=nodes)
    if "drop" in setting.may_fail:
        nodes = tuple(node._replace(grace=0) for node in world.nodes)
        seats: tuple[tuple[int, ...], ...] = ((),) * len(world.engine.seats)
        yield "the engine drops its seats", world._replace(engine=world.engine._replace(seats=seats), nodes=nodes)
    if "freeze" in setting.may_fail:
        nodes = tuple(node._replace(grace=node.grace if node.grace >= LEASE - 1 else 0) for node in world.nodes)
        yield "the engine stands still", world._replace(power=FROZEN, nodes=nodes)
    if "die" in setting.may_fail:
        yield "the engine is killed and keeps its data", killed(world, world.engine, LEASE)
    if "lose" in setting.may_fail:
        yield "the engine is killed and loses all", killed(world, empty(len(world.engine.seats)), HALF)
        if before.saved and before.saved != before.engine:
            yield "the engine is killed and loses the latest", killed(world, before.saved, HALF)


def killed(world: World, data: Engine, grace: int) -> World:
    """The world when the engine has died, and will come back with these data."""
    nodes = tuple(node._replace(**reset(node))._replace(grace=min(node.grace, grace), stuck=()) for node in world.nodes)
    return world._replace(engine=data._replace(knows_life=False), power=DOWN, nodes=nodes)


def reset(node: Node) -> dict[str, Any]:
    """What changes when a connection is reset: a node that is stopped will hear of it."""
    if node.power == UP:
        return disconnected(node)
    return {"link": RESET, "requests": (), "replies": unheard(node)} if node.link != NONE else {}


def unheard(node: Node) -> tuple[Reply, ...]:
    """The answers that it reads though its connection is gone: those that had come while it was stopped."""
    return node.replies if node.power == STOPPED else ()


# --- time ---


def time_may_pass(world: World) -> bool:
    """Tell whether everything is done that takes no quarter of a lease."""
    return all(is_settled(world, node) for node in world.nodes)


def is_settled(world: World, node: Node) -> bool:
    """Tell whether a node and its connection have done all that they do at once."""
    if node.power == UP and node.late:
        return False
    if node.link != OPEN or world.power != RUNS:
        return True
    if node.power == UP:
        return not is_waiting(node) and node.joined and node.beaten
    return not node.requests


def is_waiting(node: Node) -> bool:
    """Tell whether something is under way on its connection."""
    return bool(node.requests or node.replies)


def later(world: World) -> World:
    """The world a quarter of a lease later."""
    engine = passed(world.engine)
    saved = engine if world.saved else None
    nodes = tuple(aged(node, world.power) for node in world.nodes)
    return world._replace(engine=engine, saved=saved, nodes=nodes, ticks=world.ticks - 1)


def aged(node: Node, power: str) -> Node:
    """The node a quarter of a lease later."""
    waiting = node.link != NONE and (is_waiting(node) or node.link != OPEN)
    grace = node.grace
    if power == RUNS:
        grace = max(grace - 1, 0)
    elif power == FROZEN and grace:
        grace = max(grace - 1, 1)
    return node._replace(late=waiting, beaten=False, grace=grace)


# --- small things ---


def with_node(world: World, place: int, **changes: Any) -> World:
    """The world with one node changed."""
    return world._replace(nodes=put(world.nodes, place, world.nodes[place]._replace(**changes)))


def sent(world: World, place: int, request: Request, **changes: Any) -> World:
    """The world with a request under way."""
    return with_node(world, place, requests=(*world.nodes[place].requests, request), **changes)


def name_of(world: World, place: int) -> str:
    """The name of a node in a trace, for its place: a killed one comes back with a dash."""
    return f"<{place}>" + "'" * (world.nodes[place].id >= len(world.nodes))
