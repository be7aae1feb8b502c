"""A connection in memory as the reactor would keep it: a full system, a peer that reads or does not, and every end."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from chatfile import timeouts
from chatfile.lines import protocol as lines_protocol
from chatfile.server import protocol as server_protocol
from tests.support.transports import MemoryTransport


class Wire(MemoryTransport):
    """What is written waits here, then with the system, then is taken by the peer; nothing moves but in `turn`."""

    HIGH_WATER = 500
    """Bytes that may wait here before the producer is paused."""
    SYSTEM = 1500
    """Bytes that the system takes on behalf of a peer that does not read."""

    protocol: Any

    def __init__(self, port: int, clock: Clock) -> None:
        super().__init__(port)
        self.unsent = b""
        self.unread = b""
        self.taken = 0
        self.arriving: list[bytes] = []
        self.peer_ended = False
        self.is_lost = False
        self.closed_at: float | None = None
        """When the server wanted no more of it, however politely."""
        self.aborted_at: float | None = None
        self._clock = clock
        self._is_paused = False
        self._told = {"unsent": False, "ended": False}

    # --- what the server does with it ---

    def write(self, data: bytes) -> None:
        assert self.closed_at is None, "nothing is written behind a close"
        assert not self.is_lost, "nothing is written to nobody"
        self.unsent += data
        if self.producer is not None and len(self.unsent) > self.HIGH_WATER and not self._is_paused:
            self._is_paused = True
            self.producer.pauseProducing()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        super().registerProducer(producer, streaming)
        self._is_paused = False

    def unregisterProducer(self) -> None:
        self.producer = None

    def loseWriteConnection(self) -> None:
        super().loseWriteConnection()
        self._note_close()

    def loseConnection(self) -> None:
        super().loseConnection()
        self._note_close()

    def abortConnection(self) -> None:
        super().abortConnection()
        self._note_close()
        self.aborted_at = self._clock.seconds()

    def _note_close(self) -> None:
        if self.closed_at is None:
            self.closed_at = self._clock.seconds()

    # --- what the peer and the system do ---

    def take(self) -> bytes:
        """What the peer reads now."""
        data, self.unread = self.unread, b""
        self.taken += len(data)
        return data

    def vanish(self) -> None:
        self._lose(ConnectionLost())

    def turn(self) -> bool:
        """One turn of the reactor; whether anything happened in it."""
        if self.is_lost:
            return False
        if self.aborted:
            self._lose(ConnectionAborted())
            return True
        moved = self._hand_over()
        return self._tell_of_output() or self._tell_of_input() or moved

    def _hand_over(self) -> bool:
        room = self.SYSTEM - len(self.unread)
        moved, self.unsent = self.unsent[:room], self.unsent[room:]
        self.unread += moved
        return bool(moved)

    def _tell_of_output(self) -> bool:
        if self.unsent:
            return False
        if self.producer is not None and self._is_paused:
            self._is_paused = False
            self.producer.resumeProducing()
        elif self.half_closed and not self._told["unsent"]:
            self._told["unsent"] = True
            self.protocol.writeConnectionLost()
        elif self.disconnecting:
            self._lose(ConnectionDone())
        else:
            return False
        return True

    def _tell_of_input(self) -> bool:
        if self.is_lost or self.disconnecting or self.producerState != "producing":
            return False
        if self.arriving:
            self.protocol.dataReceived(self.arriving.pop(0))
        elif self.peer_ended and not self._told["ended"]:
            self._told["ended"] = True
            self.protocol.readConnectionLost()
        else:
            return False
        return True

    def _lose(self, why: Exception) -> None:
        self.is_lost = True
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.stopProducing()
        self.protocol.connectionLost(Failure(why))


def let_the_system_tell(patch: pytest.MonkeyPatch) -> None:
    """What a socket's system tells of it, a `Wire` tells itself."""
    patch.setattr(timeouts, "acknowledged_bytes", lambda wire: wire.taken)
    for module in (timeouts, lines_protocol, server_protocol):
        patch.setattr(module, "outstanding_bytes", lambda wire: len(wire.unread))
