"""The line protocol: the states of a connection, what pauses its lines, and how it ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from chatfile.lines import ConnectionState, LineProtocol, PauseReason
from chatfile.lines.states import TRANSITIONS, ConnectionEvent, IllegalEvent
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

    def close(self) -> None:
        if self.state is ConnectionState.HALF_CLOSED:
            self.seen.append("end")
        super().close()


class Hesitant(Recorder):
    """Pauses and goes on amid each line."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.changes = 0

    def lineReceived(self, line: bytes) -> None:
        self.seen.append(b"begin " + line)
        self.pause(PauseReason.DISK)
        self.resume(PauseReason.DISK)
        self.seen.append(b"end " + line)

    def readStateChanged(self) -> None:
        self.changes += 1


def connected(kind: type[Recorder] = Recorder) -> tuple[Recorder, MemoryTransport, Clock]:
    clock, transport = Clock(), MemoryTransport()
    protocol = kind(clock)
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


# --- the table of states ---

BY_PEER: dict[ConnectionEvent, Callable[[LineProtocol], None]] = {
    ConnectionEvent.PEER_CLOSED: LineProtocol.readConnectionLost,
    ConnectionEvent.FLUSHED: LineProtocol.writeConnectionLost,
    ConnectionEvent.LOST: LineProtocol.connectionLost,
}
"""The events that the transport tells of."""


def reached(state: ConnectionState) -> tuple[Recorder, MemoryTransport, Clock]:
    """A protocol in that state, by the way there that is usual."""
    protocol, transport, clock = connected()
    match state:
        case ConnectionState.HALF_CLOSED:
            protocol.pause(PauseReason.BUSY)
            protocol.readConnectionLost()
        case ConnectionState.FLUSHING | ConnectionState.LINGERING:
            protocol.close()
        case ConnectionState.DISCONNECTING:
            protocol.readConnectionLost()
        case ConnectionState.ABORTED:
            protocol.abort()
        case ConnectionState.CLOSED:
            protocol.connectionLost()
    if state is ConnectionState.LINGERING:
        protocol.writeConnectionLost()
    assert protocol.state is state
    return protocol, transport, clock


@pytest.mark.parametrize("event", BY_PEER)
@pytest.mark.parametrize("state", ConnectionState)
def test_what_the_transport_tells_leads_where_the_table_says_or_is_a_fault(
    state: ConnectionState, event: ConnectionEvent
) -> None:
    protocol, _, clock = reached(state)
    protocol.pause(PauseReason.BUSY)  # or it would close at once, where the peer has half-closed
    if event in TRANSITIONS[state]:
        BY_PEER[event](protocol)
        assert protocol.state is TRANSITIONS[state][event]
    else:
        with pytest.raises(IllegalEvent):
            BY_PEER[event](protocol)
        assert protocol.state is state
    if protocol.state is not ConnectionState.CLOSED:
        protocol.connectionLost()
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize("state", ConnectionState)
def test_a_close_or_a_reset_of_ours_is_never_a_fault_and_never_goes_back(state: ConnectionState) -> None:
    for ours in (LineProtocol.close, LineProtocol.abort):
        protocol, _, _ = reached(state)
        ours(protocol)
        after = protocol.state
        assert after is state or after in TRANSITIONS[state].values()
        assert protocol.is_receiving is False
        protocol.dataReceived(b"late\n")
        protocol.resume(PauseReason.BUSY)
        assert b"late" not in protocol.seen


@pytest.mark.parametrize("ours", [LineProtocol.close, LineProtocol.abort], ids=["close", "abort"])
@pytest.mark.parametrize("state", ConnectionState)
def test_no_timer_of_a_state_fires_in_the_next_one(
    state: ConnectionState, ours: Callable[[LineProtocol], None]
) -> None:
    """The reactor may be late, and tells of a lost connection after the timers that are due by then."""
    protocol, _, clock = reached(state)
    clock.advance(protocol.LINGER * 0.9)
    ours(protocol)
    clock.advance(protocol.LINGER)
    protocol.connectionLost()
    clock.advance(100)
    assert (protocol.state, clock.getDelayedCalls()) == (ConnectionState.CLOSED, [])


@pytest.mark.parametrize("state", ConnectionState)
def test_every_state_can_be_reached_and_leads_to_the_end(state: ConnectionState) -> None:
    seen, ahead = set(), [state]
    while ahead:
        seen.add(here := ahead.pop())
        ahead += set(TRANSITIONS[here].values()) - seen
    assert ConnectionState.CLOSED in seen
    assert ConnectionState.OPEN not in seen - {state}, "nothing leads back"


@pytest.mark.parametrize("state", ConnectionState)
def test_lines_are_delivered_in_the_first_two_states_only(state: ConnectionState) -> None:
    protocol, _, _ = reached(state)
    protocol.resume(PauseReason.BUSY)
    protocol.seen.clear()
    protocol.dataReceived(b"a\n")
    assert (protocol.seen == [b"a"]) is (state is ConnectionState.OPEN)


# --- lines ---


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        (b"raw\nab12\n", [b"raw", "raw ab", b"12"]),
        (b"raw\nabraw\ncd1\n", [b"raw", "raw ab", b"raw", "raw cd", b"1"]),
    ],
)
def test_raw_bytes_between_lines_are_given_as_they_are(sent: bytes, seen: list[bytes | str]) -> None:
    assert lines_of(sent) == seen


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


def test_a_pause_amid_a_line_delivers_no_other_within_it_and_is_no_change_where_it_is_over() -> None:
    protocol, _, _ = connected(Hesitant)
    protocol.dataReceived(b"a\nb\n")
    assert protocol.seen == [b"begin a", b"end a", b"begin b", b"end b"]
    assert isinstance(protocol, Hesitant)
    assert protocol.changes == 1


def test_a_line_is_sent_with_its_end() -> None:
    protocol, transport, _ = connected()
    protocol.sendLine(b"a")
    protocol.sendLine(b"")
    assert transport.value() == b"a\n\n"


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


def test_of_a_peer_that_waits_no_more_than_a_byte_is_awaited() -> None:
    protocol, transport, _ = connected()
    protocol.pause(PauseReason.QUEUED)
    assert transport.producerState == "producing", "its end is to be seen"
    protocol.dataReceived(b"x")
    assert transport.producerState == "paused"


def test_a_flood_of_lines_gives_the_others_their_turn() -> None:
    protocol, transport, clock = connected()
    flood = protocol.READ_AHEAD * 2
    protocol.dataReceived(b"\n" * flood)
    assert (len(protocol.seen), transport.producerState) == (protocol.TURN, "paused")
    assert [call.getTime() for call in clock.getDelayedCalls()] == [clock.seconds()]
    turn_over(clock)
    assert (len(protocol.seen), transport.producerState) == (flood, "producing")


def test_nothing_of_a_line_that_is_too_long_is_kept() -> None:
    protocol, _, _ = connected()
    for _ in range(100):
        protocol.dataReceived(b"x" * 1000)
    assert (protocol.seen, len(protocol.clearLineBuffer())) == (["too long"], 0)


def test_an_unfinished_line_is_known() -> None:
    protocol, _, _ = connected()
    seen = []
    for piece in (b"a\n", b"b", b"c\n", b"x" * 100, b"y", b"\n"):
        protocol.dataReceived(piece)
        seen.append(protocol.splitter.is_amid_line)
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


def test_a_close_reads_on_whatever_pauses_lines() -> None:
    protocol, transport, _ = connected()
    protocol.close()
    protocol.pause(PauseReason.DETACHED)
    assert transport.producerState == "producing"


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
    monkeypatch.setattr("chatfile.lines.protocol.plain_socket", lambda _: sock)
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


@pytest.mark.parametrize("way", ["paused", "unread", "closing"])
def test_what_would_not_be_read_in_order_is_not_lent(plain: object, way: str) -> None:
    protocol, _, _ = connected()
    if way == "paused":
        protocol.pause(PauseReason.BUSY)
    elif way == "unread":
        protocol.dataReceived(b"begun")
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
    assert (protocol.seen, protocol.splitter.count, protocol.splitter.is_amid_line) == ([b"a\nb\n", b""], 2, True)
    protocol.dataReceived(b" and done\nc\n")
    assert (protocol.seen[2:], protocol.splitter.count) == ([b"begun and done\nc\n"], 4)


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
