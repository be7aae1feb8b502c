"""Transports in memory, and threads that are driven by hand."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress, IHalfCloseableDescriptor, IPullProducer
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IHalfCloseableDescriptor)
class MemoryTransport(StringTransport):
    """Remembers what is written and what becomes of it; like a TCP transport it can half-close."""

    protocol: Any
    """Whom it tells what happens; it may be replaced, as that of a real one may."""

    def __init__(self, port: int = 40000, peer: IAddress | None = None) -> None:
        super().__init__(peerAddress=peer or IPv4Address("TCP", "127.0.0.1", port))
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


class SocketTransport:
    """One end of a pair of sockets, with what a sender needs of a transport; `turn` is the reactor's."""

    def __init__(self, send_buffer: int = 0) -> None:
        self._socket, self.peer = socket.socketpair()
        if send_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        self._socket.setblocking(False)
        self.peer.setblocking(False)
        self.buffer = b""
        self.producer: Any = None
        self._is_writing = False

    def fileno(self) -> int:
        return self._socket.fileno()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = producer
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        self.producer = None

    def startWriting(self) -> None:
        self._is_writing = True

    def write(self, data: bytes) -> None:
        self.buffer += data
        self._is_writing = True

    def turn(self) -> bool:
        """Let the transport write, if it wants to: first what is in its buffer, then what its producer has."""
        was_writing, self._is_writing = self._is_writing, False
        if was_writing and self.buffer:
            self.buffer = self.buffer[self._socket.send(self.buffer) :]
        if was_writing and not self.buffer and self.producer is not None:
            self.producer.resumeProducing()
        self._is_writing |= bool(self.buffer)
        return was_writing

    def receive(self) -> bytes:
        """What the peer can read now."""
        try:
            return self.peer.recv(1 << 20)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        self._socket.close()
        self.peer.close()


@implementer(IPullProducer)
class _Reset:
    """Is asked for more when the system has everything that was written, and resets the connection instead."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._is_registered = False

    def resumeProducing(self) -> None:
        if self._is_registered:
            self._transport.abortConnection()
        else:
            self._is_registered = True  # it is `registerProducer` that asks
            self._transport.startWriting()

    def stopProducing(self) -> None:
        pass


def reset_behind(transport: Any) -> None:
    """Reset the connection as soon as the system has what was written to it."""
    transport.registerProducer(_Reset(transport), False)


def at_once(call: Callable[..., Any], *arguments: object, **_: object) -> Deferred[Any]:
    """An `in_thread` that makes the call here and now."""
    return maybeDeferred(call, *arguments)


class Waiting(NamedTuple):
    """A call that a thread is going to make; nobody may wait for it any more by then."""

    result: Deferred[Any]
    call: Callable[..., Any]
    arguments: tuple[object, ...]
    unwanted: Callable[[Any], object] | None

    def make(self) -> None:
        self.tell(maybeDeferred(self.call, *self.arguments))

    def tell(self, made: Deferred[Any]) -> None:
        made.addBoth(self._tell)

    def _tell(self, result: Any) -> None:
        if not self.result.called:
            self.result.callback(result)
        elif self.unwanted is not None:
            self.unwanted(None if isinstance(result, Failure) else result)


class Threads:
    """An `in_thread` whose calls wait until `run` is called, and are made even if nobody waits for them any more."""

    def __init__(self) -> None:
        self.waiting: list[Waiting] = []

    def __call__(
        self,
        call: Callable[..., Any],
        *arguments: object,
        unwanted: Callable[[Any], object] | None = None,
        **_: object,
    ) -> Deferred[Any]:
        self.waiting.append(Waiting(Deferred(), call, arguments, unwanted))
        return self.waiting[-1].result

    def run(self) -> int:
        """Make the calls that wait now; the result is how many there were."""
        count = len(self.waiting)
        for _ in range(count):
            self.run_one(0)
        return count

    def run_one(self, at: int) -> None:
        """Make one of the calls that wait."""
        self.waiting.pop(at).make()

    def run_all(self) -> None:
        """Make calls until none is left."""
        while self.run():
            pass


def turn_over(clock: Clock) -> None:
    """Let everything happen that is due now."""
    while any(call.getTime() <= clock.seconds() for call in clock.getDelayedCalls()):
        clock.advance(0)
