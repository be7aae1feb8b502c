"""The scripts at a real Redis, and the model of them that is explored: the same calls come to the same."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatfile.cluster import scripts
from tests.cluster import engine_model
from tests.cluster.engine_model import HALF, LEASE, Engine, Request, Rules
from tests.support.redis import Redis, Stream, exchange, needs_redis

pytestmark = needs_redis

NODES = ("n", "n1", "n10")
"""One is the beginning of the next."""
QUARTER = 1_000_000
"""Milliseconds: a test takes next to nothing of it."""
HISTORY = 3
KEYS = scripts.keys("tried")
RULES = Rules(limit=3, stood_still=HALF - 1)  # a call takes time, so that half a lease is over after two quarters
SCRIPTS = {
    "join": scripts.JOIN,
    "restore": scripts.RESTORE,
    "beat": scripts.BEAT,
    "admit": scripts.ADMIT,
    "release": scripts.RELEASE,
    "leave": scripts.LEAVE,
}
MEANS = {"restored": "ok", "released": "ok", "left": "ok"}
PASS = """
local quarter = ARGV[1] + 1
for _, node in ipairs(redis.call('ZRANGE', KEYS[6], 0, -1)) do redis.call('ZINCRBY', KEYS[6], -quarter, node) end
for _, field in ipairs({'last', 'opens'}) do
    local time = redis.call('HGET', KEYS[8], field)
    if time then redis.call('HSET', KEYS[8], field, string.format('%.0f', time - quarter)) end
end
return 'passed'
"""
LOOK = """
local function hash(key)
    local found, flat = {}, redis.call('HGETALL', key)
    for place = 1, #flat, 2 do found[flat[place]] = flat[place + 1] end
    return found
end
local time, leases = redis.call('TIME'), {}
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local scores = redis.call('ZRANGE', KEYS[6], 0, -1, 'WITHSCORES')
for place = 1, #scores, 2 do leases[scores[place]] = scores[place + 1] - now end
return cjson.encode({
    seats = redis.call('ZRANGE', KEYS[1], 0, -1), rows = hash(KEYS[2]), order = redis.call('ZRANGE', KEYS[3], 0, -1),
    gone = redis.call('LRANGE', KEYS[4], 0, -1), hosts = hash(KEYS[5]), leases = leases,
    generations = hash(KEYS[7]), next = tonumber(redis.call('HGET', KEYS[8], 'next') or 0),
    opens = (redis.call('HGET', KEYS[8], 'opens') or now) - now,
})
"""


@dataclass
class Real:
    """The scripts at a Redis, called as the model is."""

    stream: Stream
    lives: int = 0

    def run(self, script: str, *arguments: object) -> str:
        return exchange(self.stream, "EVAL", script, len(KEYS), *KEYS, *arguments)

    def call(self, node: int, request: Request) -> tuple[str, set[int] | int]:
        """The word, and the numbers behind it."""
        whose = (NODES[node], request.generation, f"life{self.lives}", LEASE * QUARTER, HISTORY)
        answer = self.run(SCRIPTS[request.kind], *whose, *_arguments(request))
        while answer == "more":
            answer = self.run(SCRIPTS[request.kind], *whose)
        word, *numbers = answer.split()
        if word == "joined":
            return word, set(map(int, numbers))
        return MEANS.get(word, word), int(numbers[0]) if numbers else 0

    def look(self) -> dict[str, Any]:
        """All that it holds; Lua has one empty table for all kinds."""
        held: dict[str, Any] = json.loads(self.run(LOOK))
        return held


def _arguments(request: Request) -> list[object]:
    if request.kind == "join":
        return [request.seen, *request.numbers]
    if request.kind == "restore":
        return [each for number in request.numbers for each in (number, f"h{number % 2}", "h:1", 1000, 0, 0)]
    if request.kind == "beat":
        return [request.seen, request.held, request.asked]
    if request.kind == "admit":
        return [RULES.limit, 0, f"h{request.seen % 2}", "h:1"]
    return [each for number in request.numbers for each in (number, 1, 2)]


def as_modelled(held: dict[str, Any]) -> Engine:
    """What the model knows of what Redis holds."""
    seats: dict[str, list[int]] = {node: [] for node in NODES}
    for member in held["seats"]:
        node, _, number = member.partition("/")
        seats[node].append(int(number))
    leases = dict(held["leases"])
    generations = dict(held["generations"])
    return Engine(
        True,
        held["next"],
        max(ceil(held["opens"] / QUARTER), 0),
        0,
        tuple(tuple(sorted(seats[node])) for node in NODES),
        tuple(max(ceil(leases[node] / QUARTER), 0) if node in leases else -1 for node in NODES),
        tuple(int(generations.get(node, 0)) for node in NODES),
    )


def assert_agrees_with_itself(held: dict[str, Any]) -> None:
    """Rows, hosts, order and history say the same as the seats."""
    rows = {number: row.split() for number, row in dict(held["rows"]).items()}
    here = {number for number, row in rows.items() if f"{row[0]}/{number}" in held["seats"]}
    assert {number for number, row in rows.items() if row[4] == "-"} == here
    assert Counter(rows[number][1] for number in here) == {
        host: int(count) for host, count in dict(held["hosts"]).items()
    }
    assert sorted(held["order"], key=int) == sorted(rows, key=int)
    assert sorted(held["gone"]) == sorted(rows.keys() - here)
    assert len(held["gone"]) <= HISTORY


KINDS = ["join", "restore", "beat", "beat", "admit", "admit", "admit", "release", "release", "leave"] * 3
HAPPENS = ["passed"] * 5 + ["restarted", "flushed"]
CALLS = st.builds(
    Request,
    st.sampled_from(KINDS + HAPPENS),
    st.sampled_from([0] * 9 + [-1]),  # the generation, from the right one on
    seen=st.integers(-1, 1),  # from the last number given on
    numbers=st.lists(st.integers(0, 5), max_size=4, unique=True).map(tuple),  # from the next one back
    held=st.integers(0, 3),
    asked=st.integers(0, 1),
)
STEPS = st.lists(st.tuples(st.integers(0, 2), CALLS), min_size=20, max_size=50)
OPEN = [
    *((node, Request("join", 0)) for node in range(3)),
    *[(0, Request("passed", 0)), (0, Request("beat", 0))] * HALF,
]
"""With this all nodes have joined, and anybody may come in."""
RARE = [
    (0, Request("admit", 0)),
    (0, Request("beat", 0, held=0, asked=1)),
    (0, Request("join", -1, numbers=(1,))),
    (0, Request("release", 0, numbers=(1,))),
    (0, Request("restore", 0, numbers=(1,))),
]
"""A seat that is under way at a beat, a join that comes twice, and one that had left and is here."""


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stream]:
    with Redis(tmp_path_factory.mktemp("redis"), "--appendonly", "no") as redis, redis.connected() as stream:
        yield stream


@given(steps=STEPS)
@example(steps=RARE)
@settings(max_examples=40)
def test_the_scripts_do_what_the_model_does(stream: Stream, steps: list[tuple[int, Request]]) -> None:
    exchange(stream, "FLUSHALL")
    real, modelled = Real(stream), engine_model.empty(len(NODES))
    for node, request in [*OPEN, *steps]:
        if request.kind == "passed":
            real.run(PASS, QUARTER)
            modelled = engine_model.passed(modelled)
        elif request.kind == "restarted":
            real.lives += 1
            modelled = modelled._replace(knows_life=False)
        elif request.kind == "flushed":
            exchange(stream, "FLUSHALL")
            modelled = engine_model.empty(len(NODES))
        else:
            modelled = assert_same(real, modelled, node, _meant(request, modelled, node))


def test_a_clock_that_is_set_back_closes_the_door_for_no_longer_than_a_new_life(stream: Stream) -> None:
    exchange(stream, "FLUSHALL")
    real = Real(stream)
    real.call(0, Request("join", 1))
    real.run(PASS, -10 * LEASE * QUARTER)
    assert real.call(0, Request("admit", 1))[0] == "wait"
    held = real.look()
    assert held["opens"] <= HALF * QUARTER
    assert held["leases"][NODES[0]] <= LEASE * QUARTER


def test_a_page_has_the_latest_before_a_number_first(stream: Stream) -> None:
    exchange(stream, "FLUSHALL")
    real = Real(stream)
    for node, request in [*OPEN, *[(0, Request("admit", 0))] * 3]:
        if request.kind == "passed":
            real.run(PASS, QUARTER)
        else:
            real.call(node, request._replace(generation=1, seen=0))
    pages = [real.run(scripts.PAGE, before, 2).splitlines() for before in ("inf", 2, 1)]
    assert [[line.split()[0] for line in page] for page in pages] == [["3", "2"], ["1"], []]


def assert_same(real: Real, modelled: Engine, node: int, request: Request) -> Engine:
    """A call has the same answer, and leaves the same behind; what, is returned."""
    modelled, reply = engine_model.call(modelled, node, request, RULES)
    assert real.call(node, request) == (reply.kind, set(reply.numbers) if reply.kind == "joined" else reply.number)
    held = real.look()
    assert as_modelled(held) == modelled
    assert_agrees_with_itself(held)
    return modelled


def _meant(request: Request, engine: Engine, node: int) -> Request:
    """The request with what it says of the engine as it is now."""
    right = engine.generations[node] + (request.kind == "join")
    numbers = (engine.next + 1 - number for number in request.numbers)
    return request._replace(
        generation=max(right + request.generation, 1),
        seen=max(engine.next + request.seen, 0),
        numbers=tuple(number for number in numbers if number > 0),
    )
