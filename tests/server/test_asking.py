"""A seat that is asked for somewhere else, so that the answer takes its time."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from chatfile import errors
from chatfile.admission import ClientRecord, MemoryAdmission, Seat
from chatfile.server import MAX_UNSEATED
from tests.support.serving import WELCOME, Server


class SlowAdmission(MemoryAdmission):
    """It answers when the test lets it."""

    def __init__(self, limit: int) -> None:
        super().__init__(lambda: 0.0, limit=limit)
        self.asked: list[Deferred[None]] = []
        self.is_known = True

    async def admit(self, address: str, host: str) -> Seat:
        answer: Deferred[None] = Deferred()
        self.asked.append(answer)
        await answer
        return await super().admit(address, host)

    async def present(self) -> list[Seat | ClientRecord]:
        if not self.is_known:
            raise errors.Unavailable.clients()
        return await super().present()

    def answer(self, refusal: Exception | None = None) -> None:
        asked = self.asked.pop(0)
        if refusal is None:
            asked.callback(None)
        else:
            asked.errback(refusal)


class SlowServer(Server):
    def __init__(self, folder: Path, limit: int = 3) -> None:
        self.slow = SlowAdmission(limit)
        super().__init__(folder, admission=self.slow)


@pytest.fixture
def server(tmp_path: Path) -> SlowServer:
    return SlowServer(tmp_path)


def test_nothing_is_said_before_the_answer_and_what_was_said_to_us_is_answered_behind_it(server: SlowServer) -> None:
    peer = server.connect()
    assert peer.says(b"one", b"two") == []
    server.slow.answer()
    assert peer.transport.lines() == [WELCOME % 1, b"one ACK", b"two ACK"]
    assert peer.says(b"three") == [b"three ACK"]


def test_who_half_closes_before_the_answer_gets_all_replies_and_the_close(server: SlowServer) -> None:
    peer = server.connect()
    peer.sends(b"hello\nlast")
    peer.protocol.readConnectionLost()
    server.slow.answer()
    assert peer.transport.lines() == [WELCOME % 1, b"hello ACK", b"last ACK"]
    assert peer.is_closing()


def test_who_has_gone_before_the_answer_keeps_no_seat(server: SlowServer) -> None:
    peer = server.connect()
    peer.vanishes()
    server.slow.answer()
    assert (server.slow.taken, server.connected()) == (0, [])


def test_who_is_refused_by_the_answer_is_told_and_closed(server: SlowServer) -> None:
    for refusal in (errors.Full(limit=3), errors.Unavailable.seats()):
        peer = server.connect()
        peer.sends(b"get a\n")
        server.slow.answer(refusal)
        assert peer.transport.lines() == [f"ERROR {refusal.code} {refusal}".encode()]
        assert peer.is_closing()
        assert server.slow.asked == []


def test_a_drain_tells_those_that_are_asked_for_and_their_seats_are_given_back(server: SlowServer) -> None:
    peer = server.connect()
    server.factory.drain(0)
    assert peer.transport.lines()[0].startswith(b"ERROR shutdown ")
    assert peer.is_closing()
    server.slow.answer()
    assert server.slow.taken == 0


def test_who_comes_in_a_drain_is_not_asked_for(server: SlowServer) -> None:
    server.factory.drain(0)
    assert server.connect().transport.lines()[0].startswith(b"ERROR shutdown ")
    assert server.slow.asked == []


def test_those_that_are_asked_for_are_bounded_as_all_without_a_seat_are(server: SlowServer) -> None:
    peers = [server.connect() for _ in range(2 * MAX_UNSEATED)]
    assert sum(peer.transport.aborted for peer in peers) == MAX_UNSEATED
    for _ in peers:
        server.slow.answer()
    assert server.slow.taken == 3


def test_a_fault_of_ours_is_logged_and_ends_the_connection(server: SlowServer, logged_errors: list[str]) -> None:
    peer = server.connect()
    server.slow.answer(ZeroDivisionError("ours"))
    assert peer.transport.aborted
    logged_errors.pop()


def test_status_is_unavailable_where_others_are_not_known_and_all_else_goes_on(server: SlowServer) -> None:
    peer = server.connect()
    server.slow.answer()
    peer.transport.clear()
    server.slow.is_known = False
    (refusal,) = peer.says(b"status")
    assert refusal.startswith(b"ERROR unavailable ")
    assert peer.says(b"hello", b"list") == [b"hello ACK", b"LIST 0"]
    server.slow.is_known = True
    assert peer.says(b"status")[0] == b"STATUS 1"


def test_a_seat_that_is_about_to_be_free_is_asked_for_again_and_only_then(server: SlowServer) -> None:
    peers = [server.connect() for _ in range(3)]
    for _ in peers:
        server.slow.answer()
    server.connect()
    server.slow.answer()
    assert server.slow.asked == []
