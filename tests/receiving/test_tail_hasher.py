"""The hasher that follows the end of a file: a stop amid a read, and what is told of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.python.failure import Failure

from chatfile.receiving.incoming_file import TailHasher
from tests.support.transports import Threads

CONTENT = bytes(range(256)) * 16


class Growing:
    """A file of which more is written, the hasher that follows it, and what it told."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(CONTENT)
        self.descriptor = os.open(path, os.O_RDWR)
        self.threads = Threads()
        self.sha256 = hashlib.sha256()
        self.told: list[Failure | None] = []
        self.tail = TailHasher(self.descriptor, self.sha256, self.threads, self.told.append)

    def has_taken(self, count: int) -> bool:
        return self.sha256.digest() == hashlib.sha256(CONTENT[:count]).digest()


@pytest.fixture
def growing(tmp_path: Path) -> Iterator[Growing]:
    growing = Growing(tmp_path / "a")
    yield growing
    os.close(growing.descriptor)


def test_what_is_written_amid_a_read_is_read_next(growing: Growing) -> None:
    growing.tail.advance(1000)
    growing.tail.advance(500)
    assert growing.threads.run() == 1
    assert (growing.tail.lag, growing.tail.is_busy, len(growing.told)) == (500, True, 1)
    assert growing.threads.run() == 1
    assert (growing.tail.lag, growing.tail.is_busy, growing.told) == (0, False, [None, None])
    assert growing.has_taken(1500)


def test_no_byte_is_taken_that_it_was_not_told_of(growing: Growing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TailHasher, "CHUNK", 64)
    for count in (100, 1, 200):
        growing.tail.advance(count)
        growing.threads.run_all()
    assert growing.has_taken(301)


def test_a_stop_amid_a_read_is_the_end_behind_that_read(growing: Growing) -> None:
    growing.tail.advance(1000)
    growing.tail.advance(500)
    growing.tail.stop()
    assert growing.tail.is_busy, "a thread has the descriptor"
    assert growing.threads.run() == 1
    assert (growing.tail.lag, growing.tail.is_busy, growing.told) == (0, False, [None])
    assert growing.threads.waiting == []
    assert growing.has_taken(1000)


def test_a_failed_read_is_told_once_and_nothing_more_is_read(growing: Growing) -> None:
    growing.tail.advance(1000)
    growing.tail.advance(len(CONTENT))
    os.ftruncate(growing.descriptor, 10)
    assert growing.threads.run() == 1
    (failure,) = growing.told
    assert failure is not None
    assert failure.check(OSError)
    assert (growing.tail.lag, growing.tail.is_busy, growing.threads.waiting) == (0, False, [])
