"""The timeout of a peer that takes nothing, with fakes and on real sockets."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace

import pytest
from twisted.internet.task import Clock

from chatfile.timeouts import StallTimeout
from chatfile.transports import acknowledged_bytes, outstanding_bytes

STEP = 2**-4
Pair = tuple[socket.socket, socket.socket]


class Output:
    """A connection's output as the test says that it is."""

    def __init__(self, clock: Clock) -> None:
        self.written = 0
        self.is_pending = True
        self.is_busy = False
        self.progress: list[float] = []
        self._clock = clock

    def bytes_written(self) -> int:
        return self.written

    def has_pending_output(self) -> bool:
        return self.is_pending

    def is_active(self) -> bool:
        return self.is_busy

    def on_progress(self) -> None:
        self.progress.append(self._clock.seconds())


class Watched:
    """A timeout over a transport; without a socket, the counts that the test sets must do."""

    def __init__(self, seconds: float = 8, sock: socket.socket | None = None) -> None:
        self.clock = Clock()
        self.transport = SimpleNamespace(socket=sock)
        self.output = Output(self.clock)
        self.stalled: list[float] = []
        self.timeout = StallTimeout(self.clock, seconds, self.output, lambda: self.stalled.append(self.clock.seconds()))
        self.timeout.start(self.transport)

    def timers(self) -> int:
        return len(self.clock.getDelayedCalls())

    def wait(self, seconds: int) -> None:
        self.clock.pump([STEP] * int(seconds / STEP))

    def stalled_behind(self, seconds: float) -> bool:
        """Whether it stalled once, not too early and not too late."""
        return len(self.stalled) == 1 and seconds <= self.stalled[0] < seconds + 1


def test_a_peer_that_takes_nothing_is_stalled_once_at_the_limit() -> None:
    watched = Watched(8)
    watched.wait(100)
    assert watched.stalled_behind(8)
    assert watched.output.progress
    assert max(watched.output.progress) < watched.stalled[0]
    assert watched.timers() == 0


def test_a_peer_that_takes_a_byte_now_and_then_is_not_stalled_before_it_stops() -> None:
    watched = Watched(8)
    for _ in range(20):
        watched.wait(7)
        watched.output.written += 1
    assert watched.stalled == []
    watched.wait(100)
    assert watched.stalled_behind(140 + 8)


def test_it_ends_by_itself_when_nothing_is_outstanding_and_can_be_started_again() -> None:
    watched = Watched(8)
    watched.wait(5)
    watched.output.is_pending = False
    watched.wait(1)
    assert watched.timers() == 0
    watched.wait(94)
    watched.output.is_pending = True
    watched.timeout.start(watched.transport)
    watched.wait(100)
    assert watched.stalled_behind(100 + 8)


def test_a_peer_that_has_taken_everything_is_not_stalled_while_more_is_on_its_way() -> None:
    watched = Watched(8)
    watched.output.is_pending, watched.output.is_busy = False, True
    watched.wait(92)
    assert watched.stalled == []
    watched.output.is_pending = True
    watched.wait(100)
    assert watched.stalled_behind(92 + 8)


def test_it_ends_by_itself_when_no_more_is_on_its_way() -> None:
    watched = Watched(8)
    watched.output.is_pending, watched.output.is_busy = False, True
    watched.wait(50)
    watched.output.is_busy = False
    watched.wait(1)
    assert watched.timers() == 0


def test_starting_a_timeout_that_runs_neither_doubles_nor_delays_it() -> None:
    watched = Watched(8)
    for _ in range(9):
        watched.timeout.start(watched.transport)
        assert watched.timers() == 1
        watched.wait(1)
    assert watched.stalled_behind(8)


def test_without_a_limit_nobody_is_stalled_and_whoever_moves_is_still_told() -> None:
    watched = Watched(0)
    watched.wait(200)
    assert watched.stalled == []
    assert watched.output.progress


def test_a_timeout_that_was_stopped_leaves_no_timer() -> None:
    watched = Watched(8)
    watched.timeout.stop()
    watched.timeout.stop()
    assert watched.timers() == 0
    watched.wait(100)
    assert watched.stalled == watched.output.progress == []


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a peer acknowledged")


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Both ends of a connection on loopback, with small buffers."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with socket.create_connection(listener.getsockname()) as near:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
            far, _ = listener.accept()
            with far:
                yield near, far


def _fill(sock: socket.socket) -> int:
    """Send until nothing more is taken; how many bytes that were."""
    sock.setblocking(False)
    sent = 0
    with suppress(BlockingIOError):
        while True:
            sent += sock.send(bytes(1 << 16))
    return sent


@linux_only
def test_what_the_peer_has_taken_is_acknowledged_and_not_outstanding(pair: Pair) -> None:
    near, far = pair
    transport = SimpleNamespace(socket=near)
    before = acknowledged_bytes(transport)
    assert before is not None
    near.sendall(bytes(1000))
    far.recv(1000, socket.MSG_WAITALL)
    far.send(b"!")
    near.recv(1)  # and with it the acknowledgement
    assert acknowledged_bytes(transport) == before + 1000
    assert outstanding_bytes(transport) == 0


@linux_only
def test_what_only_the_system_has_taken_is_outstanding(pair: Pair) -> None:
    near, _ = pair
    transport = SimpleNamespace(socket=near)
    sent = _fill(near)
    acknowledged, outstanding = acknowledged_bytes(transport), outstanding_bytes(transport)
    assert acknowledged is not None
    assert outstanding is not None
    assert 0 < acknowledged < sent
    assert 0 < outstanding < sent


def test_nothing_is_known_of_a_closed_socket_or_of_none(pair: Pair) -> None:
    near, _ = pair
    near.close()
    for transport in (SimpleNamespace(socket=near), SimpleNamespace(socket=None), SimpleNamespace(socket=7), object()):
        assert acknowledged_bytes(transport) is None
        assert outstanding_bytes(transport) is None


def test_a_unix_socket_does_not_tell_what_was_acknowledged() -> None:
    near, far = socket.socketpair()
    with near, far:
        assert acknowledged_bytes(SimpleNamespace(socket=near)) is None


@linux_only
def test_what_the_system_takes_on_behalf_of_a_peer_that_reads_nothing_does_not_count(pair: Pair) -> None:
    near, _ = pair
    sent = _fill(near)
    watched = Watched(8, near)
    watched.output.is_pending = False
    for _ in range(10):
        watched.output.written += sent
        watched.wait(1)
    assert watched.stalled_behind(8)


@linux_only
def test_a_slow_reader_that_moves_lives(pair: Pair) -> None:
    near, far = pair
    _fill(near)
    watched = Watched(8, near)
    for _ in range(40):
        far.recv(1 << 14)
        far.send(b"!")
        _fill(near)
        watched.wait(1)
    assert watched.stalled == []


def test_what_waits_above_the_system_counts_too() -> None:
    """As TLS does before its handshake, or at its end: the system has sent everything that it was given."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()) as sock:
        watched = Watched(8, sock)
        watched.wait(100)
        assert watched.stalled_behind(8)
