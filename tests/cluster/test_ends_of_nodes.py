"""A node is killed, ends, or is started anew: when its seats are free again."""

from __future__ import annotations

import hashlib
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.nodes import FULL, SLACK, UNAVAILABLE, Node, cluster, present, rows
from tests.support.processes import RawClient
from tests.support.redis import Redis, free_port, needs_redis

pytestmark = [needs_redis, pytest.mark.slow]
LONG = 60.0
"""Seconds of a lease that does not end in a test."""


def test_the_seats_of_a_node_that_is_killed_are_free_within_the_lease(folder: Path, redis: Redis) -> None:
    lease = 1.5
    with cluster(folder, redis, lease=lease) as (a, b), ExitStack() as stack:
        for _ in range(3):
            a.enter()
        a.process.kill()
        killed = time.monotonic()
        assert b.refusal().startswith(FULL)
        client, name = b.enter_as()
        assert lease / 2 - 0.2 < time.monotonic() - killed < lease + SLACK
        assert name == b"Client04"
        assert [row[3] == "-" for row in rows(client)] == [False, False, False, True]
        [again] = stack.enter_context(cluster(folder, redis, count=1, lease=lease))
        assert again.enter_as()[1] == b"Client05"


def sent_something(node: Node) -> tuple[RawClient, int]:
    """A client amid a file that it reads slowly, and what it was promised."""
    client = node.connect(receive_buffer=4096)
    assert client.line().startswith(b"WELCOME ")
    return client, int(client.ask(b"get big.bin").split()[1])


def test_a_node_that_ends_frees_each_seat_when_it_is_left(folder: Path, redis: Redis) -> None:
    with cluster(folder, redis, lease=LONG) as (a, b):
        reading, size = sent_something(a)
        idle = a.enter()
        last = b.enter()
        a.process.send_signal(signal.SIGTERM)
        assert idle.line().startswith(b"ERROR shutdown ")
        idle.close()
        assert b.enter_as()[1] == b"Client04"
        assert b.refusal().startswith(FULL)  # for who is still being sent to
        content = reading.read(size)
        assert reading.line() == b"END " + hashlib.sha256(content).hexdigest().encode()
        assert reading.rest().startswith(b"ERROR shutdown ")
        reading.close()
        assert a.ended() == -signal.SIGTERM
        assert b.enter_as()[1] == b"Client05"
        assert redis.ask("ZCARD", redis.key("nodes")) == redis.ask("HLEN", redis.key("generations")) == "1"
        assert len(present(last)) == 3


def test_a_second_signal_ends_a_node_at_once(folder: Path, redis: Redis) -> None:
    with cluster(folder, redis, lease=LONG) as (a, b):
        reading, size = sent_something(a)
        a.process.send_signal(signal.SIGTERM)
        a.log_until("Going down")
        began = time.monotonic()
        a.process.send_signal(signal.SIGTERM)
        assert a.ended() == -signal.SIGTERM
        assert time.monotonic() - began < 1 + SLACK
        with pytest.raises(ConnectionResetError):
            reading.read(size)
        assert redis.taken == 0
        assert [b.enter_as()[1] for _ in range(3)] == [b"Client02", b"Client03", b"Client04"]


@pytest.mark.parametrize("begin", [Redis.freeze, Redis.kill])
def test_a_node_ends_in_bounded_time_without_the_engine(
    folder: Path, redis: Redis, begin: Callable[[Redis], None]
) -> None:
    with cluster(folder, redis, lease=LONG) as (a, b):
        inside = [a.enter(), b.enter()]
        begin(redis)
        began = time.monotonic()
        for node in (a, b):
            node.process.send_signal(signal.SIGTERM)
        for client in inside:
            assert client.rest().startswith(b"ERROR shutdown ")
            client.close()
        assert [node.ended() for node in (a, b)] == [-signal.SIGTERM] * 2
        assert time.monotonic() - began < 0.8 + 0.5 + SLACK
        redis.thaw()


def test_a_node_ends_that_has_never_seen_the_engine(folder: Path) -> None:
    with Node(folder, f"redis://127.0.0.1:{free_port()}") as node:
        assert node.refusal().startswith(UNAVAILABLE)
        began = time.monotonic()
        node.process.send_signal(signal.SIGTERM)
        assert node.ended() == -signal.SIGTERM
        assert time.monotonic() - began < SLACK


def test_nodes_are_replaced_one_by_one(folder: Path, redis: Redis) -> None:
    """Nobody waits for a lease, no name is given twice, and there is always one that lets clients in."""
    with cluster(folder, redis, lease=LONG) as nodes, ExitStack() as stack:
        names = [node.enter_as()[1] for node in nodes]
        for old in list(nodes):
            [new] = stack.enter_context(cluster(folder, redis, count=1, lease=LONG))
            old.process.send_signal(signal.SIGTERM)
            assert old.ended() == -signal.SIGTERM
            names.append(new.enter_as()[1])
        assert names == [b"Client%02d" % number for number in range(1, 5)]
        assert redis.taken == 2
