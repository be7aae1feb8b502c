"""`--timeout`: what is progress of a reply, and what only looks like it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from chatfile import errors, wire
from chatfile.client import LONGEST_HASHING
from tests.support.talking import CONTENT, HEADER, SHA256, TIME, Talk, result_of
from tests.support.transports import Threads

PATIENCE = 60
WELCOME = b"WELCOME Client01 chatfile/1\n"
Ask = Callable[[Talk, int], Any]


def unwanted(reply: Deferred[Any]) -> Deferred[Any]:
    """It is cancelled, but comes all the same."""
    reply.addErrback(lambda _: None).cancel()
    return reply


LINES: dict[str, tuple[Ask, bytes, bytes]] = {
    "the greeting": (lambda _talk, _sink: None, b"", WELCOME),
    "the answer to our name": (lambda _talk, _sink: None, WELCOME, b"Client01 ACK\n"),
    "an acknowledgement": (lambda talk, _: talk.client.send("x" * 99), b"", b"x" * 99 + b" ACK\n"),
    "a count": (lambda talk, _: talk.client.listing(), b"", b"LIST  \t  1\n"),
    "a row": (lambda talk, _: talk.client.listing(), b"LIST 2\n1 %s a\n" % TIME, b"1 %s %s\n" % (TIME, b"b" * 99)),
    "a client": (lambda talk, _: talk.client.status(), b"STATUS 1\n", b"Client01 unix %s - 0 0\n" % TIME),
    "a row of help": (lambda talk, _: talk.client.help(), b"HELP 1\n", b"h" * 99 + b"\n"),
    "a digest": (lambda talk, _: talk.client.hash("a"), b"", b"HASH %s 8 %s a\n" % (SHA256, TIME)),
    "a header": (lambda talk, sink: talk.client.get("a b", sink), b"", HEADER),
    "the end of a file": (lambda talk, sink: talk.client.get("a b", sink), HEADER + CONTENT, b"END %s\n" % SHA256),
    "what nobody wants any more": (lambda talk, _: unwanted(talk.client.listing()), b"LIST 1\n", b"1 %s a\n" % TIME),
    "an error": (lambda talk, _: talk.client.listing(), b"", b"ERROR unavailable The disk is on fire.\n"),
    "a goodbye": (lambda talk, _: talk.client.exit(), b"", b"BYE Client01\n"),
}


def is_given_up(talk: Talk) -> bool:
    """Whether the connection is reset, and every reply fails for that reason."""
    if not talk.transport.aborted:
        return False
    talk.closes()
    return isinstance(result_of(talk.client.closed), errors.ServerSilent)


@pytest.mark.parametrize(("ask", "before", "line"), LINES.values(), ids=LINES)
def test_a_trickle_is_no_progress(ask: Ask, before: bytes, line: bytes, sink: int) -> None:
    talk = Talk()
    if WELCOME not in (before, line):
        talk.greet()
    asked = ask(talk, sink)
    if isinstance(asked, Deferred):
        asked.addErrback(lambda _: None)
    talk.server_says(before)
    pause = PATIENCE / (len(line) - 1.5)
    for byte in line[:-2]:
        talk.server_says(bytes([byte]))
        talk.clock.advance(pause)
        assert not talk.transport.aborted
    talk.server_says(line[-2:-1])
    talk.clock.advance(pause)
    assert is_given_up(talk)


def test_a_whole_line_is_progress_however_it_is_cut(talk: Talk) -> None:
    reply = talk.client.listing()
    talk.server_says(b"LI")
    for number in range(100):
        talk.clock.advance(PATIENCE - 1)
        talk.server_says(b"ST 100\n1 " if not number else b"%s a\n1 " % TIME)
    talk.clock.advance(PATIENCE - 1)
    assert not talk.transport.aborted
    talk.server_says(b"%s a\n" % TIME)
    assert len(result_of(reply)) == 100


def test_each_reply_has_a_patience_of_its_own(talk: Talk) -> None:
    replies = [talk.client.send("hi") for _ in range(3)]
    for _ in range(2):
        talk.clock.advance(PATIENCE - 1)
        talk.server_says(b"hi ACK\n")
    talk.clock.advance(PATIENCE - 1)
    assert not talk.transport.aborted
    talk.clock.advance(1)
    assert is_given_up(talk)
    assert isinstance(result_of(replies[-1]), errors.ServerSilent)


def test_to_ask_for_more_is_no_progress(talk: Talk) -> None:
    replies = []
    for _ in range(3):
        replies.append(talk.client.listing())
        talk.clock.advance(PATIENCE / 3)
    assert is_given_up(talk)
    assert [type(result_of(reply)) for reply in replies] == [errors.ServerSilent] * 3


def test_who_waited_for_nothing_has_the_whole_patience(talk: Talk) -> None:
    for _ in range(2):
        reply = talk.client.send("hi")
        talk.clock.advance(PATIENCE - 1)
        talk.server_says(b"hi ACK\n")
        assert result_of(reply) == "hi ACK"
        talk.clock.advance(PATIENCE * 10)
    assert not talk.transport.aborted


def test_it_stands_still_while_our_own_disk_is_waited_for_and_goes_on_where_it_stood(sink: int) -> None:
    ready: Deferred[int | None] = Deferred()
    talk = Talk().greet()
    talk.client.get("a b", lambda _: ready).addErrback(lambda _: None)
    talk.clock.advance(40)
    talk.server_says(HEADER)
    talk.clock.advance(PATIENCE * 10)
    ready.callback(sink)
    talk.clock.advance(PATIENCE - 1)
    assert not talk.transport.aborted
    talk.clock.advance(1)
    assert is_given_up(talk)


def test_to_wait_for_our_own_disk_is_no_progress_of_the_server() -> None:
    threads = Threads()
    talk = Talk(in_thread=threads).greet()
    talk.client.get("a b", lambda _: succeed(None)).addErrback(lambda _: None)
    talk.server_says(HEADER + CONTENT[:1])
    talk.clock.advance(40)
    talk.client.pauseProducing()
    talk.clock.advance(PATIENCE * 10)
    talk.client.resumeProducing()
    talk.clock.advance(19)
    assert not talk.transport.aborted
    talk.clock.advance(1)
    assert is_given_up(talk)


def test_the_digest_of_what_is_only_resumed_at_its_end_is_given_time_as_well(talk: Talk) -> None:
    size = 200_000_000
    ready: Deferred[int | None] = Deferred()
    talk.client.get("a b", lambda _: ready, offset=size).addErrback(lambda _: None)
    talk.server_says(b"FILE 0 %s a b\n" % TIME)
    ready.callback(None)
    talk.clock.advance(PATIENCE + 9)
    assert not talk.transport.aborted
    talk.clock.advance(1)
    assert is_given_up(talk)


def test_a_size_that_is_a_lie_does_not_turn_the_limit_off(talk: Talk) -> None:
    talk.client.hash("a", size=wire.MAX_NUMBER).addErrback(lambda _: None)
    talk.clock.advance(PATIENCE + LONGEST_HASHING)
    assert is_given_up(talk)
