"""What answers at the engine's port is no engine, or has gone mad: nobody is let in by it, and nothing breaks."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.false_engine import Answers, FalseEngine
from tests.support.nodes import UNAVAILABLE, Node, cluster, rows
from tests.support.processes import wait_until
from tests.support.redis import Redis, free_port, needs_redis
from tests.support.relay import Relay

SECRET = "hunter-two"
MOST_MEMORY = 150 << 10
"""KiB that a node may ever have had in memory; some 50 MiB are its own."""


def once(answer: bytes) -> Answers:
    """It says this whenever it has heard something."""

    def answers(heard: bytes) -> Iterator[bytes]:
        if heard:
            yield answer

    return answers


def endless(begin: bytes, piece: bytes, *, unasked: bool = False) -> Answers:
    """It begins so, and goes on with the piece for as long as anybody listens."""

    def answers(heard: bytes) -> Iterator[bytes]:
        if heard or unasked:
            yield begin
            while True:
                yield piece

    return answers


def echo(heard: bytes) -> Iterator[bytes]:
    yield heard


def noise(heard: bytes) -> Iterator[bytes]:
    while True:
        yield os.urandom(4096)


def another_error_each_time(heard: bytes) -> Iterator[bytes]:
    if heard:
        yield b"+OK\r\n" if b"AUTH" in heard else b"-ERR %s\r\n" % os.urandom(9).hex().encode()


def repeats_the_password(heard: bytes) -> Iterator[bytes]:
    if heard:
        repeated = b"-ERR unknown command, with args beginning with: '%s' \r\n" % SECRET.encode()
        yield b"+OK\r\n" if b"AUTH" in heard else repeated


NONSENSE: dict[str, Answers | None] = {
    "it closes at once": None,
    "it says nothing": lambda heard: iter(()),
    "noise": noise,
    "HTTP": once(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    "TLS": once(bytes.fromhex("15030100020246")),
    "echo": echo,
    "a line without end": endless(b"+", bytes(65_536)),
    "a text without end": endless(b"$1000000000\r\n", bytes(65_536)),
    "a text of less than nothing": endless(b"$-7\r\n", bytes(65_536)),
    "a list without end": endless(b"*1000000000\r\n", b"$60000\r\n" + bytes(60_000) + b"\r\n"),
    "lists in lists": endless(b"", b"*1\r\n" * 10_000),
    "numbers without end": endless(b"*1000000000\r\n", b":1\r\n" * 10_000),
    "answers without questions": endless(b"", b"+OK\r\n" * 1000, unasked=True),
    "two answers to each question": once(b"+OK\r\n+OK\r\n"),
    "a list": once(b"*2\r\n+master\r\n*-1\r\n"),
    "nothing": once(b"$-1\r\n"),
    "no text": once(b"+\xff\xfe\r\n"),
    "no length": once(b"$%s\r\n" % SECRET.encode()),
    "no number": once(b":%s\r\n" % SECRET.encode()),
    "an error with the password": repeats_the_password,
    "another error each time": another_error_each_time,
}


FEW = (
    "it closes at once", "noise", "a text without end", "answers without questions", "no number",
    "an error with the password", "another error each time",
)  # fmt: skip


@pytest.mark.parametrize(
    "kinds", [pytest.param(FEW, id="some"), pytest.param(NONSENSE, id="all", marks=pytest.mark.slow)]
)
def test_nonsense_lets_nobody_in_and_breaks_nothing(folder: Path, kinds: Iterable[str]) -> None:
    """One node goes through it all, so that what each leaves behind adds up."""
    with FalseEngine(None) as engine:
        url = engine.url.replace("//", f"//:{SECRET}@")
        began = time.monotonic()
        with Node(folder, url, lease=1) as node:
            for name in kinds:
                engine.answers, before = NONSENSE[name], engine.count
                wait_until(lambda before=before: engine.count >= before + 2)  # type: ignore[misc]  # it is no default
                line, seconds = node.turned_away()
                assert (line.startswith(UNAVAILABLE), seconds < 1, "#warn" in node.log) == (True, True, True), name
            peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{node.process.pid}/status").read_text())
            assert peak is not None
            assert int(peak[1]) < MOST_MEMORY
            assert SECRET not in node.log
            told = node.log.count("#warn")
            assert 0 < told <= 10 * (1 + (time.monotonic() - began) // 10)


@needs_redis
@pytest.mark.slow
def test_right_words_with_wrong_numbers(folder: Path, redis: Redis) -> None:
    """No name is given twice because the engine says so, and no answer that a node can't use fills its log."""
    with Relay(redis.port) as relay, cluster(folder, relay.url, count=1, limit=9) as (node,):
        first = node.enter()
        relay.change = lambda data: re.sub(rb"\+seat [0-9]+", b"+seat 1", data)
        assert node.refusal().startswith(UNAVAILABLE)
        relay.change = lambda data: data.replace(b"+seat", b"+seal")
        for _ in range(8):
            assert node.refusal().startswith(UNAVAILABLE)
            wait_until(lambda: redis.taken == 1)  # it has joined again, and the seat is free that nobody has
        relay.change = lambda data: data
        name = node.enter_as()[1]
        assert name not in (b"", b"Client01")
        assert [row[0] for row in rows(first)][-1] == name.decode()
        assert redis.taken == 2
        assert node.log.count("#warn") < 10


ENTRIES = [
    "",
    "nonsense",
    "node 127.0.0.1 127.0.0.1:1 nan - 0 0",
    "node 127.0.0.1 127.0.0.1:1 1e999 - 0 0",
    "node 127.0.0.1 127.0.0.1:1 -5 - 0 0",
    "node 127.0.0.1 127.0.0.1:1 5 - 0 9" + "9" * 5000,
    "node 127.0.0.1 \x1b[2J 5 - 0 0",
]


@needs_redis
@pytest.mark.slow
def test_an_entry_that_no_node_has_written(folder: Path, redis: Redis) -> None:
    with cluster(folder, redis, count=1) as (node,):
        client = node.enter()
        redis.ask("ZADD", redis.key("order"), 7, 7)
        for entry in ENTRIES:
            redis.ask("HSET", redis.key("rows"), 7, entry)
            assert client.ask(b"status").startswith(UNAVAILABLE)
            assert client.ask(b"hello") == b"hello ACK"
            redis.ask("HDEL", redis.key("rows"), 7)
            wait_until(lambda: client.ask(b"status") == b"STATUS 1")
            assert client.line().startswith(b"Client01 ")


@needs_redis
@pytest.mark.slow
def test_keys_of_another_kind(folder: Path, redis: Redis) -> None:
    """Somebody else has a key of that name."""
    with cluster(folder, redis, count=1) as (node,):
        client = node.enter()
        for name in ("seats", "rows", "order", "gone", "hosts", "nodes", "generations", "state"):
            redis.ask("DEL", redis.key(name))
            redis.ask("SET", redis.key(name), "x")
            node.refusal()
            assert client.ask(b"hello") == b"hello ACK"
            redis.ask("DEL", redis.key(name))
        node.enter()


@needs_redis
@pytest.mark.slow
def test_the_one_good_sentinel_among_bad_ones_is_found(folder: Path, redis: Redis) -> None:
    tells = b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%d\r\n" % (len(str(redis.port)), redis.port)
    kinds = None, noise, once(b"*-1\r\n"), once(b"*2\r\n+here\r\n+there\r\n"), once(b"+\xff\r\n"), once(tells)
    with ExitStack() as stack:
        sentinels = [stack.enter_context(FalseEngine(each)) for each in kinds]
        places = ",".join(
            ["nowhere.invalid:1", f"127.0.0.1:{free_port()}", *(f"127.0.0.1:{each.port}" for each in sentinels)]
        )
        with Node(folder, f"sentinel://{places}/name") as node:
            node.enter()
            assert redis.taken == 1
