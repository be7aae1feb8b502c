"""A server that does what it is told to, step by step: a new case is a line of data."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.support.transports import reset_behind


@dataclass(frozen=True)
class Send:
    """Send `data`; in pieces of `piece` bytes, `pause` seconds apart, where that is asked for."""

    data: bytes
    piece: int = 0
    pause: float = 0.0


@dataclass(frozen=True)
class SendForEver:
    """Send `data` again and again, as long as somebody takes it."""

    data: bytes


@dataclass(frozen=True)
class Hear:
    """Wait for a line that begins with `start`; what comes before it is dropped."""

    start: bytes = b""


@dataclass(frozen=True)
class Wait:
    """Do nothing for so many seconds."""

    seconds: float


class Do(enum.Enum):
    """What needs no more words."""

    HALF_CLOSE = "send no more, and go on reading"
    CLOSE = "close as one should: whatever still comes, nothing that was sent is lost by a reset"
    RESET = "close with a reset"
    STALL = "say no more and read no more, until the other end has had enough"


Step = Send | SendForEver | Hear | Wait | Do
GREET: list[Step] = [Send(b"WELCOME Client01 chatfile/1\n"), Hear(b"Client01"), Send(b"Client01 ACK\n")]
"""How every good conversation begins."""


@implementer(IHalfCloseableProtocol)
class HostileProtocol(LineOnlyReceiver):
    """One connection, and the steps that it goes through."""

    delimiter = b"\n"
    MAX_LENGTH = 1 << 20

    def __init__(self, clock: IReactorTime, steps: Sequence[Step]) -> None:
        self.heard: list[bytes] = []
        """The lines that came."""
        self.sent = 0
        """Bytes given to the transport."""
        self.gone: Deferred[None] = Deferred()
        self._clock = clock
        self._steps = steps
        self._unheard: list[bytes] = []
        self._ear: Deferred[None] | None = None
        self._room: Deferred[None] | None = None
        self._running: Deferred[None] | None = None
        self._is_closing = False

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)
        self._running = Deferred.fromCoroutine(self._run())

    def readConnectionLost(self) -> None:
        if self._is_closing:  # otherwise the script says when to go
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        pass

    async def _run(self) -> None:
        for step in self._steps:
            match step:
                case Send():
                    await self._send(step)
                case SendForEver(data):
                    while True:
                        await self._write(data)
                case Hear(start):
                    await self._hear(start)
                case Wait(seconds):
                    await deferLater(self._clock, seconds)
                case Do.STALL:
                    self.transport.pauseProducing()
                    await Deferred()
                case Do.HALF_CLOSE | Do.CLOSE | Do.RESET:
                    self._end(step)

    async def _send(self, step: Send) -> None:
        for start in range(0, len(step.data), step.piece or len(step.data) or 1):
            await self._write(step.data[start : start + step.piece] if step.piece else step.data)
            if step.pause:
                await deferLater(self._clock, step.pause)

    async def _write(self, data: bytes) -> None:
        self.transport.write(data)
        self.sent += len(data)
        if self._room is not None:
            await self._room
        await deferLater(self._clock, 0)  # the turn of others, and of the end of the connection

    async def _hear(self, start: bytes) -> None:
        while True:
            while self._unheard:
                if self._unheard.pop(0).startswith(start):
                    return
            self._ear = Deferred()
            await self._ear

    def _end(self, how: Do) -> None:
        self.transport.unregisterProducer()
        self._is_closing = how is Do.CLOSE
        if how is Do.RESET:
            reset_behind(self.transport)
        else:
            self.transport.loseWriteConnection()

    def lineReceived(self, line: bytes) -> None:
        self.heard.append(line)
        self._unheard.append(line)
        ear, self._ear = self._ear, None
        if ear is not None:
            ear.callback(None)

    def pauseProducing(self) -> None:
        self._room = Deferred()

    def resumeProducing(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)

    def stopProducing(self) -> None:
        pass

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008 -- as Twisted's own
        if self._running is not None:
            self._running.addErrback(lambda failure: failure.trap(CancelledError) and None)
            self._running.cancel()
        if not self.gone.called:
            self.gone.callback(None)


class HostileServer(Factory):
    """Listens on a free port; the n-th connection goes through the n-th script, further ones through the last."""

    noisy = False

    def __init__(self, reactor: Any, *scripts: Sequence[Step]) -> None:
        self.connections: list[HostileProtocol] = []
        self._reactor = reactor
        self._scripts = scripts
        self._listening = reactor.listenTCP(0, self, interface="127.0.0.1")
        self.port: int = self._listening.getHost().port

    def buildProtocol(self, _: object) -> HostileProtocol:
        script = self._scripts[min(len(self.connections), len(self._scripts) - 1)]
        self.connections.append(HostileProtocol(self._reactor, script))
        return self.connections[-1]

    async def end(self) -> None:
        """Nobody new, and everybody gone."""
        await self._listening.stopListening()
        for connection in self.connections:
            if not connection.gone.called:
                connection.transport.abortConnection()
                await connection.gone
