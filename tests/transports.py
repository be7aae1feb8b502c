"""Transports in memory, and threads that are driven by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IHalfCloseableDescriptor
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from zope.interface import implementer


@implementer(IHalfCloseableDescriptor)
class MemoryTransport(StringTransport):
    """Remembers what is written and what becomes of it; like a TCP transport it can half-close."""

    def __init__(self, port: int = 40000) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", "127.0.0.1", port))
        self.half_closed = False
        self.aborted = False

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def abortConnection(self) -> None:
        self.aborted = True

    def lines(self) -> list[bytes]:
        """What was written since the last call, as lines without their ends."""
        written = self.value()
        self.clear()
        assert not written or written.endswith(b"\n"), written
        return written.split(b"\n")[:-1]


class FullTransport(MemoryTransport):
    """A transport whose buffer is full beyond `high_water` bytes, by default from the first one on, until `drain`."""

    def __init__(self, high_water: int = 0) -> None:
        super().__init__()
        self.high_water = high_water
        self._is_paused = False

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        super().registerProducer(producer, streaming)
        self._is_paused = False

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.producer is not None and len(self.value()) > self.high_water and not self._is_paused:
            self._is_paused = True
            self.producer.pauseProducing()

    def drain(self) -> bytes:
        """Take what was written; the producer may go on, if it was paused."""
        written = self.value()
        self.clear()
        if self.producer is not None and self._is_paused:
            self._is_paused = False
            self.producer.resumeProducing()
        return written


def at_once(call: Callable[..., Any], *arguments: object) -> Deferred[Any]:
    """An `in_thread` that makes the call here and now."""
    return maybeDeferred(call, *arguments)


class Threads:
    """An `in_thread` whose calls wait until `run` is called."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Deferred[Any], Callable[..., Any], tuple[object, ...]]] = []

    def __call__(self, call: Callable[..., Any], *arguments: object) -> Deferred[Any]:
        result: Deferred[Any] = Deferred()
        self.waiting.append((result, call, arguments))
        return result

    def run(self) -> int:
        """Make the calls that wait now; the result is how many there were."""
        waiting, self.waiting = self.waiting, []
        for result, call, arguments in waiting:
            maybeDeferred(call, *arguments).addBoth(result.callback)
        return len(waiting)

    def run_all(self) -> None:
        """Make calls until none is left."""
        while self.run():
            pass


def turn_over(clock: Clock) -> None:
    """Let everything happen that is due now."""
    while any(call.getTime() <= clock.seconds() for call in clock.getDelayedCalls()):
        clock.advance(0)
