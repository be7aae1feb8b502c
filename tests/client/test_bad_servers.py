"""The client and servers that break off or break the rules."""

from __future__ import annotations

import pytest
from twisted.internet.error import ConnectionLost

from chatfile import errors
from tests.support.talking import CONTENT, HEADER, TIME, Talk, result_of, written
from tests.support.transports import Threads


def test_a_lost_connection_fails_everything_that_was_waited_for(talk: Talk, sink: int) -> None:
    replies = [talk.client.get("a b", sink), talk.client.send("hi"), talk.client.listing()]
    talk.server_says(HEADER + CONTENT[:3])
    talk.closes(ConnectionLost())
    broken, *others = [result_of(reply) for reply in replies]
    assert isinstance(broken, errors.ServerClosed)
    assert all(isinstance(other, errors.ServerClosed) for other in others)
    assert written(sink) == CONTENT[:3]
    assert talk.clock.getDelayedCalls() == []
    with pytest.raises(errors.ServerClosed):
        talk.client.send("hi")


def test_a_short_file_says_how_short(talk: Talk, sink: int) -> None:
    reply = talk.client.get("a b", sink)
    talk.server_says(HEADER + CONTENT[:3])
    talk.closes()
    broken = result_of(reply)
    assert isinstance(broken, errors.TransferBroken)
    assert "3 of 8" in str(broken)


def test_what_came_before_the_loss_is_written_before_the_failure(sink: int) -> None:
    threads = Threads()
    talk = Talk(in_thread=threads).greet()
    reply = talk.client.get("a b", sink)
    talk.server_says(HEADER + CONTENT[:3])
    talk.server_says(CONTENT[3:6])
    talk.closes()
    assert not reply.called
    threads.run_all()
    assert isinstance(result_of(reply), errors.TransferBroken)
    assert written(sink) == CONTENT[:6]


@pytest.mark.parametrize("code", ["timeout", "shutdown", "internal"])
def test_a_farewell_is_why_everything_fails(talk: Talk, code: str) -> None:
    replies = [talk.client.listing(), talk.client.send("hi")]
    talk.server_says(b"ERROR %s So it is.\n" % code.encode())
    talk.closes()
    assert [str(result_of(reply)) for reply in replies] == ["So it is."] * 2
    assert str(result_of(talk.client.closed)) == "So it is."


def test_a_farewell_can_come_when_nothing_is_due(talk: Talk) -> None:
    talk.server_says(b"ERROR timeout Nothing was said.\n")
    talk.closes()
    assert isinstance(result_of(talk.client.closed), errors.IdleTimeout)


@pytest.mark.parametrize(
    ("ask", "line"),
    [
        ("send", b"hello ACK"),
        ("send", b"hi ack"),
        ("listing", b"LIST -1"),
        ("listing", b"LIST 1000000000"),
        ("listing", b"LIST 1\n1 2 3"),
        ("listing", b"STATUS 0"),
        ("status", b"STATUS 1\nshort row"),
        ("hash", b"HASH 00 8 %s a b" % TIME),
        ("hash", b"HASH - 8 %s other" % TIME),
        ("hash", b"HASH - 8 %s x" % TIME + "é".encode() * 60),  # what is quoted of it ends within a character
        ("get", b"FILE 8 %s ../a b" % TIME),
        ("get", b"FILE 8 %s other" % TIME),
        ("get", b"FILE -8 %s a b" % TIME),
        ("get", b"FILE +8 %s a b" % TIME),
        ("get", b"FILE 0x8 %s a b" % TIME),
        ("get", b"FILE 1e3 %s a b" % TIME),
        ("get", b"FILE 99999999999999999999 %s a b" % TIME),
        ("get", b"FILE 8 2026-13-01T00:00:00Z a b"),
        ("get", HEADER + CONTENT + b"END short"),
        ("get", HEADER + CONTENT + b"more"),
        ("get", b"\xff\xfe"),
        ("nothing", b"hi ACK"),
        ("nothing", b"x" * 9000),
    ],
)
def test_a_server_that_breaks_the_rules_is_left(talk: Talk, sink: int, ask: str, line: bytes) -> None:
    asks = {
        "send": lambda: talk.client.send("hi"),
        "listing": talk.client.listing,
        "status": talk.client.status,
        "hash": lambda: talk.client.hash("a b"),
        "get": lambda: talk.client.get("a b", sink),
        "nothing": lambda: None,
    }
    reply = asks[ask]()
    talk.server_says(line + b"\nhi ACK\n")
    assert talk.transport.aborted
    talk.closes()
    assert isinstance(result_of(talk.client.closed), errors.ProtocolViolation)
    if reply is not None:
        assert isinstance(result_of(reply), errors.ProtocolViolation)


@pytest.mark.parametrize(
    "greeting",
    [
        b"hello",
        b"WELCOME  chatfile/1",
        b"WELCOME Client01 chatfile/2",
        b"WELCOME get chatfile/1",
        b"WELCOME \x1b[2J chatfile/1",
        b"HTTP/1.1 400 No",
    ],
)
def test_a_wrong_greeting_is_a_violation(greeting: bytes) -> None:
    talk = Talk()
    talk.server_says(greeting + b"\n")
    talk.closes()
    assert isinstance(result_of(talk.client.greeted), errors.ProtocolViolation)


def test_more_rows_than_anyone_has_are_not_waited_for(talk: Talk) -> None:
    talk.client.listing().addErrback(lambda _: None)
    talk.server_says(b"LIST 1000001\n")
    assert talk.transport.aborted


def test_half_a_line_at_the_end_is_no_line(talk: Talk) -> None:
    reply = talk.client.send("hi")
    talk.server_says(b"hi AC")
    talk.client.readConnectionLost()
    talk.closes()
    assert type(result_of(reply)) is errors.ServerClosed


def test_a_full_server_says_so() -> None:
    talk = Talk()
    talk.server_says(b"ERROR full No seat.\n")
    talk.closes()
    full = result_of(talk.client.greeted)
    assert (type(full), str(full)) == (errors.Full, "No seat.")
