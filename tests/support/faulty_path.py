"""A network that is not as it should be: a proxy whose two directions have named faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredQueue
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.support.transports import reset_behind


@dataclass(frozen=True)
class Latency:
    """Each piece comes so many seconds late."""

    seconds: float


@dataclass(frozen=True)
class Bandwidth:
    """So many bytes a second get through."""

    rate: float


@dataclass(frozen=True)
class Slices:
    """What comes in one piece arrives in pieces of so many bytes."""

    size: int


@dataclass(frozen=True)
class CutAfter:
    """Behind so many bytes the connection is closed, as if that were all."""

    count: int


@dataclass(frozen=True)
class ResetAfter:
    """Behind so many bytes the connection is reset."""

    count: int


@dataclass(frozen=True)
class StallAfter:
    """Behind so many bytes nothing comes any more."""

    count: int


@dataclass(frozen=True)
class FlipAt:
    """One bit of the byte at this place is wrong."""

    place: int


Fault = Latency | Bandwidth | Slices | CutAfter | ResetAfter | StallAfter | FlipAt


@implementer(IHalfCloseableProtocol)
class End(Protocol):
    """One end of the path: what comes in here goes out at the other one."""

    HOLDS = 256 * 1024
    """Bytes that may be on their way; then the sender has to wait, as for a network's buffers."""

    def __init__(self) -> None:
        self.came: DeferredQueue[bytes | None] = DeferredQueue()
        self._on_their_way = 0

    def dataReceived(self, data: bytes) -> None:
        self.came.put(data)
        self._on_their_way += len(data)
        if self._on_their_way > self.HOLDS:
            self.transport.pauseProducing()

    def arrived(self, count: int) -> None:
        """So many bytes are not on their way any more."""
        self._on_their_way -= count
        if self._on_their_way <= self.HOLDS and self.connected:
            self.transport.resumeProducing()

    def readConnectionLost(self) -> None:
        self.came.put(None)

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.came.put(None)


class Direction:
    """From one end to the other, with its faults."""

    def __init__(self, clock: IReactorTime, source: End, sink: End, faults: Sequence[Fault]) -> None:
        self._clock = clock
        self._source = source
        self._sink = sink
        self._faults = faults
        self._carried = 0
        self.running = Deferred.fromCoroutine(self._run())

    async def _run(self) -> None:
        while (data := await self._source.came.get()) is not None:
            size = self._size(data)
            for start in range(0, len(data), size):
                if not await self._carry(data[start : start + size]):
                    return
            self._source.arrived(len(data))
        self._sink.transport.loseWriteConnection()

    def _size(self, data: bytes) -> int:
        return min([fault.size for fault in self._faults if isinstance(fault, Slices)], default=len(data)) or 1

    async def _carry(self, piece: bytes) -> bool:
        """The result is whether anything comes behind it."""
        await self._delay(len(piece))
        left, end = self._left(len(piece))
        self._sink.transport.write(self._altered(piece[:left]))
        self._carried += left
        if isinstance(end, CutAfter):
            self._sink.transport.loseConnection()
        elif isinstance(end, ResetAfter):
            reset_behind(self._sink.transport)
        return end is None

    async def _delay(self, count: int) -> None:
        for fault in self._faults:
            if isinstance(fault, Latency):
                await deferLater(self._clock, fault.seconds)
            elif isinstance(fault, Bandwidth):
                await deferLater(self._clock, count / fault.rate)

    def _left(self, count: int) -> tuple[int, Fault | None]:
        """How many of `count` bytes still come, and the fault that is the end, if this is where it is."""
        ends = [fault for fault in self._faults if isinstance(fault, CutAfter | ResetAfter | StallAfter)]
        end = min(ends, key=lambda fault: fault.count, default=None)
        if end is None or self._carried + count < end.count:
            return count, None
        return end.count - self._carried, end

    def _altered(self, piece: bytes) -> bytes:
        altered = bytearray(piece)
        for fault in self._faults:
            if isinstance(fault, FlipAt) and 0 <= fault.place - self._carried < len(piece):
                altered[fault.place - self._carried] ^= 1
        return bytes(altered)


class FaultyPath(Factory):
    """Listens on `port`, or a free one, and passes everything on to `target`; `down`: the faults from there."""

    noisy = False

    def __init__(
        self, reactor: Any, target: int, *, down: Sequence[Fault] = (), up: Sequence[Fault] = (), port: int = 0
    ) -> None:
        self._reactor = reactor
        self._target = TCP4ClientEndpoint(reactor, "127.0.0.1", target)
        self._down = down
        self._up = up
        self._ends: list[End] = []
        self._directions: list[Direction] = []
        self._listening = reactor.listenTCP(port, self, interface="127.0.0.1")
        self.port: int = self._listening.getHost().port

    def buildProtocol(self, _: object) -> End:
        near, far = End(), End()
        self._ends += [near, far]
        connecting = self._target.connect(Factory.forProtocol(lambda: far))
        connecting.addCallback(lambda _: self._join(near, far))
        connecting.addErrback(lambda _: near.transport.abortConnection())
        return near

    def _join(self, near: End, far: End) -> None:
        self._directions.append(Direction(self._reactor, near, far, self._up))
        self._directions.append(Direction(self._reactor, far, near, self._down))

    async def end(self) -> None:
        """Nobody new, and everybody gone."""
        await self._listening.stopListening()
        for direction in self._directions:
            direction.running.addErrback(lambda failure: failure.trap(CancelledError) and None)
            direction.running.cancel()
        for end in self._ends:
            if end.transport is not None and end.connected:
                end.transport.abortConnection()
        await deferLater(self._reactor, 0)
