"""A client that limits what it reads: the bytes of files, on a fake clock."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from chatfile.pending import Content, Received
from tests.support.talking import TIME, Talk, result_of

RATE = 100_000
SIZE = 1_000_000
FILE = b"FILE %d %b a b\n" % (SIZE, TIME)
END = b"END %b\n" % hashlib.sha256(bytes(SIZE)).hexdigest().encode()


class Limited(Talk):
    """A server that has much to say, and says as much as the client reads, for some time."""

    def __init__(self) -> None:
        super().__init__(limit_rate=RATE)
        self.greet()
        self.transport.bufferSize = 65536

    def says_for(self, seconds: float, what: bytes) -> int:
        """The result is how much of it was read."""
        said = 0
        for _ in range(round(seconds * 100)):
            while self.transport.producerState == "producing" and said < len(what):
                self.server_says(what[said : said + 4096])
                said += 4096
            self.clock.advance(0.01)
        return said


@pytest.fixture
def out(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def test_a_file_takes_its_time(out: int) -> None:
    talk = Limited()
    reply: Deferred[Received] = talk.client.get("a b", out)
    talk.server_says(FILE)
    file = bytes(SIZE) + END
    read = talk.says_for(5, file)
    assert 5 * RATE * 0.95 <= read <= 5 * RATE * 1.1
    assert talk.says_for(5.2, file[read:]) >= len(file) - read
    assert result_of(reply).verified


def test_one_that_comes_into_memory_as_well() -> None:
    talk = Limited()
    reply: Deferred[Content | None] = talk.client.read("a b", most=SIZE)
    talk.server_says(FILE)
    file = bytes(SIZE) + END
    read = talk.says_for(5, file)
    assert 5 * RATE * 0.95 <= read <= 5 * RATE * 1.1
    talk.says_for(5.2, file[read:])
    assert result_of(reply).verified


def test_lines_are_not_limited() -> None:
    talk = Limited()
    reply = talk.client.listing()
    talk.server_says(b"LIST 20000\n" + b"".join(b"1 %b %05d\n" % (TIME, number) for number in range(20_000)))
    for _ in range(1000):
        talk.clock.advance(0)
    assert len(result_of(reply)) == 20_000


def test_waiting_for_the_rate_is_no_silence_of_the_server(out: int) -> None:
    talk = Limited()
    talk.client.timeout = 1
    reply: Deferred[Received] = talk.client.get("a b", out)
    talk.server_says(FILE + bytes(SIZE) + END)  # it came all at once, and is paid for in ten seconds
    talk.clock.pump([0.1] * 98)
    assert not reply.called
    talk.clock.pump([0.1] * 3)
    assert result_of(reply).verified


def test_one_that_is_gone_leaves_nothing_behind(out: int) -> None:
    talk = Limited()
    reply: Deferred[Received] = talk.client.get("a b", out)
    talk.server_says(FILE + bytes(500_000))
    talk.closes()
    assert str(result_of(reply)).startswith('"a b" is not whole')
    assert talk.clock.getDelayedCalls() == []
