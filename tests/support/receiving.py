"""A receiver of a file, driven by hand: the connection that owns its socket, the peer's end, and what became of it."""

from __future__ import annotations

import hashlib
import os
import random
import socket
from collections.abc import Callable
from pathlib import Path

from twisted.python.failure import Failure

from chatfile.disk import InThread
from chatfile.receiving import FileReceiver
from tests.support.transports import Threads, at_once

CONTENT = random.Random(3).randbytes(3_000_000)
BEHIND = b"END\n"


class Owner:
    """A connection that gives its socket to a receiver; the peer's end is `peer`."""

    def __init__(self, is_plain: bool = True) -> None:
        self.socket, self.peer = socket.socketpair()
        self.socket.setblocking(False)
        self.peer.setblocking(False)
        self.is_plain = is_plain
        self.is_detached = False
        self.is_paused = False
        self.times_detached = 0

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    def detach_socket(self) -> socket.socket | None:
        assert not self.is_detached
        self.is_detached = self.is_plain
        self.times_detached += self.is_detached
        return self.socket if self.is_plain else None

    def reattach(self) -> None:
        assert self.is_detached
        self.is_detached = False

    def read(self, most: int) -> bytes:
        """What the reactor would read now, if it may."""
        assert not self.is_detached, "there are never two readers"
        try:
            return self.socket.recv(most)
        except BlockingIOError:
            return b""


class Receiving:
    """A receiver, the connection that owns the socket, and what became of it."""

    def __init__(
        self,
        path: Path,
        in_thread: InThread = at_once,
        *,
        is_plain: bool = True,
        flags: int = os.O_RDWR,
        hashing: bool = True,
        size: int = len(CONTENT),
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.path = path
        self.owner = Owner(is_plain)
        self.descriptor = os.open(path, flags | os.O_CREAT, 0o600)
        self.hasher = hashlib.sha256()
        self.progressed = 0
        self._told = progress
        self._unsent = CONTENT[:size] + BEHIND
        self.behind = b""
        self.receiver = FileReceiver(
            self.descriptor,
            size,
            hasher=self.hasher if hashing else None,
            in_thread=in_thread,
            owner=self.owner,
            progress=self._progress,
        )
        self.outcome: list[Failure | None] = []
        self.receiver.done.addBoth(self.outcome.append)

    def _progress(self, count: int) -> None:
        self.progressed += count
        self._told(count)

    def send(self, most: int) -> None:
        """The peer sends as much as there is room for."""
        try:
            self._unsent = self._unsent[self.owner.peer.send(self._unsent[:most]) :]
        except BlockingIOError:
            pass

    def read(self, most: int = 65_536) -> None:
        """The reactor's turn."""
        data = self.owner.read(most)
        if data:
            self.behind += self.receiver.take(data) if self.receiver.remaining else data

    def run(self, most: int = 100_000, threads: Threads | None = None) -> None:
        """Send and read until all has come; no reading while `threads` have something to do."""
        while self.behind != BEHIND or (threads and threads.waiting):
            self.send(most)
            if not (threads and threads.run()):
                self.read()

    def failed_with(self, number: int) -> bool:
        (outcome,) = self.outcome
        return outcome is not None and outcome.value.errno == number

    def close(self) -> None:
        os.close(self.descriptor)
        self.owner.socket.close()
        self.owner.peer.close()


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def assert_complete(one: Receiving, size: int = len(CONTENT)) -> None:
    assert one.outcome == [None]
    assert one.path.read_bytes() == CONTENT[:size]
    assert one.hasher.digest() == hashlib.sha256(CONTENT[:size]).digest()
    assert (one.progressed, one.receiver.remaining, one.behind) == (size, 0, BEHIND)
