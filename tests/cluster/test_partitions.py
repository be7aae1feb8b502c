"""Nodes that are cut off from the engine, or asleep, and what comes too late."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.nodes import FULL, SLACK, UNAVAILABLE, Node, cluster, present
from tests.support.processes import wait_until
from tests.support.redis import Redis, needs_redis
from tests.support.relay import Relay

pytestmark = [needs_redis, pytest.mark.slow]
LEASE = 1.2


@pytest.fixture
def relay(redis: Redis) -> Iterator[Relay]:
    with Relay(redis.port) as relay:
        yield relay


@pytest.fixture
def parts(folder: Path, redis: Redis, relay: Relay) -> Iterator[tuple[Node, Node]]:
    """A node whose way to the engine is the relay, and one with a way of its own."""
    with ExitStack() as stack:
        [far] = stack.enter_context(cluster(folder, relay.url, count=1, lease=LEASE))
        [near] = stack.enter_context(cluster(folder, redis, count=1, lease=LEASE))
        yield far, near


def test_a_node_that_is_cut_off_lets_nobody_in_and_serves_who_is_inside(
    redis: Redis, relay: Relay, parts: tuple[Node, Node]
) -> None:
    far, near = parts
    inside = [far.enter(), far.enter(), near.enter()]
    assert near.refusal().startswith(FULL)
    relay.freeze()
    cut_off = time.monotonic()
    line, seconds = far.turned_away()
    assert (line.startswith(UNAVAILABLE), seconds < 1) == (True, True)
    others = [near.enter() for _ in range(2)]  # the seats are given away
    assert time.monotonic() - cut_off < LEASE + SLACK
    assert near.refusal().startswith(FULL)
    for client in inside[:2]:
        assert client.ask(b"hash small.txt").startswith(b"HASH ")
        assert client.ask(b"status").startswith(UNAVAILABLE)
    assert far.refusal().startswith(UNAVAILABLE)

    relay.thaw()
    wait_until(lambda: redis.taken == 5)  # more are inside than may be: all are counted
    assert len(present(inside[2])) == 5
    for client in inside[:2]:
        wait_until(lambda client=client: client.ask(b"hello") == b"hello ACK")  # type: ignore[misc]  # no default
        assert far.refusal().startswith((FULL, UNAVAILABLE))
        assert near.refusal().startswith(FULL)
        client.close()
    wait_until(lambda: redis.taken == 3)
    assert near.refusal().startswith(FULL)
    others[0].close()
    assert far.enter_as()[1] == b"Client06"


def test_an_admission_that_was_stuck_on_an_old_connection_is_void(
    redis: Redis, relay: Relay, parts: tuple[Node, Node]
) -> None:
    far, near = parts
    guest = near.enter()
    stuck = relay.passages[-1]
    relay.stops_at = b"HINCRBY', state, 'next'"
    assert far.refusal().startswith(UNAVAILABLE)
    relay.stops_at = b""
    assert far.enter_as()[1] == b"Client02"  # it has joined again
    stuck.up.set()
    wait_until(lambda: stuck.is_over)
    assert redis.taken == len(present(guest)) == 2
    assert near.enter_as()[1] == b"Client03"


def test_a_late_join_frees_nothing(folder: Path, redis: Redis, relay: Relay) -> None:
    """It says that nobody is inside, and comes when somebody is."""
    relay.stops_at = b"local missing"
    with Node(folder, relay.url, lease=LEASE) as node:
        wait_until(lambda: bool(relay.passages) and not relay.passages[0].up.is_set())
        relay.stops_at = b""
        client, _ = node.enter_as()
        before = redis.ask("HVALS", redis.key("generations"))
        relay.passages[0].up.set()
        wait_until(lambda: relay.passages[0].is_over)
        assert redis.taken == 1
        assert redis.ask("HVALS", redis.key("generations")) == before
        assert len(present(client)) == 1
        assert node.enter_as()[1] == b"Client02"


def test_a_handshake_that_freezes(folder: Path, redis: Redis, relay: Relay) -> None:
    relay.is_silent = True
    with Node(folder, relay.url, lease=LEASE) as node:
        for _ in range(3):
            line, seconds = node.turned_away()
            assert (line.startswith(UNAVAILABLE), seconds < 1) == (True, True)
        relay.is_silent = False
        began = time.monotonic()
        node.enter()
        assert time.monotonic() - began < 0.8 + 0.25 + LEASE / 2 + SLACK


def test_a_node_that_sleeps_longer_than_a_lease(redis: Redis, parts: tuple[Node, Node]) -> None:
    far, near = parts
    inside = [far.enter() for _ in range(3)]
    far.process.send_signal(signal.SIGSTOP)
    asleep = time.monotonic()
    late = [far.connect() for _ in range(2)]  # the system accepts them
    others = [near.enter() for _ in range(3)]
    assert time.monotonic() - asleep < LEASE + SLACK
    far.process.send_signal(signal.SIGCONT)
    for client in late:
        assert client.line().startswith((FULL, UNAVAILABLE))
        client.close()
    for client in inside:
        assert client.ask(b"hello") == b"hello ACK"
    wait_until(lambda: redis.taken == 6)
    for node in parts:
        assert node.refusal().startswith((FULL, UNAVAILABLE))
    for client in (*inside, *others):
        client.close()
    wait_until(lambda: redis.taken == 0)
    assert far.enter_as()[1] == b"Client07"


def test_a_node_that_sleeps_over_an_answer_lets_nobody_in_by_it(
    redis: Redis, relay: Relay, parts: tuple[Node, Node]
) -> None:
    """The answer was right when it came: by now the seat is another's."""
    far, near = parts
    here = [near.enter() for _ in range(2)]
    relay.passages[-1].down.clear()
    client = far.connect()
    wait_until(lambda: redis.taken == 3)  # it has the last seat, and does not know it yet
    far.process.send_signal(signal.SIGSTOP)
    relay.passages[-1].down.set()
    here.append(near.enter())  # the lease is over
    far.process.send_signal(signal.SIGCONT)
    assert client.line().startswith(UNAVAILABLE)
    client.close()
    wait_until(lambda: redis.taken == 3)
    assert len(present(here[0])) == 3
    assert far.refusal().startswith((FULL, UNAVAILABLE))
