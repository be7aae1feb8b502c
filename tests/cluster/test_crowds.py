"""Many clients at several nodes at once: the limit, the names, and those that go while they are asked for."""

from __future__ import annotations

import random
import resource
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Papers
from tests.support.nodes import FULL, UNAVAILABLE, WELCOME, Node, cluster, present
from tests.support.processes import RawClient, wait_until
from tests.support.redis import Redis, needs_redis

pytestmark = [needs_redis, pytest.mark.slow]


class Crowd:
    """Clients that come, stay for a moment and go, at all nodes at once, and what they have seen."""

    def __init__(self, nodes: list[Node], count: int) -> None:
        self.names: list[str] = []
        self.most = 0
        self.told: Counter[bytes] = Counter()
        self.faults: list[Exception] = []
        self._inside = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._come_and_go, args=(nodes[number % len(nodes)], random.Random(number)))
            for number in range(count)
        ]

    def run(self, seconds: float) -> None:
        for each in self._threads:
            each.start()
        self._ended.wait(seconds)
        self._ended.set()
        for each in self._threads:
            each.join()
        assert not self.faults

    def _come_and_go(self, node: Node, chance: random.Random) -> None:
        while not self._ended.is_set():
            try:
                with RawClient(node.port) as client:
                    self._visit(client, chance)
            except Exception as error:
                self.faults.append(error)
                return

    def _visit(self, client: RawClient, chance: random.Random) -> None:
        line = client.line()
        with self._lock:
            self.told[line.split()[1] if line.startswith(b"ERROR") else line.split()[0]] += 1
            if not line.startswith(WELCOME):
                return
            self.names.append(line.split()[1].decode())
            self._inside += 1  # later than the seat was taken, and earlier than it is given back
            self.most = max(self.most, self._inside)
        if chance.random() < 0.5:
            assert client.ask(b"hello") == b"hello ACK"
        with self._lock:
            self._inside -= 1
        if chance.random() < 0.3:
            client.reset()


def test_the_limit_under_a_race_of_three_nodes(folder: Path, redis: Redis) -> None:
    with cluster(folder, redis, count=3, limit=5, lease=3) as nodes:
        crowd = Crowd(nodes, 30)
        crowd.run(4)
        assert crowd.most <= 5
        assert len(set(crowd.names)) == len(crowd.names) > 50
        assert crowd.told[b"unavailable"] < crowd.told[b"full"] / 10
        wait_until(lambda: redis.taken == 0)
        last = max(int(name.removeprefix("Client")) for name in crowd.names)
        assert int(redis.ask("HGET", redis.key("state"), "next")) == last == len(crowd.names)  # none was wasted
        assert nodes[0].enter_as()[1] == b"Client%02d" % (last + 1)


def test_the_limit_of_an_address_is_one_for_all_nodes(folder: Path, redis: Redis) -> None:
    with cluster(folder, redis, "--max-per-address=2", count=2, limit=9) as (a, b):
        inside = [a.enter(), b.enter()]
        for node in (a, b):
            assert b"your address" in node.refusal()
        inside[0].close()
        wait_until(lambda: redis.taken == 1)
        assert b.enter_as()[1] == b"Client03"


def test_clients_that_go_while_they_are_asked_for(folder: Path, redis: Redis) -> None:
    with cluster(folder, redis, limit=5, lease=3) as nodes:
        for node in nodes:
            for number in range(150):
                client = node.connect()
                [client.reset, client.close, client.half_close][number % 3]()
        for node in nodes:
            for client in node._clients:
                client.close()
        wait_until(lambda: redis.taken == 0)
        admitted = sum(_admitted(node) for node in nodes)
        assert int(redis.ask("HGET", redis.key("state"), "next") or 0) <= 300
        client, name = nodes[0].enter_as()
        assert int(name.removeprefix(b"Client")) - 1 >= admitted
        assert present(client) == [name.decode()]
        redis.freeze()
        for node in nodes:
            for _ in range(150):
                node.connect().reset()
        assert nodes[1].refusal().startswith(UNAVAILABLE)
        redis.thaw()
        nodes[1].enter()
        wait_until(lambda: redis.taken == 2)


def _admitted(node: Node) -> int:
    return node.log.count(" is admitted from ")


def test_who_half_closes_at_once_is_answered(folder: Path, redis: Redis) -> None:
    with cluster(folder, redis) as nodes:
        for node in nodes:
            client = node.connect()
            client.send(b"hello\nhash small.txt\nget small.txt")
            client.half_close()
            replies = client.rest().splitlines()
            assert [line.split()[0] for line in replies] == [b"WELCOME", b"hello", b"HASH", b"FILE", b"a", b"END"]
        wait_until(lambda: redis.taken == 0)


def test_no_more_wait_for_an_answer_than_may_be_without_a_seat(folder: Path, redis: Redis) -> None:
    """The engine takes its time; whoever is too many is cut off, and the others are told within a second."""
    with cluster(folder, redis, count=1, lease=4) as (node,):
        redis.freeze()
        began = time.monotonic()
        crowd = [node.connect() for _ in range(100)]
        lines = [_first_line(client) for client in crowd]
        assert time.monotonic() - began < 2
        redis.thaw()
        told = Counter(line.split()[1] if line else b"" for line in lines)
        assert set(told) <= {b"unavailable", b""}
        assert told[b"unavailable"] >= 30
        for client in crowd:
            client.close()
        node.enter()
        wait_until(lambda: redis.taken == 1)


def _first_line(client: RawClient) -> bytes:
    try:
        return client.line()
    except ConnectionResetError:
        return b""


@pytest.fixture
def few_descriptors() -> Iterator[int]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = 200
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, before[1]))
    yield few
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_node_refuses_whom_it_can_not_hold(folder: Path, redis: Redis, few_descriptors: int) -> None:
    with cluster(folder, redis, count=1, limit=1000) as (node,):
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        with cluster(folder, redis, count=1, limit=1000) as (other,):
            inside = []
            while True:
                client, line = node.knock()
                if not line.startswith(WELCOME):
                    break
                inside.append(client)
            assert line.startswith(FULL)
            assert b"This node" in line
            assert 20 <= len(inside) < few_descriptors
            assert f" {len(inside)} " in node.log_until(r"warn\].*descriptors.*"), "it says at its start how many"
            assert redis.taken == len(inside)
            assert inside[0].ask(b"get small.txt").startswith(b"FILE ")
            assert other.enter_as()[1] == b"Client%02d" % (len(inside) + 1)
            inside[-1].close()
            wait_until(lambda: redis.taken == len(inside))
            assert node.enter_as()[1] == b"Client%02d" % (len(inside) + 2)


def test_clients_over_tls_that_come_and_go(folder: Path, redis: Redis, tmp_path: Path) -> None:
    papers = Papers(tmp_path)
    context = ssl.create_default_context(cafile=str(papers.ours))
    with cluster(folder, redis, f"--certificate={papers.good}", count=1) as (node,):
        wait_until(lambda: _over_tls(context, node.port).startswith(WELCOME))
        for number in range(30):
            client = node.connect()
            if number % 2:
                client.send(b"\x16\x03\x01\x02\x00\x01")
            client.reset()
        wait_until(lambda: redis.taken == 0)
        redis.freeze()
        assert _over_tls(context, node.port).startswith(UNAVAILABLE)
        redis.thaw()
        wait_until(lambda: _over_tls(context, node.port).startswith(WELCOME))
        wait_until(lambda: redis.taken == 0)


def _over_tls(context: ssl.SSLContext, port: int) -> bytes:
    with RawClient(port) as client, context.wrap_socket(client.socket, server_hostname="localhost") as session:
        return session.recv(4096)
