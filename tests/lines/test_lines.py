"""The line protocol: where lines end, what holds them, and how a connection ends."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from chatfile.lines import LineProtocol, PauseReason
from tests.support.transports import MemoryTransport, turn_over

LIMIT = 10


class Recorder(LineProtocol):
    """Remembers what it was told."""

    MAX_LENGTH = LIMIT

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.seen: list[bytes | str] = []

    def lineReceived(self, line: bytes) -> None:
        self.seen.append(line)
        if line == b"hold":
            self.pause(PauseReason.BUSY)
        elif line == b"close":
            self.close()
        elif line == b"abort":
            self.abort()
        elif line == b"raw":
            self.setRawMode()

    def rawDataReceived(self, data: bytes) -> None:
        """Two raw bytes, then lines again."""
        self.seen.append("raw " + data[:2].decode())
        self.setLineMode(data[2:])

    def lineTooLong(self) -> None:
        self.seen.append("too long")

    def inputEnded(self) -> None:
        self.seen.append("end")


def connected() -> tuple[Recorder, MemoryTransport, Clock]:
    clock, transport = Clock(), MemoryTransport()
    protocol = Recorder(clock)
    protocol.makeConnection(transport)
    return protocol, transport, clock


def lines_of(*pieces: bytes, end: bool = False) -> list[bytes | str]:
    protocol, _, clock = connected()
    for piece in pieces:
        protocol.dataReceived(piece)
        turn_over(clock)
    if end:
        protocol.readConnectionLost()
        turn_over(clock)
    return protocol.seen


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        (b"a\nb\n", [b"a", b"b"]),
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b"a\r\r\n", [b"a\r"]),
        (b"a\rb\n", [b"a\rb"]),
        (b"\n\r\n", [b"", b""]),
        (b"unfinished", []),
        (b"x" * LIMIT + b"\n", [b"x" * LIMIT]),
        (b"x" * LIMIT + b"\r\n", [b"x" * LIMIT]),
        (b"x" * (LIMIT + 1) + b"\nnext\n", ["too long", b"next"]),
        (b"x" * (LIMIT + 1) + b"\r\nnext\n", ["too long", b"next"]),
        (b"x" * LIMIT + b"\ry\nnext\n", ["too long", b"next"]),
        (b"x" * 1000 + b"\n" + b"y" * 1000 + b"\nnext\n", ["too long", "too long", b"next"]),
        (b"x" * (LIMIT + 1), ["too long"]),
        (b"\xff\xf4\xff\xfd\x06ok\n", [b"ok"]),
        (b"\xff\xfa\x1f\x00\x50\xff\xf0ok\n", [b"ok"]),
        (b"o\xff\xfb\x01k\n", [b"ok"]),
        (b"\xff\xffno\n", [b"\xff\xffno"]),
        (b"\xff\xfa\x1f\0\x50\0\n\xff\xf0ok\n", [b"ok"]),
        (b"\xff\xfa" + b"y\n" * 200, [b"y"] * 200),
        (b"\xff\xfb\xff\xff\xfb\xffok\n", [b"ok"]),
        (b"\xff\xfb\x01" + b"x" * LIMIT + b"\xff\xfb\x01\n", [b"x" * LIMIT]),
        (b"x" * LIMIT + b"\xff\xfa1234\xff\xf0\r\n", [b"x" * LIMIT]),
        (b"x" * LIMIT + b"\xff\xfb\x01y\nnext\n", ["too long", b"next"]),
        (b"\xff\xfb\x01" * 1000 + b"\nnext\n", [b"", b"next"]),
        (b"raw\nab12\n", [b"raw", "raw ab", b"12"]),
    ],
)
def test_bytes_become_lines(sent: bytes, seen: list[bytes | str]) -> None:
    assert lines_of(sent) == seen
    if not sent.startswith(b"raw"):  # this one takes what comes at once
        assert lines_of(*(bytes([byte]) for byte in sent)) == seen


@pytest.mark.no_cover
@pytest.mark.parametrize("line", [b"\xff\xfa" * 4096, b"\xff\xf0" + b"\xff\xfa" * 4095, b"\xff" * 8192])
def test_no_line_takes_long_to_look_at(line: bytes) -> None:
    protocol, _, _ = connected()
    protocol.MAX_LENGTH = 4096
    began = time.process_time()
    for _ in range(50):
        protocol.dataReceived(line[:4000] + b"\n")
        for start in range(0, len(line), 1000):
            protocol.dataReceived(line[start : start + 1000])
        protocol.dataReceived(b"\n")
    assert time.process_time() - began < 1


@given(
    st.lists(
        st.sampled_from(
            [b"\n", b"\r", b"\r\n", b"\xff", b"\xf4", b"\xfb", b"\xfa", b"\xf0", b"a", b"hold", b"x" * LIMIT]
        ),
        max_size=40,
    ),
    st.data(),
)
def test_how_bytes_are_cut_makes_no_difference(parts: list[bytes], data: st.DataObject) -> None:
    sent = b"".join(parts).replace(b"hold", b"held")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=8)))
    pieces = [sent[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    assert lines_of(*pieces, end=True) == lines_of(sent, end=True)


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        (b"", ["end"]),
        (b"last", [b"last", "end"]),
        (b"a\nlast\r", [b"a", b"last", "end"]),
        (b"x" * (LIMIT + 1), ["too long", "end"]),
    ],
)
def test_the_last_line_counts_without_its_end(sent: bytes, seen: list[bytes | str]) -> None:
    assert lines_of(sent, end=True) == seen


def test_a_last_line_can_be_asked_not_to_count() -> None:
    protocol, _, _ = connected()
    protocol.LAST_LINE_COUNTS = False
    protocol.dataReceived(b"half")
    protocol.readConnectionLost()
    assert protocol.seen == ["end"]


def test_held_lines_wait_and_no_more_is_read_than_a_little() -> None:
    protocol, transport, _ = connected()
    protocol.dataReceived(b"hold\nlater\n")
    assert (protocol.seen, transport.producerState) == ([b"hold"], "producing")
    protocol.dataReceived(b"\r" * (protocol.READ_AHEAD - 6))
    assert transport.producerState == "paused"
    protocol.resume(PauseReason.BUSY)
    assert (protocol.seen, transport.producerState) == ([b"hold", b"later", "too long"], "producing")


def test_all_reasons_must_go_before_lines_come() -> None:
    protocol, _, _ = connected()
    protocol.pause(PauseReason.BACKPRESSURE)
    protocol.dataReceived(b"a\n")
    protocol.pause(PauseReason.DISK)
    protocol.resume(PauseReason.BACKPRESSURE)
    assert protocol.seen == []
    protocol.resume(PauseReason.DISK)
    assert protocol.seen == [b"a"]


def test_an_end_behind_held_lines_waits_for_them() -> None:
    protocol, _, _ = connected()
    protocol.dataReceived(b"hold\nb\nhold")
    protocol.readConnectionLost()
    assert protocol.seen == [b"hold"]
    protocol.resume(PauseReason.BUSY)
    assert protocol.seen == [b"hold", b"b", b"hold"]
    protocol.resume(PauseReason.BUSY)
    assert protocol.seen == [b"hold", b"b", b"hold", "end"]


def test_after_its_end_the_peer_is_not_read_again() -> None:
    protocol, transport, _ = connected()
    protocol.dataReceived(b"hold\n" + b"\n" * protocol.READ_AHEAD)
    protocol.readConnectionLost()
    protocol.resume(PauseReason.BUSY)
    assert transport.producerState == "paused"


def test_a_flood_of_lines_gives_the_others_their_turn() -> None:
    protocol, transport, clock = connected()
    flood = protocol.READ_AHEAD * 2
    protocol.dataReceived(b"\n" * flood)
    assert (len(protocol.seen), transport.producerState) == (protocol.TURN, "paused")
    turn_over(clock)
    assert (len(protocol.seen), transport.producerState) == (flood, "producing")


def test_nothing_of_a_line_that_is_too_long_is_kept() -> None:
    protocol, _, _ = connected()
    for _ in range(100):
        protocol.dataReceived(b"x" * 1000)
    assert (protocol.seen, len(protocol._buffer)) == (["too long"], 0)


def test_an_unfinished_line_is_known() -> None:
    protocol, _, _ = connected()
    seen = []
    for piece in (b"a\n", b"b", b"c\n", b"x" * 100, b"y", b"\n"):
        protocol.dataReceived(piece)
        seen.append(protocol.unfinished_line())
    assert seen == [False, True, False, True, True, False]


def test_a_close_flushes_half_closes_and_drops_what_still_comes() -> None:
    protocol, transport, clock = connected()
    protocol.dataReceived(b"hold\n")
    protocol.resume(PauseReason.BUSY)
    protocol.dataReceived(b"close\nignored\n")
    assert transport.half_closed
    assert not transport.disconnecting
    protocol.dataReceived(b"ignored\n")
    protocol.writeConnectionLost()
    clock.advance(protocol.LINGER * 0.9)
    assert not transport.disconnecting
    clock.advance(protocol.LINGER * 0.2)
    assert transport.disconnecting
    assert protocol.seen == [b"hold", b"close"]


def test_a_close_reads_on_to_see_the_peers_end() -> None:
    protocol, transport, _ = connected()
    protocol.pause(PauseReason.BACKPRESSURE)
    protocol.dataReceived(b"\n" * protocol.READ_AHEAD)
    protocol.close()
    assert transport.producerState == "producing"
    protocol.readConnectionLost()
    assert transport.disconnecting


def test_a_close_after_the_peers_end_needs_no_half_close() -> None:
    protocol, transport, _ = connected()
    protocol.readConnectionLost()
    protocol.close()
    assert (transport.disconnecting, transport.half_closed) == (True, False)


@pytest.mark.parametrize("limit", [5.0, 0.5])
def test_a_close_that_never_ends_is_a_reset_at_its_deadline(limit: float) -> None:
    protocol, transport, clock = connected()
    protocol.flush_timeout = limit
    protocol.close()
    clock.pump([limit / 100] * 98)
    assert not transport.aborted
    clock.pump([limit / 100] * 20)
    assert transport.aborted


def test_a_close_without_a_deadline_waits_for_ever() -> None:
    protocol, transport, clock = connected()
    protocol.flush_timeout = 0
    protocol.close()
    clock.pump([10.0] * 1000)
    assert not transport.aborted


def test_a_reset_delivers_no_further_line() -> None:
    protocol, transport, _ = connected()
    protocol.dataReceived(b"abort\nb\n")
    assert (protocol.seen, transport.aborted) == ([b"abort"], True)


@pytest.mark.parametrize("last", [b"", b"half", b"hold\nwaiting\n", b"close\n", b"\n" * 1000])
def test_a_lost_connection_leaves_no_timer(last: bytes) -> None:
    protocol, _, clock = connected()
    protocol.dataReceived(last)
    protocol.connectionLost(Failure(ConnectionDone()))
    assert clock.getDelayedCalls() == []
    protocol.resume(PauseReason.BUSY)
    assert b"waiting" not in protocol.seen


# --- lending the socket ---


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> object:
    """What a transport in memory has for a socket."""
    sock = object()
    monkeypatch.setattr("chatfile.lines.incoming.plain_socket", lambda _: sock)
    return sock


def test_while_the_socket_is_lent_nothing_is_read(plain: object) -> None:
    protocol, transport, _ = connected()
    assert protocol.detach_socket() is plain
    assert (protocol.is_paused_for(PauseReason.DETACHED), transport.producerState) == (True, "paused")
    assert protocol.detach_socket() is None, "it is lent once"
    protocol.resume(PauseReason.DETACHED)
    assert transport.producerState == "producing"
    protocol.dataReceived(b"a\n")
    assert protocol.seen == [b"a"]


@pytest.mark.parametrize("way", ["held", "unread", "ended", "closing"])
def test_what_would_not_be_read_in_order_is_not_lent(plain: object, way: str) -> None:
    protocol, _, _ = connected()
    if way == "held":
        protocol.pause(PauseReason.BUSY)
    elif way == "unread":
        protocol.dataReceived(b"begun")
    elif way == "ended":
        protocol.inputEnded = lambda: None
        protocol.readConnectionLost()
    else:
        protocol.close()
    assert protocol.detach_socket() is None
    assert not protocol.is_paused_for(PauseReason.DETACHED)


def test_a_transport_that_is_not_plain_is_not_lent() -> None:
    protocol, transport, _ = connected()
    assert (protocol.detach_socket(), transport.producerState) == (None, "producing")


def test_a_close_while_the_socket_is_lent_is_a_reset(plain: object) -> None:
    protocol, transport, _ = connected()
    protocol.detach_socket()
    protocol.close()
    assert (transport.aborted, transport.producerState) == (True, "paused"), "there are never two readers"


# --- many lines at once ---


class Greedy(Recorder):
    """Takes whole lines at once."""

    def linesReceived(self, buffer: bytes, start: int) -> int:
        end = buffer.rfind(b"\n", start) + 1
        self.seen.append(buffer[start:end])
        return max(end, start)


def greedy() -> Greedy:
    protocol = Greedy(Clock())
    protocol.makeConnection(MemoryTransport())
    return protocol


def test_lines_taken_at_once_are_counted() -> None:
    protocol = greedy()
    protocol.dataReceived(b"a\nb\nbegun")
    assert (protocol.seen, protocol.lines, protocol.unfinished_line()) == ([b"a\nb\n", b""], 2, True)
    protocol.dataReceived(b" and done\nc\n")
    assert (protocol.seen[2:], protocol.lines) == ([b"begun and done\nc\n"], 4)


@pytest.mark.parametrize("way", ["held", "raw", "telnet"])
def test_lines_are_not_taken_past_what_comes_first(way: str) -> None:
    protocol = greedy()
    if way == "held":
        protocol.pause(PauseReason.BUSY)
    elif way == "raw":
        protocol.setRawMode()
    else:
        protocol.dataReceived(b"\xff")
        protocol.seen.clear()
    protocol.dataReceived(b"\xfdxhi\n" if way == "telnet" else b"hi\n")
    assert protocol.seen[:1] == {"held": [], "raw": ["raw hi"], "telnet": [b"hi\n"]}[way]
