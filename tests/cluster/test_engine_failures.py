"""The engine dies, freezes, refuses or forgets: what clients see of it, and how it goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.nodes import FULL, SLACK, UNAVAILABLE, WELCOME, Node, at_once, cluster, present
from tests.support.processes import RawClient, wait_until
from tests.support.redis import Redis, needs_redis

pytestmark = needs_redis
LEASE = 1.2
MOST_LINES = 4
"""Warnings of a node for one outage: a reason as it begins, and what the attempts to connect find."""


class Shared(NamedTuple):
    """Nodes, each of which has had a client inside from the start."""

    redis: Redis
    nodes: list[Node]
    inside: list[RawClient]


@pytest.fixture(scope="module")
def shared(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    with ExitStack() as stack:
        redis = stack.enter_context(Redis(tmp_path_factory.mktemp("redis"), "--enable-debug-command", "yes"))
        nodes = stack.enter_context(cluster(folder, redis, lease=LEASE, limit=5))
        yield Shared(redis, nodes, [node.enter() for node in nodes])


def is_served(client: RawClient) -> None:
    """All that needs no other node."""
    assert client.ask(b"hello") == b"hello ACK"
    assert client.ask(b"list") == b"LIST 2"
    assert client.line().endswith(b" big.bin")
    assert client.line().endswith(b" small.txt")
    assert client.ask(b"hash small.txt").startswith(b"HASH ")
    assert client.ask(b"get small.txt").startswith(b"FILE 7 ")
    assert client.line() == b"a line"
    assert client.line().startswith(b"END ")


def kill(redis: Redis) -> None:
    redis.kill()


def start_empty(redis: Redis) -> None:
    redis.start()


def fill_memory(redis: Redis) -> None:
    redis.ask("CONFIG", "SET", "maxmemory", 1)


def empty_memory(redis: Redis) -> None:
    redis.ask("CONFIG", "SET", "maxmemory", 0)


def become_a_replica(redis: Redis) -> None:
    redis.ask("REPLICAOF", "127.0.0.1", 1)


def become_the_master(redis: Redis) -> None:
    redis.ask("REPLICAOF", "NO", "ONE")


def run_an_endless_script(redis: Redis) -> None:
    redis.ask("CONFIG", "SET", "lua-time-limit", 200)
    threading.Thread(target=redis.ask, args=("EVAL", "while true do end", 0)).start()


def end_the_script(redis: Redis) -> None:
    redis.ask("SCRIPT", "KILL")


OUTAGES = {
    "killed": (kill, start_empty),
    "frozen": (Redis.freeze, Redis.thaw),
    "out of memory": (fill_memory, empty_memory),
    "a replica": (become_a_replica, become_the_master),
    "busy": (run_an_endless_script, end_the_script),
}
AT_ONCE = ("killed", "frozen")


@pytest.mark.parametrize(
    "kind", [each if each in AT_ONCE else pytest.param(each, marks=pytest.mark.slow) for each in OUTAGES]
)
def test_an_outage(shared: Shared, kind: str) -> None:
    redis, nodes, inside = shared
    begin, end = OUTAGES[kind]
    lines = [node.log.count("#warn") for node in nodes]
    last = leave(nodes[0].enter_as())
    begin(redis)
    for line, seconds in at_once(*(node.turned_away for node in nodes)):
        assert line.startswith(UNAVAILABLE)
        assert seconds < 1
    for node in nodes:
        assert node.refusal_at_once().startswith(UNAVAILABLE)
    for client in inside:
        is_served(client)
        assert client.ask(b"status").startswith(UNAVAILABLE)

    end(redis)
    for node in nodes:
        name = leave(node.enter_as())
        assert name > last
        last = name
    wait_until(lambda: redis.taken == 2)
    assert present(inside[0]) == present(inside[1])
    assert len(present(inside[0])) == 2
    for node, before in zip(nodes, lines, strict=True):
        assert node.log.count("#warn") - before <= MOST_LINES
        assert "Traceback" not in node.log


def leave(who: tuple[RawClient, bytes]) -> int:
    """The number of a client that goes."""
    who[0].close()
    return int(who[1].removeprefix(b"Client"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "FLUSHALL",
        "SCRIPT FLUSH",
        "CLIENT KILL TYPE normal",
        "DEBUG SLEEP 0.9",
        "CONFIG SET timeout 1",
        "CLIENT PAUSE 900",
    ],
)
def test_what_happens_under_load(shared: Shared, command: str) -> None:
    """The limit holds, no name is given twice, and nobody has to do anything."""
    redis, nodes, inside = shared
    last = leave(nodes[0].enter_as())
    names: list[bytes] = []
    most = [0]
    now_inside = [2]
    lock = threading.Lock()
    stop = threading.Event()

    def come_and_go(node: Node) -> None:
        while not stop.is_set():
            with RawClient(node.port) as client:
                line = client.line()
                assert line.startswith((WELCOME, FULL, UNAVAILABLE)), line
                if line.startswith(WELCOME):
                    with lock:
                        names.append(line.split()[1])
                        now_inside[0] += 1
                        most[0] = max(most[0], now_inside[0])
                    client.ask(b"hello")
                    with lock:
                        now_inside[0] -= 1
                    client.send(b"exit\n")
                    client.rest()

    threads = [threading.Thread(target=come_and_go, args=(node,)) for node in nodes * 4]
    for thread in threads:
        thread.start()
    for _ in range(3):
        let_in = len(names)
        redis.ask(*command.split())
        wait_until(lambda: len(names) > let_in + 10)  # noqa: B023 -- it is called here alone
    stop.set()
    for thread in threads:
        thread.join()
    redis.ask("CONFIG", "SET", "timeout", 0)
    numbers = [int(name.removeprefix(b"Client")) for name in names]
    assert len(set(numbers)) == len(numbers) > 0
    assert min(numbers) > last
    assert most[0] <= 5
    wait_until(lambda: redis.taken == 2)
    assert len(present(inside[0])) == len(present(inside[1])) == 2


@pytest.mark.slow
@pytest.mark.parametrize("lease", [1, 1.5])
@pytest.mark.parametrize("forget", [start_empty, lambda redis: redis.ask("FLUSHALL")])
def test_who_is_inside_is_counted_before_anybody_is_let_in(
    folder: Path, redis: Redis, forget: Callable[[Redis], None], lease: float
) -> None:
    with cluster(folder, redis, lease=lease) as (a, b):
        inside = [b.enter() for _ in range(3)]
        if forget is start_empty:
            redis.kill()
            assert a.refusal().startswith(UNAVAILABLE)
        began = time.monotonic()
        forget(redis)
        told = [a.refusal() for _ in iter(lambda: time.monotonic() < began + 1.5 * lease, False)]
        assert {line.split()[1] for line in told} <= {b"unavailable", b"full"}
        assert time.monotonic() - began < 1.5 * lease + SLACK
        assert told[-1].startswith(FULL)
        assert redis.taken == 3
        inside[0].close()
        assert a.enter_as()[1] == b"Client04"
