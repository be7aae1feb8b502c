"""A client's conversation of which every step is the test's, by both ways that a file can go: copied or within the
system."""

from __future__ import annotations

import os
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import maybeDeferred
from twisted.internet.selectreactor import SelectReactor

from tests.support.serving import Server, sha256
from tests.support.transports import FullTransport, Threads, turn_over

PATIENCE = 20.0
"""Seconds after which a step that never comes fails the test."""


def open_files_and_sockets() -> list[str]:
    """What this process has open, apart from what a reactor has for itself."""
    return sorted(link for link in _links() if link.startswith(("socket:", "/")) and not link.startswith("/dev/"))


def _links() -> Iterator[str]:
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one that lists them
            yield os.readlink(f"/proc/self/fd/{descriptor}")


@dataclass(frozen=True)
class Answer:
    """What a client that believes nothing makes of what came."""

    outcome: str
    """`END`, `HASH`, `reset`, or the code of an error."""
    body: bytes = b""
    proof: bytes = b""


def _judge(header: bytes, rest: bytes) -> Answer:
    """The answer; behind it comes that to `hello`, in step, and nothing more."""
    if not header.startswith(b"FILE "):
        return _judge_end(b"", header + b"\n" + rest)
    size, _, name = header[5:].split(b" ")
    assert name == b"a"
    return _judge_end(rest[: int(size)], rest[int(size) :])


def _judge_end(body: bytes, rest: bytes) -> Answer:
    end, goes_on, nothing = rest.split(b"\n")
    assert (goes_on, nothing) == (b"hello ACK", b"")
    word, proof, *_ = end.split(b" ")
    return Answer(proof.decode(), body) if word == b"ERROR" else Answer(word.decode(), body, proof)


class ChosenThreads(Threads):
    """Threads of which the test says who goes on: the one that hashes, or those that open and read."""

    def run_some(self, *, hashing: bool) -> int:
        """Make the calls of that kind that wait now; the result is how many there were."""
        chosen = [each for each in self.waiting if (each.call.__name__ == "_take_turn") is hashing]
        others = [each for each in self.waiting if each not in chosen]
        self.waiting = chosen
        count = self.run()
        self.waiting += others
        return count

    def run_in_silence(self) -> Callable[[], object]:
        """Make the one call that waits; its result is told when what comes back is called."""
        (one,) = self.waiting
        self.waiting = []
        made = maybeDeferred(one.call, *one.arguments)
        return lambda: one.tell(made)


class Exchange(ABC):
    """A server of a folder, its one client, and what that one was sent so far."""

    def __init__(self, folder: Path) -> None:
        self.threads = ChosenThreads()
        self.server = Server(folder, in_thread=self.threads)
        self.received = b""
        self.is_reset = False

    @abstractmethod
    def asks(self, data: bytes) -> None:
        """Let the client say `data`, and the server hear it."""

    @abstractmethod
    def turn(self) -> None:
        """Let the server write, and the client read."""

    @abstractmethod
    def close(self) -> None:
        """End the connection and give everything back."""

    def _answer(self) -> Answer:
        """What was asked last led to; behind it the client asked `hello`."""
        header, _, rest = self.received.partition(b"\n")
        if not self.is_reset:
            return _judge(header, rest)
        assert b"END" not in rest
        return Answer("reset", rest)

    def until(self, condition: Callable[[], object]) -> None:
        """Open, read, send, but hash nothing, until `condition` holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, (self.received[-200:], self.threads.waiting)
            self.turn()
            self.threads.run_some(hashing=False)

    def sends(self, count: int) -> None:
        """Go on until `count` bytes of files were given to the transport."""
        self.until(lambda: self.server.admission.records()[0].bytes >= count)

    def hashes(self, turns: int) -> None:
        """Let the hashing go on for some turns, and send nothing meanwhile."""
        for _ in range(turns):
            assert self.threads.run_some(hashing=True)

    def ends(self) -> Answer:
        """Go on until the client has read the answer to `hello`, which it asked last, or was reset."""
        self.until_quiet()
        return self._answer()

    def fetch(self, request: bytes) -> Answer:
        """Ask one thing, to its end."""
        self.received = b""
        self.asks(request + b"\nhello\n")
        return self.ends()

    def until_quiet(self) -> None:
        """Go on as far as it goes."""
        self.until(self._step_of_all)

    def _step_of_all(self) -> bool:
        self.threads.run_all()
        return self.is_reset or self.received.endswith(b"hello ACK\n")


class Copied(Exchange):
    """In memory: the bytes are read by a thread, and written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._transport = FullTransport()
        self._peer = self.server.greeted(self._transport)
        self._transport.drain()

    def asks(self, data: bytes) -> None:
        self._peer.sends(data)

    def turn(self) -> None:
        turn_over(self.server.clock)
        self.received += self._transport.drain()
        if self._transport.aborted and not self.is_reset:
            self.is_reset = True
            self._peer.vanishes()

    def close(self) -> None:
        if not self.is_reset:
            self._peer.vanishes()
        self.threads.run_all()


class WithinTheSystem(Exchange):
    """Over a socket of a reactor that runs when the test says so: `sendfile`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._reactor: Any = SelectReactor()
        self._port = self._reactor.listenTCP(0, self.server.factory, interface="127.0.0.1")
        self._client = socket.create_connection(("127.0.0.1", self._port.getHost().port), PATIENCE)
        self._client.setblocking(False)
        self.until(lambda: self.received.endswith(b"chatfile/1\n"))
        self.received = b""

    def asks(self, data: bytes) -> None:
        self._client.sendall(data)
        self.until(self._hears)

    def _hears(self) -> bool:
        self._reactor.iterate(0)
        return bool(self.threads.waiting)

    def turn(self) -> None:
        self._reactor.iterate(0)
        turn_over(self.server.clock)
        try:
            self.received += self._client.recv(1 << 20)
        except BlockingIOError:
            pass
        except ConnectionResetError:
            self.is_reset = True

    def close(self) -> None:
        self._client.close()
        stopped = self._port.stopListening()
        deadline = time.monotonic() + PATIENCE
        while not stopped.called or self.server.connected() or self._reactor.getDelayedCalls():
            assert time.monotonic() < deadline
            self.threads.run_all()
            self._reactor.iterate(0)
        self._reactor.waker.connectionLost(None)


NEXT = b"what stays as it is\n"


@contextmanager
def exchanging(kind: type[Exchange], folder: Path, content: bytes) -> Iterator[Exchange]:
    """An exchange about a file `a`, next to another one, that leaves nothing behind."""
    folder.mkdir()
    before = open_files_and_sockets()
    exchange = kind(folder)
    exchange.server.put("a", content)
    exchange.server.put("next", NEXT)
    yield exchange
    exchange.close()
    assert exchange.server.connected() == []
    assert open_files_and_sockets() == before


def assert_goes_on(exchange: Exchange) -> None:
    """The next request is answered in step, unless the connection was reset; then the seat is free."""
    if exchange.is_reset:
        assert exchange.server.connected() == []
        return
    exchange.received = b""
    exchange.asks(b"get next\nhello\n")
    exchange.until_quiet()
    _, _, rest = exchange.received.partition(b"\n")
    assert rest == NEXT + b"END " + sha256(NEXT) + b"\nhello ACK\n"


BY_BOTH_WAYS = pytest.mark.parametrize("kind", [Copied, WithinTheSystem])
