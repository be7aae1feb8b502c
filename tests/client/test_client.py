"""The client's conversation with a server that is a list of lines, right or wrong."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed

from chatfile import errors, wire
from chatfile.pending import Received
from tests.support.talking import CONTENT, HEADER, SHA256, TIME, Talk, result_of, written
from tests.support.transports import Threads


def test_the_assigned_name_is_sent_back_before_anything_else() -> None:
    talk = Talk()
    talk.server_says(b"WELCOME Client07 chatfile/1\n")
    assert talk.transport.lines() == [b"Client07"]
    assert not talk.client.greeted.called
    talk.server_says(b"Client07 ACK\n")
    assert talk.client.greeted.called
    assert talk.client.name == "Client07"


def test_each_request_has_its_reply(talk: Talk) -> None:
    client = talk.client
    asked = [client.send("hi"), client.status(), client.listing(), client.help(), client.hash("a b")]
    assert talk.transport.lines() == [b"hi", b"status", b"list", b"help", b"hash a b"]
    talk.server_says(
        b"hi ACK\n"
        b"STATUS 1\nClient01 [::1]:5 %b - 2 3\n"
        b"LIST 2\n5 %b a b\n6 %b c\n"
        b"HELP 1\nERROR is a word\n"
        b"HASH %b 8 %b a b\n" % (TIME, TIME, TIME, SHA256, TIME)
    )
    noon = wire.parse_time(TIME.decode())
    assert [result_of(each) for each in asked] == [
        "hi ACK",
        [wire.ClientRow("Client01", "[::1]:5", noon, None, 2, 3)],
        [wire.FileRow(5, noon, "a b"), wire.FileRow(6, noon, "c")],
        ["ERROR is a word"],
        wire.Digest(SHA256.decode(), 8, noon, "a b"),
    ]


def test_a_message_that_looks_like_an_error_is_acknowledged(talk: Talk) -> None:
    reply = talk.client.send("ERROR full of it")
    talk.server_says(b"ERROR full of it ACK\n")
    assert result_of(reply) == "ERROR full of it ACK"


@pytest.mark.parametrize("text", ["status", "GET", "get x", "Exit"])
def test_a_command_is_no_message(talk: Talk, text: str) -> None:
    with pytest.raises(errors.IsCommand):
        talk.client.send(text)
    assert talk.transport.value() == b""


@pytest.mark.parametrize("name", ["a\nexit", "a\rb", "\x1b", "x" * 4100])
def test_nothing_can_be_smuggled_in_with_a_name(talk: Talk, name: str) -> None:
    with pytest.raises((errors.BadLine, errors.LineTooLong)):
        talk.client.get(name, 1)
    assert talk.transport.value() == b""


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_a_file_arrives_whole_and_verified_however_it_is_cut(talk: Talk, sink: int, size: int) -> None:
    reply, behind = talk.client.get("a b", sink), talk.client.send("hi")
    said = HEADER + CONTENT + b"END " + SHA256 + b"\nhi ACK\n"
    for start in range(0, len(said), size):
        talk.server_says(said[start : start + size])
    received = result_of(reply)
    assert (received.verified, received.sha256, written(sink)) == (True, SHA256.decode(), CONTENT)
    assert result_of(behind) == "hi ACK"


def test_an_empty_file_arrives(talk: Talk, sink: int) -> None:
    reply = talk.client.get("a b", sink)
    talk.server_says(b"FILE 0 %s a b\nEND %s\n" % (TIME, hashlib.sha256(b"").hexdigest().encode()))
    assert result_of(reply).verified


def test_a_file_without_a_digest_is_not_called_verified(talk: Talk, sink: int) -> None:
    reply = talk.client.get("a b", sink)
    talk.server_says(HEADER + CONTENT + b"END -\n")
    assert (result_of(reply).verified, written(sink)) == (False, CONTENT)


def test_a_wrong_digest_is_found_and_the_session_goes_on(talk: Talk, sink: int) -> None:
    reply, behind = talk.client.get("a b", sink), talk.client.send("hi")
    talk.server_says(HEADER + CONTENT[::-1] + b"END " + SHA256 + b"\nhi ACK\n")
    assert isinstance(result_of(reply), errors.DigestMismatch)
    assert result_of(behind) == "hi ACK"


def test_what_is_resumed_is_verified_with_what_was_there(talk: Talk, sink: int) -> None:
    os.write(sink, CONTENT[:3])
    reply = talk.client.get("a b", sink, offset=3, hasher=hashlib.sha256(CONTENT[:3]))
    assert talk.transport.lines() == [b"resume 3 a b"]
    talk.server_says(b"FILE 5 %s a b\n" % TIME + CONTENT[3:] + b"END " + SHA256 + b"\n")
    assert (result_of(reply).verified, written(sink)) == (True, CONTENT)


def test_changed_in_place_of_the_end_is_a_failure(talk: Talk, sink: int) -> None:
    reply, behind = talk.client.get("a b", sink), talk.client.send("hi")
    talk.server_says(HEADER + CONTENT + b"ERROR changed It has.\nhi ACK\n")
    assert isinstance(result_of(reply), errors.Changed)
    assert result_of(behind) == "hi ACK"


@pytest.mark.parametrize("line", [b"ERROR no-such-file There is none.\n", b"ERROR new-code Unheard of.\n"])
def test_a_refusal_fails_its_request_only(talk: Talk, sink: int, line: bytes) -> None:
    reply, behind = talk.client.get("a b", sink), talk.client.send("hi")
    talk.server_says(line + b"hi ACK\n")
    refusal = result_of(reply)
    assert isinstance(refusal, errors.Refusal)
    assert refusal.code == line.split()[1].decode()
    assert result_of(behind) == "hi ACK"


# --- a sink that fails, or is not wanted any more ---


def test_a_failing_disk_fails_the_request_at_once_and_the_session_goes_on(talk: Talk, tmp_path: Path) -> None:
    (tmp_path / "read-only").touch()
    descriptor = os.open(tmp_path / "read-only", os.O_RDONLY)
    reply, behind = talk.client.get("a b", descriptor), talk.client.send("hi")
    talk.server_says(HEADER + CONTENT[:2])
    assert isinstance(result_of(reply), OSError)
    talk.server_says(CONTENT[2:] + b"END " + SHA256 + b"\nhi ACK\n")
    assert result_of(behind) == "hi ACK"
    os.close(descriptor)


@pytest.mark.parametrize("so_far", [b"", HEADER, HEADER + CONTENT[:3], HEADER + CONTENT])
def test_who_cancels_a_file_can_go_on_talking(talk: Talk, sink: int, so_far: bytes) -> None:
    reply, behind = talk.client.get("a b", sink), talk.client.send("hi")
    talk.server_says(so_far)
    reply.cancel()
    assert isinstance(result_of(reply), CancelledError)
    talk.server_says((HEADER + CONTENT + b"END " + SHA256 + b"\nhi ACK\n").removeprefix(so_far))
    assert result_of(behind) == "hi ACK"


def test_bytes_can_be_declined_when_the_header_is_seen(talk: Talk) -> None:
    seen: list[wire.FileHeader] = []

    def decline(header: wire.FileHeader) -> Deferred[int | None]:
        seen.append(header)
        return succeed(None)

    reply, behind = talk.client.get("a b", decline), talk.client.send("hi")
    talk.server_says(HEADER + CONTENT + b"END " + SHA256 + b"\nhi ACK\n")
    received: Received = result_of(reply)
    assert (received.header, received.verified) == (seen[0], False)
    assert result_of(behind) == "hi ACK"


def test_a_disk_that_is_behind_pauses_the_connection(sink: int) -> None:
    threads = Threads()
    talk = Talk(in_thread=threads).greet()
    reply = talk.client.get("a b", sink)
    size = 4 << 20
    sent = talk.fill(size)
    assert 1 << 20 < sent < 2 << 20
    threads.run()
    assert talk.transport.producerState == "producing"
    talk.server_says(bytes(size - sent) + b"END -\n")
    assert not reply.called
    threads.run_all()
    assert (len(written(sink)), result_of(reply).header.size) == (1_000_000, size)


# --- patience ---


def test_a_silent_server_is_given_up(talk: Talk) -> None:
    reply = talk.client.send("hi")
    talk.clock.advance(59.9)
    assert not talk.transport.aborted
    talk.clock.advance(0.2)
    assert talk.transport.aborted
    talk.closes()
    assert isinstance(result_of(reply), errors.ServerSilent)


def test_progress_renews_the_patience(talk: Talk, sink: int) -> None:
    reply = talk.client.get("a b", sink)
    talk.server_says(HEADER)
    for byte in CONTENT:
        talk.clock.advance(50)
        talk.server_says(bytes([byte]))
    talk.clock.advance(50)
    talk.server_says(b"END " + SHA256 + b"\n")
    assert result_of(reply).verified


def test_nothing_is_due_and_nothing_is_missed(talk: Talk) -> None:
    talk.clock.advance(10_000)
    assert not talk.transport.aborted


def test_hashing_a_large_file_is_given_time(talk: Talk) -> None:
    def decline(_: wire.FileHeader) -> Deferred[int | None]:
        return succeed(None)

    size = 200_000_000
    talk.client.get("a b", decline, offset=0).addErrback(lambda _: None)
    talk.server_says(b"FILE %d %s a b\n" % (size, TIME))
    for _ in range(200):
        talk.server_says(bytes(1_000_000))
    talk.clock.advance(69)
    assert not talk.transport.aborted
    talk.clock.advance(2)
    assert talk.transport.aborted


def test_exit_waits_for_the_end(talk: Talk) -> None:
    left: list[None] = []
    talk.client.exit().addCallback(left.append)
    assert talk.transport.lines() == [b"exit"]
    talk.server_says(b"BYE Client01\n")
    assert left == []
    talk.closes()
    assert left == [None]


# --- several files at once ---


def test_a_descriptor_that_comes_after_the_cancellation_is_not_written_to(talk: Talk, sink: int) -> None:
    accepting: Deferred[int | None] = Deferred()
    reply, behind = talk.client.get("a b", lambda _: accepting), talk.client.send("hi")
    talk.server_says(HEADER)
    reply.cancel()
    assert isinstance(result_of(reply), CancelledError)
    accepting.callback(sink)  # it may be the number of quite another file by now
    talk.server_says(CONTENT + b"END " + SHA256 + b"\nhi ACK\n")
    assert (result_of(behind), written(sink)) == ("hi ACK", b"")


def test_the_disk_of_one_file_does_not_let_the_next_one_in_too_early(sink: int) -> None:
    threads = Threads()
    talk = Talk(in_thread=threads).greet()
    accepting: Deferred[int | None] = Deferred()
    first, second = talk.client.get("a b", sink), talk.client.get("a b", lambda _: accepting)
    talk.server_says((HEADER + CONTENT + b"END " + SHA256 + b"\n") * 2)
    threads.run_all()
    assert result_of(first).verified
    assert not talk.transport.aborted
    accepting.callback(sink)
    threads.run_all()
    assert (result_of(second).verified, written(sink)) == (True, CONTENT * 2)


def test_nothing_is_written_behind_a_gap(sink: int, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = Threads()
    talk = Talk(in_thread=threads).greet()
    reply = talk.client.get("a b", sink)
    size = 4 << 20
    sent = talk.fill(size)

    def full(*_: object) -> int:
        raise OSError(28, "no space")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        threads.run()
    assert isinstance(result_of(reply), OSError)
    talk.server_says(bytes(size - sent) + b"END -\n")
    threads.run_all()
    assert written(sink) == b""


def test_a_refusal_behind_the_bytes_is_told_when_they_are_written(tmp_path: Path) -> None:
    threads = Threads()
    talk = Talk(in_thread=threads).greet()
    descriptor = os.open(tmp_path / "a b", os.O_RDWR | os.O_CREAT)
    getting = talk.client.get("a b", descriptor)
    talk.server_says(HEADER + CONTENT + b"ERROR changed It did.\n")
    assert not getting.called
    threads.run_all()
    assert isinstance(result_of(getting), errors.Changed)
    assert (tmp_path / "a b").read_bytes() == CONTENT
    os.close(descriptor)
