"""Replies in rows: how many a client takes, and what comes amid them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from chatfile import errors, wire
from chatfile.client import ChatFileClient
from tests.support.talking import TIME, Talk, result_of

Ask = Callable[[ChatFileClient], Deferred[Any]]
COUNTED: list[tuple[Ask, bytes, bytes]] = [
    (ChatFileClient.listing, b"LIST", b"1 %s a%%d" % TIME),
    (ChatFileClient.status, b"STATUS", b"Client%%d unix %s - 0 0" % TIME),
    (ChatFileClient.help, b"HELP", b"some text %d"),
]
of_each_kind = pytest.mark.parametrize(("ask", "word", "row"), COUNTED, ids=["list", "status", "help"])


def assert_refused(talk: Talk, reply: Deferred[Any]) -> None:
    """Nothing more is taken from that server."""
    assert talk.client.transport.aborted
    talk.closes()
    assert isinstance(result_of(reply), errors.ProtocolViolation)


@of_each_kind
def test_more_rows_than_are_taken_are_refused_before_the_first_one(
    talk: Talk, ask: Ask, word: bytes, row: bytes
) -> None:
    reply = ask(talk.client)
    talk.server_says(b"%s %d\n" % (word, wire.MAX_ROWS + 1))
    assert_refused(talk, reply)


@of_each_kind
def test_as_many_rows_as_are_taken_may_be_announced(talk: Talk, ask: Ask, word: bytes, row: bytes) -> None:
    reply = ask(talk.client)
    talk.server_says(b"%s %d\n%s\n" % (word, wire.MAX_ROWS, row % 1))
    assert not talk.client.transport.aborted
    assert not reply.called


@of_each_kind
def test_rows_of_more_bytes_than_are_taken_are_refused_when_that_is_sure(
    talk: Talk, ask: Ask, word: bytes, row: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MAX_ROWS_BYTES", 10_000)
    reply = ask(talk.client)
    talk.server_says(b"%s %d\n" % (word, wire.MAX_ROWS))
    came = 0
    for number in itertools.count():
        if talk.client.transport.aborted:
            break
        assert came <= 10_000
        came += len(row % number)
        talk.server_says(row % number + b"\n")
    assert came > 10_000
    assert_refused(talk, reply)


@pytest.mark.parametrize("code", ["timeout", "shutdown", "internal"])
@pytest.mark.parametrize("amid", [False, True])
def test_a_farewell_amid_help_is_no_row_of_it(talk: Talk, code: str, amid: bool) -> None:
    reply = talk.client.help()
    talk.server_says(b"HELP 2\n" + (b"ERROR usage is said where something is missing\n" if amid else b""))
    talk.server_says(b"ERROR %s So it is.\n" % code.encode())
    assert isinstance(result_of(reply), errors.REFUSALS[code])
    talk.closes()
    assert str(result_of(talk.client.closed)) == "So it is."


def test_what_looks_like_any_other_error_is_a_text_of_help(talk: Talk) -> None:
    reply = talk.client.help()
    texts = [
        f"ERROR {code} is an error." for code in errors.REFUSALS if code not in ("timeout", "shutdown", "internal")
    ]
    talk.server_says(b"HELP %d\n" % len(texts) + "".join(f"{text}\n" for text in texts).encode())
    assert result_of(reply) == texts
