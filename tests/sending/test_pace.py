"""Both senders at a pace: never a byte before it is allowed, and all of them in the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from twisted.python.failure import Failure

from chatfile.sending.copying import CopyingSender
from chatfile.sending.sender import FileSender
from chatfile.sending.zerocopy import ZeroCopySender
from tests.support.transports import FullTransport, SocketTransport, Threads, at_once

CONTENT = bytes(range(251)) * 4000


class Allowance:
    """Allows what it is told to; a sender that is to wait for more is called then."""

    def __init__(self) -> None:
        self.left = 0
        self._then: list[Callable[[], None]] = []

    def may_send(self, most: int, then: Callable[[], None]) -> int:
        if not self.left:
            self._then = [then]
        return min(most, self.left)

    def give(self, count: int) -> None:
        self.left += count
        waiting, self._then = self._then, []
        for then in waiting:
            then()


class Sending:
    """A sender that waits for its allowance, and what has come of what it sends."""

    def __init__(self, folder: Path, kind: type[FileSender], in_thread: Threads | None = None) -> None:
        (folder / "a").write_bytes(CONTENT)
        self.allowance = Allowance()
        self.transport = SocketTransport() if kind is ZeroCopySender else FullTransport(high_water=100_000)
        self.outcome: list[Failure | None] = []
        self.taken = b""
        self.sender = kind(
            self.transport,  # type: ignore[arg-type]
            os.open(folder / "a", os.O_RDONLY),
            offset=0,
            count=len(CONTENT),
            in_thread=in_thread or at_once,
            progress=self._progress,
            pace=self.allowance,
        )
        self.sender.start().addBoth(self.outcome.append)

    def _progress(self, sent: int) -> None:
        self.allowance.left -= sent
        assert self.allowance.left >= 0

    def run(self) -> int:
        """Let everything move that may; the result is how much has come so far."""
        while some := self._move():
            self.taken += some
        return len(self.taken)

    def _move(self) -> bytes:
        if isinstance(self.transport, FullTransport):
            return self.transport.drain()
        while self.transport.turn():
            if some := self.transport.receive():
                return some
        return self.transport.receive()


KINDS = pytest.mark.parametrize("kind", [ZeroCopySender, CopyingSender])


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Sending]]:
    made: list[Sending] = []

    def make(*arguments: object) -> Sending:
        made.append(Sending(tmp_path, *arguments))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        if isinstance(each.transport, SocketTransport):
            each.transport.close()


@KINDS
@pytest.mark.parametrize("piece", [1000, 300_000, 5_000_000])
def test_what_is_allowed_is_sent_and_no_more(start: Callable[..., Sending], kind: type[FileSender], piece: int) -> None:
    sending = start(kind)
    allowed = 0
    assert sending.run() == 0
    while allowed < len(CONTENT):
        assert (sending.sender.waiting, sending.outcome) == (False, []), "it is not the peer that it waits for"
        sending.allowance.give(piece)
        allowed += piece
        assert sending.run() == min(allowed, len(CONTENT))
    assert (sending.taken == CONTENT, sending.outcome, sending.transport.producer) == (True, [None], None)


def test_small_slices_cost_no_more_reads_of_a_file_that_is_not_in_memory(
    start: Callable[..., Sending], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatfile.sending.zerocopy.are_cached", lambda *_: None)
    monkeypatch.setattr(ZeroCopySender, "_bring", staticmethod(lambda _, offset, count: offset + count))
    threads = Threads()
    sending = start(ZeroCopySender, threads)
    calls = 0
    for _ in range(len(CONTENT) // 1000):
        sending.allowance.give(1000)
        sending.run()
        calls += threads.run()
        sending.run()
    assert sending.taken == CONTENT[: len(sending.taken)]
    assert (len(sending.taken) > 0.9 * len(CONTENT), calls) == (True, 1 + (sending.outcome == [None]))
    sending.sender.stopProducing()
    threads.run_all()
