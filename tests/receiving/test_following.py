"""The digest that follows a file: an end amid a read, and what is told of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.python.failure import Failure

from chatfile.receiving.following import FollowingDigest
from tests.support.transports import Threads

CONTENT = bytes(range(256)) * 16


class Following:
    """A digest that follows a file of which more is written, and what it told."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(CONTENT)
        self.descriptor = os.open(path, os.O_RDWR)
        self.threads = Threads()
        self.sha256 = hashlib.sha256()
        self.told: list[Failure | None] = []
        self.digest = FollowingDigest(self.descriptor, self.sha256, self.threads, self.told.append)

    def has_taken(self, count: int) -> bool:
        return self.sha256.digest() == hashlib.sha256(CONTENT[:count]).digest()


@pytest.fixture
def following(tmp_path: Path) -> Iterator[Following]:
    following = Following(tmp_path / "a")
    yield following
    os.close(following.descriptor)


def test_what_is_written_amid_a_read_is_read_next(following: Following) -> None:
    following.digest.advance(1000)
    following.digest.advance(500)
    assert following.threads.run() == 1
    assert (following.digest.lag, following.digest.is_reading, len(following.told)) == (500, True, 1)
    assert following.threads.run() == 1
    assert (following.digest.lag, following.digest.is_reading, following.told) == (0, False, [None, None])
    assert following.has_taken(1500)


def test_a_stop_amid_a_read_is_the_end_behind_that_read(following: Following) -> None:
    following.digest.advance(1000)
    following.digest.advance(500)
    following.digest.stop()
    assert following.digest.is_reading, "a thread has the descriptor"
    assert following.threads.run() == 1
    assert (following.digest.lag, following.digest.is_reading, following.told) == (0, False, [None])
    assert following.threads.waiting == []
    assert following.has_taken(1000)


def test_a_failed_read_is_told_once_and_nothing_more_is_read(following: Following) -> None:
    following.digest.advance(1000)
    following.digest.advance(len(CONTENT))
    os.ftruncate(following.descriptor, 10)
    assert following.threads.run() == 1
    (failure,) = following.told
    assert failure is not None
    assert failure.check(OSError)
    assert (following.digest.lag, following.digest.is_reading, following.threads.waiting) == (0, False, [])
