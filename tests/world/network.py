"""The network: it carries bytes late, cut into other pieces or joined, and it can lose a connection in every way."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IDelayedCall, IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from tests.support.wires import Wire
from tests.world.promises import Promises
from tests.world.schedule import Schedule

TURN = 0.002
"""Seconds from one turn of a reactor to the next, at most."""
RECEIVED = 1500
"""Bytes that the system of an end keeps until they are read."""


class Path:
    """What lies between the two ends of a connection."""

    def __init__(self, schedule: Schedule, latency: float) -> None:
        self._schedule = schedule
        self._latency = latency
        self._held_until = 0.0
        self.is_broken = False
        """Whether nothing passes any more, and nobody is told."""
        self.is_disturbed = False
        """Whether it was ever worse than late by its latency."""
        self.ends: list[End] = []

    def delay(self) -> float:
        """Seconds that whatever happens next at an end takes."""
        held = self._held_until - self._schedule.now
        return self._schedule.soon(self._latency) + max(held, 0)

    def hold(self, seconds: float) -> None:
        """Carry nothing for a while."""
        self.is_disturbed = True
        self._held_until = self._schedule.now + seconds

    def break_silently(self) -> None:
        """As if a cable was pulled out."""
        self.is_disturbed = self.is_broken = True

    def reset(self) -> None:
        """As if something between them did not know the connection any more."""
        self.is_disturbed = True
        for end in self.ends:
            end.reset()

    @property
    def is_over(self) -> bool:
        return all(end.is_lost for end in self.ends)


class End(Wire):
    """One end of a connection, with its system: a `Wire` whose peer is another one."""

    MOST = 16 * 1024
    """Bytes that wait here for the system, at most: what is promised to be bounded."""

    def __init__(self, name: str, address: IPv4Address, schedule: Schedule, path: Path, promises: Promises) -> None:
        super().__init__(address.port, schedule.clock)
        self.peerAddr = address
        self.name = name
        self.was_reset = False
        """Whether its system was told so; the reactor hears of it when it reads or writes."""
        self.other: End
        self._schedule = schedule
        self.path = path
        self._promises = promises
        self._waking: IDelayedCall | None = None
        self._sending: IDelayedCall | None = None
        self._has_ended = False
        path.ends.append(self)

    def __str__(self) -> str:
        return self.name

    # --- what its program does ---

    def write(self, data: bytes) -> None:
        if self.aborted:
            return  # as a real one does until it is lost
        super().write(data)
        self._promises.hold(len(self.unsent) <= self.MOST, "bounded", f"{len(self.unsent)} bytes wait at {self.name}")
        self.wake()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        super().registerProducer(producer, streaming)
        self.wake()

    def unregisterProducer(self) -> None:
        super().unregisterProducer()
        self.wake()

    def resumeProducing(self) -> None:
        super().resumeProducing()
        self.wake()

    def _note_close(self) -> None:
        super()._note_close()
        self.wake()

    def abortConnection(self) -> None:
        if not self.is_lost:
            super().abortConnection()

    # --- time ---

    def wake(self) -> None:
        """Have a turn of the reactor soon."""
        if self._waking is None:
            self._waking = self._schedule.later(self._schedule.soon(TURN), self._act)

    def _act(self) -> None:
        self._waking = None
        while self.turn():
            if self._schedule.chance(0.3):  # others have their turns before this one goes on
                self.wake()
                break
        self._send()

    def _send(self) -> None:
        """Have the network carry what there is, as late as it is."""
        if self._sending is None and (self.unread or self._is_ended()):
            self._sending = self._schedule.later(self.path.delay(), self._carry)

    def turn(self) -> bool:
        if self.was_reset and not self.is_lost and self._notices_reset():
            self._lose(ConnectionLost())
            return True
        return super().turn()

    def _notices_reset(self) -> bool:
        is_read = self.producerState == "producing" and not self.arriving
        return is_read or bool(self.unsent) or self.half_closed

    def _tell_of_input(self) -> bool:
        if self.arriving:
            self._schedule.note_bytes("reads", self.name, self.arriving[0])
        if not super()._tell_of_input():
            return False
        self.other.wake()  # there is room again
        return True

    def _lose(self, why: Exception) -> None:
        self._schedule.note("is lost", self.name, type(why).__name__)
        super()._lose(why)
        if not isinstance(why, ConnectionDone) or self.arriving:  # to close with unread input is a reset
            self.unread = self.unsent = b""
            self._has_ended = True
            self._schedule.later(self.path.delay(), self._reset_other)
        self.wake()

    # --- what its system and the network do ---

    def _carry(self) -> None:
        self._sending = None
        if self.path.is_broken:
            return
        if self.unread:
            self._carry_bytes()
        elif self._is_ended():
            self._has_ended = self.other.peer_ended = True
            self.other.wake()

    def _is_ended(self) -> bool:
        """Tell whether the other end is to hear that this one says no more."""
        return not self._has_ended and not self.unsent and (self._told["unsent"] or self.is_lost)

    def _carry_bytes(self) -> None:
        other, choice = self.other, self._schedule.random
        if other.is_lost:
            self.reset()
            return
        room = min(RECEIVED - sum(map(len, other.arriving)), len(self.unread))
        if room <= 0:
            return  # it wakes this one when there is
        count = room if choice.random() < 0.6 else choice.randint(1, room)
        piece, self.unread = self.unread[:count], self.unread[count:]
        self.taken += count
        if other.arriving and choice.random() < 0.5:
            other.arriving[-1] += piece
        else:
            other.arriving.append(piece)
        other.wake()
        self.wake()

    def _reset_other(self) -> None:
        if not self.path.is_broken:
            self.other.reset()

    def reset(self) -> None:
        """The system hears that there is no such connection any more."""
        if self.was_reset or self.is_lost:
            return
        self.was_reset = True
        self.unread = b""
        if self._schedule.chance(0.5):
            self.arriving.clear()
        self.wake()


@implementer(IStreamClientEndpoint)
class ServerEndpoint:
    """Where a server is reached, as long as it listens."""

    def __init__(self, schedule: Schedule, promises: Promises, latency: float) -> None:
        self._schedule = schedule
        self._promises = promises
        self._latency = latency
        self.factory: IProtocolFactory | None = None
        """The server's; None while nobody listens."""
        self.paths: list[Path] = []
        """Those of all connections that were ever made."""

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """See `IStreamClientEndpoint`."""
        connected: Deferred[IProtocol] = Deferred()
        self._schedule.later(self._schedule.soon(self._latency), self._connect, factory, connected)
        return connected

    def _connect(self, factory: IProtocolFactory, connected: Deferred[IProtocol]) -> None:
        if connected.called:
            return
        if self.factory is None:
            connected.errback(ConnectError(string="refused"))
            return
        path = Path(self._schedule, self._latency)
        self.paths.append(path)
        number = len(self.paths)
        address = IPv4Address("TCP", f"10.0.0.{number % 4}", 40_000 + number)
        near, far = (
            End(f"{side}{number}", address, self._schedule, path, self._promises) for side in ("client", "server")
        )
        near.other, far.other = far, near
        far.protocol = self.factory.buildProtocol(address)
        near.protocol = factory.buildProtocol(address)
        far.protocol.makeConnection(far)
        near.protocol.makeConnection(near)
        connected.callback(near.protocol)
