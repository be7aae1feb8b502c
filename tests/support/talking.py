"""A client in memory, and what the server says to it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from chatfile.client import ChatFileClient
from chatfile.lines import ConnectionState
from tests.support.leftovers import at_end
from tests.support.transports import MemoryTransport, Threads, at_once

CONTENT = b"one\ntwo\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest().encode()
TIME = b"2026-11-22T12:00:00Z"
HEADER = b"FILE 8 %s a b\n" % TIME


class Talk:
    """A client and the server's end of its connection."""

    def __init__(
        self,
        *,
        in_thread: Any = at_once,
        waiting: Callable[[int], None] | None = None,
        timeout: float = 60,
        limit_rate: int = 0,
    ) -> None:
        self.clock = Clock()
        self.transport = MemoryTransport()
        self.client = ChatFileClient(
            self.clock, timeout=timeout, in_thread=in_thread, waiting=waiting, limit_rate=limit_rate
        )
        self.client.makeConnection(self.transport)
        self._in_thread = in_thread
        at_end(self.end)

    def server_says(self, data: bytes) -> None:
        self.client.dataReceived(data)

    def greet(self) -> Talk:
        self.server_says(b"WELCOME Client01 chatfile/1\nClient01 ACK\n")
        self.transport.clear()
        return self

    def fill(self, size: int) -> int:
        """Begin to send a file of `size` zeros, as far as the client reads; the result is how many bytes that are."""
        self.server_says(b"FILE %d %s a b\n" % (size, TIME))
        sent = 0
        while self.transport.producerState == "producing":
            self.server_says(bytes(65536))
            sent += 65536
        return sent

    def end(self) -> None:
        """The connection is lost, at whatever point it is; nothing of it must be left."""
        for pending in self.client._pending:
            pending.done.addErrback(lambda _: None)
        self.client.greeted.addErrback(lambda _: None)
        if self.client.state is not ConnectionState.CLOSED:
            self.closes()
        if isinstance(self._in_thread, Threads):
            self._in_thread.run_all()
        assert self.clock.getDelayedCalls() == []

    def closes(self, reason: Exception | None = None) -> None:
        self.client.connectionLost(Failure(reason or ConnectionDone()))


def result_of(deferred: Deferred[Any]) -> Any:
    """The value, or the exception, that is there by now."""
    seen: list[Any] = []
    deferred.addBoth(seen.append)
    assert seen, "nothing came"
    return seen[0].value if isinstance(seen[0], Failure) else seen[0]


def written(descriptor: int) -> bytes:
    return os.pread(descriptor, 1_000_000, 0)
