"""How a raw client waits for the server to end it, and everyone for anything."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator

from tests.support.processes import PATIENCE, RawClient


def until_answered(client: RawClient, every: float) -> Iterator[None]:
    """Go on, each time so many seconds later, until there is something to read."""
    for _ in range(int(PATIENCE / every)):
        if select.select([client.socket], [], [], every)[0]:
            return
        yield
    raise AssertionError("no word from the server")


def await_reset(client: RawClient) -> None:
    """Read nothing until the connection is reset."""
    watch = select.poll()
    watch.register(client.socket, 0)  # errors are always told, and nothing else is wanted
    assert watch.poll(PATIENCE * 1000), "the server did not reset the connection"


def send_until_reset(client: RawClient, data: bytes) -> None:
    """Send and read nothing until the connection is reset."""
    watch = select.poll()
    watch.register(client.socket, select.POLLOUT)
    deadline = time.monotonic() + PATIENCE
    try:
        while time.monotonic() < deadline:
            if watch.poll(1000):
                client.socket.send(data)
    except TimeoutError:
        raise AssertionError("the server did not reset the connection") from None
    except ConnectionError:
        return
    raise AssertionError("the server took all of it")


def await_hangup(client: RawClient, every: float = 0.1) -> None:
    """After the server's end was read: wait until it has let go of the socket as well."""
    watch = select.poll()
    watch.register(client.socket, 0)
    for _ in range(int(PATIENCE / every)):
        try:
            os.write(client.socket.fileno(), b"?")  # beneath TLS, which has ended
        except ConnectionError:
            return
        if watch.poll(every * 1000):
            return
    raise AssertionError("the server did not hang up")


def wait_until(condition: Callable[[], bool], otherwise: str) -> None:
    """Look again and again; `otherwise` is what is wrong if it never comes."""
    deadline = time.monotonic() + 3 * PATIENCE
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)
