"""The hostile server and the faulty path do what they say: what they show of others rests on that."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from tests.support.faulty_path import (
    Bandwidth,
    CutAfter,
    Fault,
    FaultyPath,
    FlipAt,
    Latency,
    ResetAfter,
    Slices,
    StallAfter,
)
from tests.support.hostile import Do, Hear, HostileServer, Send, SendForEver, Step, Wait
from tests.support.processes import PATIENCE

Hostile = Callable[..., HostileServer]
Path = Callable[..., FaultyPath]
LINE = b"one line\n"


class Observer(Protocol):
    """Sees what comes, in which pieces and when, and how it ends."""

    def __init__(self, clock: Any, enough: int) -> None:
        self.pieces: list[bytes] = []
        self.times: list[float] = []
        self.enough: Deferred[None] = Deferred()
        self.gone: Deferred[bool] = Deferred()
        """Whether it was by a reset."""
        self._clock = clock
        self._count = enough

    def dataReceived(self, data: bytes) -> None:
        self.pieces.append(data)
        self.times.append(self._clock.seconds())
        if len(b"".join(self.pieces)) >= self._count and not self.enough.called:
            self.enough.callback(None)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.gone.callback(reason.check(ConnectionLost, ConnectionAborted) is not None)


async def observe(port: int, *, says: bytes = b"", enough: int = 1 << 60) -> Observer:
    from twisted.internet import reactor

    observer = Observer(reactor, enough)
    await TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(Factory.forProtocol(lambda: observer))
    observer.transport.write(says)
    return observer


async def end_of(observer: Observer) -> tuple[bytes, bool]:
    """What came in all, and whether the end was a reset."""
    is_reset = await observer.gone
    return b"".join(observer.pieces), is_reset


@pytest.mark.parametrize(
    ("steps", "came", "is_reset"),
    [
        ([Send(LINE), Do.CLOSE], LINE, False),
        ([Send(LINE), Hear(), Do.RESET], LINE, True),
        ([Hear(b"b"), Send(LINE), Do.CLOSE], LINE, False),
        ([Send(LINE), Do.HALF_CLOSE, Hear(b"b"), Do.CLOSE], LINE, False),
        ([Send(LINE, piece=2), Wait(0.01), Do.CLOSE], LINE, False),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_script_is_gone_through(hostile: Hostile, steps: Sequence[Step], came: bytes, is_reset: bool) -> None:
    server = hostile(steps)
    assert await end_of(await observe(server.port, says=b"a\nb\n")) == (came, is_reset)


def say_on_behind_the_end(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as peer:
        came = b"".join(iter(lambda: peer.recv(100), b""))
        for line in (b"to a server that has closed\n", b"and that resets nothing\n"):
            peer.sendall(line)
    return came


@pytest_twisted.ensureDeferred
async def test_one_that_closes_lets_the_other_end_say_on(hostile: Hostile) -> None:
    server = hostile([Send(LINE), Do.CLOSE])
    assert await deferToThread(say_on_behind_the_end, server.port) == LINE


@pytest_twisted.ensureDeferred
async def test_each_connection_has_its_script_and_the_last_one_serves_on(hostile: Hostile) -> None:
    server = hostile([Send(b"1"), Do.CLOSE], [Send(b"2"), Do.CLOSE])
    assert [(await end_of(await observe(server.port)))[0] for _ in range(3)] == [b"1", b"2", b"2"]


@pytest_twisted.ensureDeferred
async def test_pieces_come_with_their_pauses(hostile: Hostile) -> None:
    observer = await observe(hostile([Send(b"abc", piece=1, pause=0.05), Do.CLOSE]).port)
    assert await end_of(observer) == (b"abc", False)
    assert observer.times[-1] - observer.times[0] >= 0.09


@pytest_twisted.ensureDeferred
async def test_what_is_sent_for_ever_waits_for_who_does_not_read(hostile: Hostile) -> None:
    server = hostile([SendForEver(bytes(65536))])
    observer = await observe(server.port, enough=1_000_000)
    await observer.enough
    assert server.connections[0].sent < 100_000_000
    observer.transport.abortConnection()
    await observer.gone


@pytest_twisted.ensureDeferred
async def test_a_stalled_server_neither_speaks_nor_hears(hostile: Hostile) -> None:
    server = hostile([Send(LINE), Do.STALL, Send(b"never")])
    observer = await observe(server.port, enough=len(LINE))
    await observer.enough
    observer.transport.write(b"hello?\n")
    observer.transport.abortConnection()
    await observer.gone
    assert server.connections[0].heard == []


@pytest.mark.parametrize(
    ("faults", "came", "is_reset"),
    [
        ([], b"0123456789", False),
        ([Slices(1)], b"0123456789", False),
        ([CutAfter(4)], b"0123", False),
        ([ResetAfter(4)], b"0123", True),
        ([ResetAfter(10)], b"0123456789", True),
        ([FlipAt(1)], b"0023456789", False),
        ([Slices(3), FlipAt(9)], b"0123456788", False),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_path_has_its_faults(
    hostile: Hostile, faulty_path: Path, faults: Sequence[Fault], came: bytes, is_reset: bool
) -> None:
    server = hostile([Send(b"0123456789"), Do.CLOSE])
    assert await end_of(await observe(faulty_path(server.port, down=faults).port)) == (came, is_reset)


@pytest.mark.parametrize(("fault", "least"), [(Latency(0.1), 0.1), (Bandwidth(100.0), 0.1)])
@pytest_twisted.ensureDeferred
async def test_a_slow_path_takes_its_time(hostile: Hostile, faulty_path: Path, fault: Fault, least: float) -> None:
    from twisted.internet import reactor

    began = reactor.seconds()
    observer = await observe(faulty_path(hostile([Send(b"0123456789"), Do.CLOSE]).port, down=[fault]).port)
    assert await end_of(observer) == (b"0123456789", False)
    assert observer.times[-1] - began >= least


@pytest_twisted.ensureDeferred
async def test_a_path_that_stalls_lets_nothing_through_any_more(hostile: Hostile, faulty_path: Path) -> None:
    server = hostile([Send(b"0123456789"), Do.HALF_CLOSE, Hear(b"again")])
    path = faulty_path(server.port, down=[StallAfter(4)])
    observer = await observe(path.port, says=b"again\n", enough=4)
    await observer.enough
    observer.transport.abortConnection()
    await observer.gone
    assert observer.pieces == [b"0123"]
    assert server.connections[0].heard == [b"again"]


@pytest_twisted.ensureDeferred
async def test_the_way_there_has_its_own_faults(hostile: Hostile, faulty_path: Path) -> None:
    server = hostile([Hear(), Do.CLOSE])
    await end_of(await observe(faulty_path(server.port, up=[FlipAt(0)]).port, says=b"a\n"))
    assert server.connections[0].heard == [b"`"]
