"""Several nodes are one server: real processes, and the real Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.nodes import FULL, SLACK, cluster, present, rows
from tests.support.processes import wait_until
from tests.support.redis import Redis, needs_redis

pytestmark = needs_redis
LEASE = 1.5


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with Redis(tmp_path_factory.mktemp("redis")) as running:
        yield running


def test_two_nodes_are_one_server(folder: Path, engine: Redis) -> None:
    with cluster(folder, engine, "--history=2", lease=LEASE) as (a, b):
        inside = [node.enter_as() for node in (a, b, a)]
        assert [name for _, name in inside] == [b"Client01", b"Client02", b"Client03"]
        for node in (a, b):
            assert node.refusal().startswith(FULL)

        guests = [client for client, _ in inside]
        ours = ["Client01", "Client02", "Client03"]
        assert [present(client) for client in guests] == [ours] * 3

        assert guests[0].ask(b"get small.txt").startswith(b"FILE ")
        guests[0].read(7), guests[0].line()
        assert rows(guests[0])[0][4:] == rows(guests[2])[0][4:] == ["1", "7"]  # of the same node
        began = time.monotonic()
        wait_until(lambda: rows(guests[1])[0][4:] == ["1", "7"])
        assert time.monotonic() - began < LEASE / 3 + SLACK

        guests[2].close()
        wait_until(lambda: present(guests[1]) == ours[:2])
        again, name = b.enter_as()  # nobody that was refused has a name
        assert name == b"Client04"
        assert [row[0] for row in rows(again)] == [*ours, "Client04"]
        for client in guests[:2]:
            client.close()
        wait_until(lambda: present(again) == ["Client04"])
        assert [row[0] for row in rows(again)] == ["Client01", "Client02", "Client04"]  # the latest two that left
        assert engine.taken == 1
