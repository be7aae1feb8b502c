"""Nodes of a cluster as real processes, and what their clients see of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

from tests.support.processes import PATIENCE, RawClient, ServerProcess, wait_until
from tests.support.redis import Redis

WELCOME = b"WELCOME "
FULL = b"ERROR full "
UNAVAILABLE = b"ERROR unavailable "
AT_ONCE = 0.2
"""Seconds; the engine is waited for longer than that."""
SLACK = 1.0
"""Seconds that something may be late here, where other programs run on the same two processors."""


class Node(ServerProcess):
    """`twistd -n chatfile --cluster`; at its end it has no more descriptors than at its start."""

    def __init__(self, folder: Path, engine: str, *options: str, lease: float = 1.5, limit: int = 3, **how: Any):
        shared = (f"--cluster={engine}", f"--lease={lease:g}", f"--max-clients={limit}")
        super().__init__(folder, *shared, *options, **how)

    def knock(self) -> tuple[RawClient, bytes]:
        """A new client and what it is told first; nothing, where it is cut off without a word."""
        client = self.connect()
        try:
            return client, client.line()
        except ConnectionResetError:
            return client, b""

    def enter(self) -> RawClient:
        """A client that comes again and again until it is let in."""
        return self.enter_as()[0]

    def enter_as(self) -> tuple[RawClient, bytes]:
        """Such a client, and its name."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            client, line = self.knock()
            if line.startswith(WELCOME):
                return client, line.split()[1]
            client.close()
            time.sleep(0.02)  # as a client does that comes again
        raise AssertionError(f"nobody is let in: {line!r}, {self.log}")

    def refusal(self) -> bytes:
        """What a newcomer is told that is not let in, and is seen off after it."""
        client, line = self.knock()
        assert client.rest() == b"", line
        client.close()
        return line

    def turned_away(self) -> tuple[bytes, float]:
        """The same, and the seconds from its coming to the end of the connection."""
        began = time.monotonic()
        return self.refusal(), time.monotonic() - began

    def refusal_at_once(self) -> bytes:
        """What newcomers are told without waiting for the engine: the fastest of some, for the machine may be busy."""
        line, seconds = min((self.turned_away() for _ in range(5)), key=itemgetter(1))
        assert seconds < AT_ONCE
        return line

    def _check(self) -> None:
        for client in self._clients:
            client.close()
        if self.process.poll() is None:
            wait_until(lambda: len(self._open()) <= len(self._descriptors) + 1)  # its connection to the engine


def rows(client: RawClient) -> list[list[str]]:
    """The fields of each row that a client is shown by `status`."""
    header = client.ask(b"status")
    assert header.startswith(b"STATUS "), header
    return [client.line().decode().split() for _ in range(int(header.split()[1]))]


def present(client: RawClient) -> list[str]:
    """The names of those that `status` shows as connected."""
    return [row[0] for row in rows(client) if row[3] == "-"]


@contextmanager
def cluster(folder: Path, redis: Redis | str, *options: str, count: int = 2, **how: Any) -> Iterator[list[Node]]:
    """So many nodes at one engine; if that is given, they let clients in already."""
    url = redis if isinstance(redis, str) else redis.url

    def start(_: int) -> Node:
        return Node(folder, url, *options, **how)

    with ThreadPoolExecutor(count) as pool, ExitStack() as stack:
        nodes = [stack.enter_context(node) for node in pool.map(start, range(count))]
        for node in nodes:
            node.log_until("are counted at the engine")
        if isinstance(redis, Redis):
            redis.ask("HSET", redis.key("state"), "opens", 0)  # all are here: there is nobody to be waited for
        yield nodes


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What each of the calls returns, all made in threads at the same time."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [each.result() for each in [pool.submit(call) for call in calls]]
