"""Bytes that the connection has read: however they are cut, written in order, and never behind a gap."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from typing import Any

import pytest
from twisted.python.failure import Failure

from chatfile.receiving import FileReceiver
from chatfile.receiving.buffered import BufferedReceiver
from tests.support.receiving import BEHIND, CONTENT, Owner, Receiving, assert_complete
from tests.support.transports import Threads

SIZE = 1000
BEHIND_AND_MORE = BEHIND + b"more\n"


def feed(one: Receiving, said: bytes, piece: int) -> bytes:
    """Give `said` to the receiver in pieces for as long as it expects any; the result is what is not the file's."""
    while said and one.receiver.remaining:
        said = one.receiver.take(said[:piece]) + said[piece:]
    return said


@pytest.mark.parametrize("piece", [1, 7, SIZE, SIZE + 1, 10 * SIZE], ids="in pieces of {}".format)
@pytest.mark.parametrize("behind", [b"", BEHIND_AND_MORE], ids=["alone", "and what trails"])
def test_however_it_is_cut_the_file_is_taken_and_what_lies_behind_is_given_back(
    receiving: Any, piece: int, behind: bytes
) -> None:
    threads = Threads()
    one = receiving(threads, size=SIZE, is_plain=False)
    assert feed(one, CONTENT[:SIZE] + behind, piece) == behind
    assert (one.progressed, one.outcome) == (SIZE, []), "it is not written yet"
    threads.run_all()
    one.behind = BEHIND
    assert_complete(one, SIZE)


def test_a_file_of_no_bytes_is_complete_at_once(receiving: Any) -> None:
    one = receiving(Threads(), size=0)
    assert (one.outcome, one.path.read_bytes()) == ([None], b"")


@pytest.mark.parametrize("piece", [1, SIZE, 10 * SIZE])
def test_what_is_dropped_is_counted_all_the_same(receiving: Any, piece: int) -> None:
    one = receiving(size=SIZE, is_plain=False)
    one.receiver.take(CONTENT[:10])
    one.receiver.drop(Failure(KeyError()))
    assert isinstance(one.outcome[0], Failure)
    assert feed(one, CONTENT[10:SIZE] + BEHIND, piece) == BEHIND
    assert (one.progressed, one.path.read_bytes()) == (SIZE, CONTENT[:10])


def test_what_has_come_before_an_end_is_written(receiving: Any) -> None:
    threads = Threads()
    one = receiving(threads, size=SIZE, is_plain=False)
    one.receiver.take(CONTENT[:10])
    one.receiver.take(CONTENT[10:20])
    one.receiver.end(Failure(KeyError()))
    assert one.outcome == []
    threads.run_all()
    assert isinstance(one.outcome[0], Failure)
    assert one.path.read_bytes() == CONTENT[:20]


def test_an_end_behind_the_last_byte_is_none(receiving: Any) -> None:
    threads = Threads()
    one = receiving(threads, size=SIZE, is_plain=False)
    one.receiver.take(CONTENT[:SIZE])
    one.receiver.end(Failure(KeyError()))
    threads.run_all()
    assert one.outcome == [None]
    assert one.hasher.digest() == hashlib.sha256(CONTENT[:SIZE]).digest()


def test_it_pauses_where_the_disk_is_behind_and_resumes_when_it_is_not(
    receiving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BufferedReceiver, "BATCH", 100)
    threads = Threads()
    one = receiving(threads, size=SIZE, is_plain=False)
    paused = [one.owner.is_paused for start in range(0, 300, 50) if one.receiver.take(CONTENT[start:][:50]) == b""]
    assert paused == [False, False, False, True, True, True], "a batch is being written, and a larger one waits"
    threads.run()
    assert not one.owner.is_paused
    one.receiver.take(CONTENT[300:450])
    assert one.owner.is_paused, "again"
    threads.run()
    one.receiver.take(CONTENT[450:SIZE])
    threads.run_all()
    assert (one.outcome, one.path.read_bytes()) == ([None], CONTENT[:SIZE])


def test_it_pauses_at_the_first_byte_that_is_more_than_may_wait(
    receiving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BufferedReceiver, "BATCH", 100)
    threads = Threads()
    one = receiving(threads, size=200, is_plain=False)
    paused = []
    for start, stop in ((0, 50), (50, 150), (150, 151)):
        one.receiver.take(CONTENT[start:stop])
        paused.append(one.owner.is_paused)
    assert paused == [False, False, True]
    threads.run()
    one.receiver.take(CONTENT[151:200])
    threads.run_all()
    assert one.outcome == [None]


def test_a_file_that_is_written_nowhere_is_taken_all_the_same() -> None:
    came: list[int] = []
    owner = Owner()
    receiver = FileReceiver(None, SIZE, hasher=None, in_thread=Threads(), owner=owner, progress=came.append)
    assert receiver.take(CONTENT[:10]) == b""
    assert not receiver.done.called
    assert receiver.take(CONTENT[10:SIZE] + BEHIND) == BEHIND
    assert (receiver.done.called, came, owner.times_detached) == (True, [10, SIZE - 10], 0)
    owner.socket.close()
    owner.peer.close()


def full(*_: object) -> int:
    raise OSError(errno.ENOSPC, "made to fail")


def deliver(one: Receiving, then: Callable[[], None]) -> Callable[[], None]:
    """What a connection does that has bytes waiting when it may read again: it delivers them at once."""

    def go_on() -> None:
        then()
        one.receiver.take(CONTENT[one.progressed :][:300])

    return go_on


def test_what_is_delivered_when_a_failed_write_ends_a_pause_is_not_written_behind_the_gap(
    receiving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BufferedReceiver, "BATCH", 100)
    threads = Threads()
    one = receiving(threads, size=SIZE, is_plain=False)
    monkeypatch.setattr(one.owner, "resume", deliver(one, one.owner.resume))
    one.receiver.take(CONTENT[:200])
    one.receiver.take(CONTENT[200:400])
    assert one.owner.is_paused
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        threads.run()
    threads.run_all()
    assert one.failed_with(errno.ENOSPC)
    assert (one.owner.is_paused, one.progressed, one.path.read_bytes()) == (False, 700, b"")


@pytest.mark.parametrize("at", [1, SIZE], ids=["amid it", "with its last byte"])
@pytest.mark.parametrize("is_dropped", [False, True])
def test_what_progress_raises_is_the_failure_of_the_file_and_it_ends(receiving: Any, at: int, is_dropped: bool) -> None:
    def progress(_: int) -> None:
        if one.progressed >= at:
            raise ZeroDivisionError

    threads = Threads()
    one = receiving(threads, size=SIZE, is_plain=False, progress=progress)
    if is_dropped:
        one.receiver.drop(Failure(KeyError()))
    rest = feed(one, CONTENT[:SIZE] + BEHIND, 1)
    threads.run_all()
    (outcome,) = one.outcome
    assert (type(outcome.value), rest) == (KeyError if is_dropped else ZeroDivisionError, BEHIND)
