"""The waiting line: who gets which seat, what is said meanwhile, and that a place is given back exactly once."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.address import IPv4Address

from chatfile import errors
from chatfile.lines import ConnectionState
from chatfile.server import MAX_UNSEATED, Timeouts
from chatfile.server import waiting as line_module
from chatfile.server.activity import LeaveReason
from chatfile.server.waiting import DELAY, INVITATION, REPEAT, TURN
from tests.server.test_seats import EncryptedTransport
from tests.support.serving import WELCOME, Peer, Server
from tests.support.transports import FullTransport, MemoryTransport

LIMITS = Timeouts(idle=30, line=10, stall=20, flush=5)
CONTENT = b"one\ntwo\n"
GET_A = b"FILE 8 2017-07-14T02:40:00Z a"


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """One seat, three places."""
    return serving(tmp_path, places=3)


def serving(folder: Path, *, timeouts: Timeouts = LIMITS, **options: int) -> Server:
    server = Server(folder, timeouts=timeouts, limit=options.pop("limit", 1), hashing=False, **options)
    server.put("a", CONTENT)
    return server


def come(server: Server, number: int, transport: MemoryTransport | None = None) -> Peer:
    """A client from an address of its own."""
    transport = transport or MemoryTransport()
    transport.peerAddr = IPv4Address("TCP", f"10.0.{number // 256}.{number % 256}", 40000)
    return server.connect(transport)


def waits(server: Server, number: int, behind: bytes = b"", transport: MemoryTransport | None = None) -> Peer:
    """One that has asked for a place, and said what stands behind that in the same piece."""
    peer = come(server, number, transport)
    assert peer.transport.lines()[0].startswith(b"ERROR full ")
    if isinstance(peer.transport, FullTransport):
        peer.transport.drain()
    peer.sends(b"wait\n" + behind)
    return peer


def told(peers: list[Peer]) -> list[list[bytes]]:
    return [peer.transport.lines() for peer in peers]


def pass_seconds(server: Server, seconds: float) -> None:
    server.pass_time(seconds)


# --- without places ---


def test_without_places_all_is_as_it_was(tmp_path: Path) -> None:
    server = serving(tmp_path, places=0)
    assert server.factory._context.waiting is None
    server.greeted()
    refused = come(server, 1)
    calls = len(server.clock.getDelayedCalls())
    assert refused.transport.lines() == [b"ERROR full " + str(errors.Full(limit=1)).encode()]
    assert refused.is_closing()
    refused.sends(b"wait\nget a\n")
    assert refused.transport.value() == b""
    assert len(server.clock.getDelayedCalls()) == calls


def test_a_client_with_a_seat_has_the_same_answers_where_there_is_a_line(tmp_path: Path) -> None:
    said = b"wait\nhello\nWAIT\nwait \nget a\nwait"
    answers = []
    for places in (0, 3):
        peer = serving(tmp_path, places=places).connect()
        peer.sends(said)
        peer.protocol.readConnectionLost()
        answers.append(peer.transport.value())
    assert answers[0] == answers[1]
    assert answers[0].split(b"\n")[1:5] == [b"wait ACK", b"hello ACK", b"WAIT ACK", b"wait  ACK"]


# --- in turn ---


def test_seats_go_to_those_that_wait_in_their_order(server: Server) -> None:
    holder = server.greeted()
    peers = [waits(server, number) for number in range(3)]
    assert told(peers) == [[b"WAIT 1"], [b"WAIT 2"], [b"WAIT 3"]]
    for number in range(3):
        holder.vanishes()
        assert peers[number].transport.lines() == [WELCOME % (number + 2)]
        pass_seconds(server, DELAY + 0.1)
        assert told(peers[number:]) == [[], *([b"WAIT %d" % at] for at in range(1, 3 - number))]
        holder = peers[number]
    assert holder.says(b"hello") == [b"hello ACK"]
    assert server.connected() == ["Client04"]


def test_those_that_wait_have_no_row_and_no_name(server: Server) -> None:
    holder = server.greeted()
    waits(server, 1).vanishes()
    waits(server, 2)
    assert holder.says(b"status")[0] == b"STATUS 1"
    assert holder.says(b"status")[1].startswith(b"Client01 ")


def test_what_stands_behind_wait_is_carried_out_after_the_welcome(server: Server) -> None:
    holder = server.greeted()
    peer = waits(server, 1, b"hello\nget a\nwait\nex")
    assert peer.transport.lines() == [b"WAIT 1"]
    holder.vanishes()
    peer.sends(b"it\n")
    assert peer.transport.value() == b"%b\nhello ACK\n%b\n%bEND -\nwait ACK\nBYE Client02\n" % (
        WELCOME % 2,
        GET_A,
        CONTENT,
    )


@pytest.mark.parametrize(
    "said", [b"wait\nget a\n", b"wait\nget a", b"WAIT\r\nget a\r\n", b"\xff\xfd\x01wa\xff\xfb\x03it\nget a\n"]
)
@pytest.mark.parametrize("in_pieces", [False, True])
def test_a_client_that_half_closes_keeps_its_place_for_what_it_has_asked(
    server: Server, said: bytes, in_pieces: bool
) -> None:
    holder = server.greeted()
    peer = come(server, 1)
    peer.transport.clear()
    for piece in [said[at : at + 1] for at in range(len(said))] if in_pieces else [said]:
        peer.sends(piece)
    peer.protocol.readConnectionLost()
    assert peer.transport.lines() == [b"WAIT 1"]
    holder.vanishes()
    assert peer.transport.value() == b"%b\n%b\n%bEND -\n" % (WELCOME % 2, GET_A, CONTENT)
    assert peer.is_closing()


@pytest.mark.parametrize("said", [b"wait\n", b"wait", b"wait\r\n", b"wait\n\xff\xf1"])
def test_a_client_that_half_closes_and_has_asked_nothing_gives_its_place_up(server: Server, said: bytes) -> None:
    server.greeted()
    behind = waits(server, 2)
    peer = come(server, 1)
    peer.sends(said)
    peer.protocol.readConnectionLost()
    assert peer.is_closing()
    assert [place.host for place in server.admission.line()] == ["10.0.0.2"]
    assert behind.transport.lines() == [b"WAIT 1"]


def test_wait_may_come_before_the_error(server: Server) -> None:
    """The bytes are read in the turn in which it is refused: nothing can have come earlier."""
    server.greeted()
    peer = come(server, 1)
    peer.sends(b"wait\nhello\n")
    assert [line[:6] for line in peer.transport.lines()] == [b"ERROR ", b"WAIT 1"]


@pytest.mark.parametrize(
    "said",
    [
        b"hello\n",
        b"\n",
        b"wait \n",
        b"waits\n",
        b"get a\nwait\n",
        b"\x00\n",
        b"\xc3\n",
        b"x" * 5000,
        b"x" * 5000 + b"\n",
    ],
)
def test_any_other_line_ends_the_connection_as_where_there_is_no_line(server: Server, said: bytes) -> None:
    server.greeted()
    peer = come(server, 1)
    peer.transport.clear()
    peer.sends(said)
    assert (peer.transport.value(), peer.is_closing()) == (b"", True)
    assert server.admission.line() == []
    assert peer.says(b"wait") == []


def test_wait_that_comes_late_comes_too_late(server: Server) -> None:
    server.greeted()
    peers = [come(server, number) for number in range(2)]
    pass_seconds(server, INVITATION - 0.2)
    peers[0].sends(b"wait\n")
    assert not peers[1].is_closing()
    pass_seconds(server, 0.3)
    assert (peers[0].is_closing(), peers[1].is_closing()) == (False, True)
    assert peers[1].says(b"wait")[1:] == []
    pass_seconds(server, 3 * INVITATION)
    assert not peers[0].is_closing()


def test_half_a_line_is_not_waited_for_any_longer(server: Server) -> None:
    server.greeted()
    peer = come(server, 1)
    for letter in b"wait":
        peer.sends(bytes([letter]))
        pass_seconds(server, INVITATION / 4 + 0.1)
    assert peer.is_closing()
    assert server.admission.line() == []


# --- no place ---


def test_where_the_line_is_full_too_all_is_as_it_is_without_one(server: Server) -> None:
    server.greeted()
    for number in range(3):
        waits(server, number)
    refused = come(server, 4)
    assert [line[:11] for line in refused.transport.lines()] == [b"ERROR full "]
    assert refused.is_closing()


def test_the_last_place_may_be_gone_when_wait_comes(server: Server) -> None:
    server.greeted()
    peers = [come(server, number) for number in range(4)]
    for peer in peers:
        peer.transport.clear()
        peer.sends(b"wait\nhello\n")
    assert [peer.transport.lines() for peer in peers] == [
        [b"WAIT 1"],
        [b"WAIT 2"],
        [b"WAIT 3"],
        [b"ERROR full No place in the waiting line is free: 3 of 3 clients wait. Try again later."],
    ]
    assert peers[3].is_closing()


def test_one_address_has_one_place(server: Server) -> None:
    server.greeted()
    early = come(server, 1)
    waits(server, 1)
    assert come(server, 1).is_closing()
    early.transport.clear()
    assert early.says(b"wait")[0].startswith(
        b"ERROR full No place in the waiting line is free for your address: 1 of 1"
    )
    assert early.is_closing()
    waits(server, 2)


def test_an_address_that_may_have_several_seats_may_have_as_many_places(tmp_path: Path) -> None:
    server = serving(tmp_path, limit=3, per_address=2, places=9)
    mine = [come(server, 1) for _ in range(2)]
    other = come(server, 2)
    told([*mine, other])
    siblings = [waits(server, 1) for _ in range(2)]
    assert come(server, 1).is_closing()
    theirs = waits(server, 3)
    told([*siblings, theirs])
    other.vanishes()
    assert told([*siblings, theirs]) == [[], [], [WELCOME % 4]]  # past those whose address has all its seats
    mine[0].vanishes()
    assert told(siblings) == [[WELCOME % 5], []]
    assert len(server.connected()) == 3


def test_a_newcomer_does_not_overtake(server: Server) -> None:
    holder = server.greeted()
    peer = waits(server, 1)
    peer.transport.clear()
    holder.says(b"exit")
    holder.protocol.writeConnectionLost()  # from here on its seat is free for whoever asks
    newcomer = come(server, 2)
    assert peer.transport.lines() == [WELCOME % 2]
    assert newcomer.transport.lines()[0].startswith(b"ERROR full ")


def test_the_seat_of_one_that_is_closing_is_given_on_as_soon_as_it_does_not_need_it(server: Server) -> None:
    holder = server.greeted()
    peer = waits(server, 1)
    holder.says(b"exit")
    assert server.connected() == ["Client01"]
    holder.protocol.writeConnectionLost()
    assert server.connected() == ["Client02"]
    assert peer.says(b"hello") == [b"WAIT 1", WELCOME % 2, b"hello ACK"]


# --- going ---


def _resets(peer: Peer) -> None:
    peer.protocol.abort()
    peer.vanishes()


def _half_closes(peer: Peer) -> None:
    peer.protocol.readConnectionLost()
    peer.vanishes()


@pytest.mark.parametrize("goes", [Peer.vanishes, _resets, _half_closes])
def test_who_leaves_from_the_middle_is_out_of_the_line_once(server: Server, goes: Callable[[Peer], None]) -> None:
    holder = server.greeted()
    first, middle, last = (waits(server, number) for number in range(3))
    told([first, middle, last])
    goes(middle)
    pass_seconds(server, DELAY + 0.1)
    assert told([first, last]) == [[], [b"WAIT 2"]]
    again = waits(server, 1)
    assert again.transport.lines() == [b"WAIT 3"]
    holder.vanishes()
    first.vanishes()
    assert last.transport.lines() == [WELCOME % 3]


def test_who_is_first_and_gone_is_passed_over_at_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system knows of the reset, and the reactor has not told it yet."""
    holder = server.greeted()
    gone, aborted, there = (waits(server, number) for number in range(3))
    told([gone, aborted, there])
    monkeypatch.setattr(line_module, "is_reset", lambda transport: transport is gone.transport)
    aborted.protocol.abort()
    holder.vanishes()
    assert there.transport.lines() == [WELCOME % 2]  # and no name was used for those that are gone
    assert gone.transport.aborted
    assert [gone.transport.value(), aborted.transport.value()] == [b"", b""]
    gone.vanishes()
    aborted.vanishes()
    assert server.admission.line() == []
    assert server.connected() == ["Client02"]


def test_the_first_dies_in_the_moment_in_which_its_seat_comes(server: Server) -> None:
    """Its connection is lost while it is welcomed."""
    holder = server.greeted()

    class DyingTransport(MemoryTransport):
        def write(self, data: bytes) -> None:
            super().write(data)
            if data.startswith(b"WELCOME"):
                server.clock.callLater(0, dying.vanishes)

    dying, there = waits(server, 1, b"get a\n", DyingTransport()), waits(server, 2)
    told([dying, there])
    holder.vanishes()
    server.clock.advance(0)
    assert there.transport.lines() == [WELCOME % 3]
    assert server.connected() == ["Client03"]


def test_seats_pass_through_many_that_leave_at_once_without_depth(tmp_path: Path) -> None:
    count = 400  # the stack of Python holds a thousand calls
    server = serving(tmp_path, places=count)
    holder = server.greeted()

    class LeavingTransport(MemoryTransport):
        """Is lost within the write of what is said last."""

        peer: Peer

        def write(self, data: bytes) -> None:
            super().write(data)
            if data.startswith(b"BYE"):
                self.peer.protocol._leave(LeaveReason.CLOSED)

    peers = [waits(server, number, b"exit\n", LeavingTransport()) for number in range(count)]
    for peer in peers:
        peer.transport.peer = peer
    holder.vanishes()
    assert all(peer.transport.lines()[-1] == b"BYE Client%02d" % (at + 2) for at, peer in enumerate(peers))
    assert server.admission.taken == 0


def test_a_drain_tells_everyone(server: Server) -> None:
    holder = server.greeted()
    invited, waiting = come(server, 1), waits(server, 2, b"get a\n")
    told([invited, waiting])
    server.factory.drain(30)
    assert told([holder, invited, waiting]) == [[b"ERROR shutdown The server is going down."]] * 3
    assert all(peer.is_closing() for peer in (holder, invited, waiting))
    assert server.admission.line() == []
    holder.vanishes()  # nobody gets that seat
    assert told([invited, waiting]) == [[], []]


def test_nobody_is_let_in_during_a_drain(tmp_path: Path) -> None:
    server = serving(tmp_path, limit=2, places=3)
    busy, leaving = (server.greeted(FullTransport()) for _ in range(2))
    busy.sends(b"list\n")
    peer = waits(server, 1)
    peer.transport.clear()
    server.factory.drain(30)
    leaving.vanishes()
    assert peer.transport.lines() == [b"ERROR shutdown The server is going down."]
    newcomer = come(server, 2)
    assert newcomer.transport.lines() == [b"ERROR shutdown The server is going down."]
    assert newcomer.is_closing()


# --- what they are told ---


def test_each_is_told_at_least_every_thirty_seconds(server: Server) -> None:
    server.greeted()
    first, second = waits(server, 1), waits(server, 2)
    pass_seconds(server, 17)
    last = waits(server, 3)
    lines: list[list[bytes]] = [[], [], []]
    for _ in range(10):
        told([first, second, last])
        pass_seconds(server, 30)
        lines = told([first, second, last])
        assert [set(each) for each in lines] == [{b"WAIT 1"}, {b"WAIT 2"}, {b"WAIT 3"}]
        assert all(len(each) <= 2 for each in lines)


def test_many_changes_at_once_are_told_once(tmp_path: Path) -> None:
    count = 3 * TURN
    server = serving(tmp_path, places=count)
    server.greeted()
    peers = [waits(server, number) for number in range(count)]
    told(peers)
    left = peers[:10] + peers[110:]
    for some in (peers[10:60], peers[60:110]):
        for peer in some:
            peer.vanishes()
        assert told(left) == [[]] * len(left)
        pass_seconds(server, 0.1)
    pass_seconds(server, DELAY)
    assert told(left) == [[]] * 10 + [[b"WAIT %d" % at] for at in range(11, len(left) + 1)]


def test_a_change_far_behind_does_not_make_it_forget_one_before(server: Server) -> None:
    server.greeted()
    peers = [waits(server, number) for number in range(3)]
    told(peers)
    peers[0].vanishes()
    peers[2].vanishes()
    pass_seconds(server, DELAY + 0.1)
    assert peers[1].transport.lines() == [b"WAIT 1"]


def test_a_change_far_behind_does_not_break_off_what_is_being_told(tmp_path: Path) -> None:
    server = serving(tmp_path, places=4 * TURN)
    server.greeted()
    peers = [waits(server, number) for number in range(4 * TURN)]
    told(peers)

    def leave() -> None:
        """The turns are so slow that the news of it is due before the last of them."""
        peers.pop(-2).vanishes()
        server.clock.rightNow += DELAY

    server.clock.callLater(REPEAT, leave)
    server.clock.advance(REPEAT)
    pass_seconds(server, 2 * DELAY + 0.1)
    assert [lines[-1:] for lines in told(peers)] == [[b"WAIT %d" % (at + 1)] for at in range(4 * TURN - 1)]


def test_a_long_line_is_told_in_turns(tmp_path: Path) -> None:
    server = serving(tmp_path, places=3 * TURN)
    server.greeted()
    peers = [waits(server, number) for number in range(3 * TURN)]
    told(peers)
    heard: list[int] = []

    def count() -> None:
        """Between the first turn and the second, somebody else has one, and the last of them leaves."""
        heard.append(sum(bool(peer.transport.value()) for peer in peers))
        peers.pop().vanishes()

    server.clock.callLater(REPEAT, count)
    server.clock.advance(REPEAT)
    assert heard == [TURN]
    assert told(peers) == [[b"WAIT %d" % (at + 1)] for at in range(3 * TURN - 1)]


def test_one_that_does_not_take_what_it_is_told_is_told_no_more(server: Server) -> None:
    server.greeted()
    first = waits(server, 1)
    peer = waits(server, 2, b"", FullTransport())
    assert peer.transport.value() == b"WAIT 2\n"
    first.vanishes()
    pass_seconds(server, LIMITS.stall - 1)
    assert peer.transport.value() == b"WAIT 2\n"
    pass_seconds(server, 3)
    assert peer.transport.aborted  # its network may be gone


def test_one_that_takes_it_slowly_is_told_again(server: Server) -> None:
    server.greeted()
    peer = waits(server, 1, b"", FullTransport())
    heard = b""
    for _ in range(10):
        pass_seconds(server, LIMITS.stall / 2)
        heard += peer.transport.drain()
    assert heard == b"WAIT 1\n" * 4
    assert not peer.transport.aborted


def test_no_idle_nor_line_time_runs_while_a_client_waits(server: Server) -> None:
    holder = server.greeted()
    peer = waits(server, 1, b"hel")
    for _ in range(20):
        pass_seconds(server, LIMITS.idle - 1)
        holder.says(b"still here")
    assert set(peer.transport.lines()) == {b"WAIT 1"}
    holder.vanishes()
    pass_seconds(server, LIMITS.line - 1)
    assert peer.transport.lines() == [WELCOME % 2]
    pass_seconds(server, 2)
    assert peer.transport.lines()[0].startswith(b"ERROR timeout ")


# --- bounds ---


def test_of_what_stands_behind_wait_no_more_is_read_than_has_come_with_it(server: Server) -> None:
    server.greeted()
    peer = waits(server, 1)
    assert peer.transport.producerState == "producing"  # so that its end is heard
    peer.sends(b"hello\n" * 1000)
    assert peer.transport.producerState == "paused"
    flood = waits(server, 2, b"\n" * 10_000)
    assert flood.transport.producerState == "paused"


def test_it_is_read_on_when_its_turn_has_come(server: Server) -> None:
    holder = server.greeted()
    peer = waits(server, 1, b"\n" * 1000)
    peer.transport.clear()
    holder.vanishes()
    server.clock.advance(0)
    assert peer.transport.producerState == "producing"
    assert peer.transport.value() == WELCOME % 2 + b"\n" + b" ACK\n" * 1000


def test_those_that_may_ask_for_a_place_are_no_more_than_others_without_a_seat(tmp_path: Path) -> None:
    server = serving(tmp_path, places=1000)
    server.greeted()
    invited = [come(server, number) for number in range(3 * MAX_UNSEATED)]
    assert sum(not peer.transport.aborted for peer in invited) == MAX_UNSEATED


def test_those_of_one_address_never_push_out_another_that_may_ask(tmp_path: Path) -> None:
    server = serving(tmp_path, places=1000)
    server.greeted()
    invited = come(server, 1)
    for _ in range(10 * MAX_UNSEATED):
        come(server, 2)
    assert not invited.transport.aborted
    assert invited.says(b"wait")[-1] == b"WAIT 1"


def test_no_flood_pushes_out_those_that_wait(tmp_path: Path) -> None:
    server = serving(tmp_path, places=2 * MAX_UNSEATED)
    server.greeted()
    waiting = [waits(server, number) for number in range(2 * MAX_UNSEATED)]
    for number in range(1000, 1000 + 10 * MAX_UNSEATED):
        come(server, number, EncryptedTransport())
        come(server, number)
    assert not any(peer.transport.aborted for peer in waiting)
    assert len(server.admission.line()) == 2 * MAX_UNSEATED


def test_those_that_give_their_place_up_and_do_not_go_are_bounded_too(tmp_path: Path) -> None:
    server = serving(tmp_path, places=1000)
    server.greeted()
    peers = [waits(server, number) for number in range(3 * MAX_UNSEATED)]
    for peer in peers:
        peer.protocol.readConnectionLost()
    assert sum(not peer.transport.aborted for peer in peers) == MAX_UNSEATED


def test_over_tls_the_line_is_for_those_that_have_shaken_hands(server: Server) -> None:
    server.greeted()
    peer = come(server, 1, EncryptedTransport())
    pass_seconds(server, INVITATION + 1)
    assert not peer.transport.aborted
    peer.protocol.handshakeCompleted()
    assert peer.transport.lines()[0].startswith(b"ERROR full ")
    assert peer.says(b"wait") == [b"WAIT 1"]
    peer.protocol.handshakeCompleted()
    pass_seconds(server, LIMITS.line + 1)
    assert not peer.transport.disconnecting


def test_a_client_that_passes_descriptors_loses_its_place(server: Server, tmp_path: Path) -> None:
    server.greeted()
    peer = waits(server, 1)
    peer.protocol.fileDescriptorReceived(os.open(tmp_path / "a", os.O_RDONLY))
    assert peer.transport.aborted
    peer.vanishes()
    assert server.admission.line() == []


# --- storms ---


class Storm:
    """Clients come, wait, leave, half-close and time out at random; two lists say whose turn it is."""

    SEATS, PLACES = 2, 5

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.server = serving(folder, timeouts=Timeouts(idle=0), limit=self.SEATS, places=self.PLACES)
        self.seated: list[Peer] = []
        self.line: list[Peer] = []
        self.number = 0
        self.rules = [
            self.comes,
            self.comes,
            self.comes,
            self.leaves,
            self.leaves,
            self.gives_up,
            self.dies,
            self.idles,
        ]

    def step(self) -> None:
        self.chance.choice(self.rules)()
        while len(self.seated) < self.SEATS and self.line:
            self.seated.append(self.line.pop(0))
            assert self.seated[-1].transport.lines()[-1].startswith(b"WELCOME ")
        for peer in self.server.peers:
            if peer.transport.aborted and peer.protocol.state is not ConnectionState.CLOSED:
                peer.vanishes()
        assert self.server.admission.taken == len(self.seated)
        assert len(self.server.admission.line()) == len(self.line)

    def comes(self) -> None:
        self.number += 1
        peer = come(self.server, self.number)
        if peer.transport.lines()[0].startswith(b"WELCOME"):
            assert len(self.seated) < self.SEATS
            self.seated.append(peer)
            return
        assert len(self.seated) == self.SEATS
        assert peer.is_closing() == (len(self.line) == self.PLACES)
        if not peer.is_closing() and self.chance.random() < 0.8:
            assert peer.says(b"wait") == [b"WAIT %d" % (len(self.line) + 1)]
            self.line.append(peer)

    def leaves(self) -> None:
        if self.seated:
            self.seated.pop(self.chance.randrange(len(self.seated))).vanishes()

    def gives_up(self) -> None:
        if self.line:
            self.line.pop(self.chance.randrange(len(self.line))).protocol.readConnectionLost()

    def dies(self) -> None:
        """It is reset; often in the moment in which its turn has come, before the reactor tells that."""
        if self.line:
            self.line.pop(0).protocol.abort()
            if self.chance.random() < 0.5:
                self.leaves()

    def idles(self) -> None:
        pass_seconds(self.server, self.chance.choice([0.1, 1, 6]))

    def check_positions(self) -> None:
        pass_seconds(self.server, DELAY + 0.1)
        told(self.line)
        pass_seconds(self.server, REPEAT + 0.1)
        assert [each[-1:] for each in told(self.line)] == [[b"WAIT %d" % (at + 1)] for at in range(len(self.line))]


@pytest.mark.parametrize("seed", range(8))
def test_in_a_storm_seats_are_given_in_the_order_of_the_line(tmp_path: Path, seed: int) -> None:
    storm = Storm(tmp_path, seed)
    for _ in range(8):
        for _ in range(60):
            storm.step()
        storm.check_positions()
    assert storm.number > 100
