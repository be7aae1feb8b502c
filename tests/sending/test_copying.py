"""Moving a range of a file onto a transport by copying: exact, and the descriptor closed on every way out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatfile import errors
from chatfile.disk import InThread
from chatfile.sending import copying, memory
from chatfile.sending.copying import CopyingSender
from tests.support.transports import FullTransport, Threads, at_once

CONTENT = bytes(range(256)) * 4000


class Sending:
    """A sender, what it sends to, and how it ended."""

    def __init__(self, folder: Path, in_thread: InThread = at_once, offset: int = 0, count: int = len(CONTENT)) -> None:
        (folder / "a").write_bytes(CONTENT)
        self.path = folder / "a"
        self.transport = FullTransport()
        self.descriptor = os.open(self.path, os.O_RDONLY)
        self.sent = 0
        self.sender = CopyingSender(
            self.transport, self.descriptor, offset=offset, count=count, in_thread=in_thread, progress=self._progress
        )
        self.done: Deferred[None] = self.sender.start()
        self.outcome: list[Failure | None] = []
        self.done.addBoth(self.outcome.append)

    def _progress(self, count: int) -> None:
        self.sent += count

    def is_open(self) -> bool:
        try:
            os.fstat(self.descriptor)
        except OSError:
            return False
        return True

    def failed_with(self, kind: type[Exception]) -> bool:
        (outcome,) = self.outcome
        return isinstance(outcome, Failure) and outcome.check(kind) is not None


@pytest.fixture
def cold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing tells what is in memory, and it is no file system that is nothing else."""
    monkeypatch.setattr(memory, "_NOWAIT", None)
    monkeypatch.setattr(copying, "is_always_in_memory", lambda _: False)


@pytest.fixture(params=["cold", "resident", "as it is", "half cold"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file is, as far as that can be known."""
    if request.param in ("cold", "resident"):
        request.getfixturevalue("cold")
        monkeypatch.setattr(copying, "is_always_in_memory", lambda _: request.param == "resident")
    if request.param == "half cold":
        monkeypatch.setattr(copying, "read_cached", half_cold)


def half_cold(descriptor: int, buffer: memoryview, offset: int) -> int:
    """Some of every other piece is in memory."""
    return os.preadv(descriptor, [buffer[: offset % 1000]], offset) if offset % 1000 else 0


@pytest.mark.usefixtures("where")
@pytest.mark.parametrize(
    ("offset", "count"),
    [(0, len(CONTENT)), (1, len(CONTENT) - 1), (5, 0), (len(CONTENT), 0), (0, 1), (300_000, 262_144), (3, 262_145)],
)
def test_the_range_arrives_exactly(tmp_path: Path, offset: int, count: int) -> None:
    sending = Sending(tmp_path, offset=offset, count=count)
    taken = b"".join(iter(sending.transport.drain, b""))
    assert taken == CONTENT[offset : offset + count]
    assert (sending.outcome, sending.sent, sending.is_open()) == ([None], count, False)
    assert sending.transport.producer is None


@pytest.mark.usefixtures("where")
def test_a_file_that_is_shorter_breaks_the_promise(tmp_path: Path) -> None:
    sending = Sending(tmp_path)
    os.truncate(sending.path, 300_000)
    while sending.transport.drain():
        pass
    assert sending.failed_with(errors.FileShrank)
    assert (sending.sent, sending.is_open(), sending.transport.producer) == (300_000, False, None)


@pytest.mark.parametrize("is_resident", [True, False])
def test_a_file_that_can_not_be_read_on_breaks_the_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_resident: bool
) -> None:
    monkeypatch.setattr(copying, "is_always_in_memory", lambda _: is_resident)
    monkeypatch.setattr(memory, "_NOWAIT", None)
    sending = Sending(tmp_path)

    def broken(*_: object) -> bytes:
        raise OSError(5, "I/O error")

    monkeypatch.setattr(os, "pread", broken)
    sending.transport.drain()
    assert sending.failed_with(OSError)
    assert (sending.is_open(), sending.transport.producer) == (False, None)


def test_a_fault_of_ours_behind_a_thread_ends_the_transfer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "read_cached", lambda *_: 0)
    threads = Threads()
    sending = Sending(tmp_path, threads)
    monkeypatch.setattr(sending.transport, "write", lambda _: 1 / 0)
    threads.run_all()
    assert sending.failed_with(ZeroDivisionError)
    assert (sending.is_open(), sending.transport.producer) == (False, None)


def test_what_is_in_memory_needs_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        copying, "read_cached", lambda descriptor, buffer, offset: os.preadv(descriptor, [buffer], offset)
    )
    threads = Threads()
    sending = Sending(tmp_path, threads)
    assert b"".join(iter(sending.transport.drain, b"")) == CONTENT
    assert [waiting.call.__name__ for waiting in threads.waiting] == ["close_quietly"]
    threads.run()


def test_what_is_not_in_memory_is_read_by_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "read_cached", lambda *_: 0)
    threads = Threads()
    sending = Sending(tmp_path, threads)
    taken, calls = b"", 0
    while not sending.outcome:
        calls += threads.run()
        taken += sending.transport.drain()
    assert (taken, calls) == (CONTENT, -(-len(CONTENT) // CopyingSender.PIECE))
    threads.run()


@pytest.mark.parametrize("is_resident", [True, False])
def test_where_nothing_tells_a_thread_asks_once_of_what_kind_the_file_system_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_resident: bool
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(memory, "_NOWAIT", None)
    monkeypatch.setattr(copying, "is_always_in_memory", lambda descriptor: asked.append(descriptor) or is_resident)
    threads = Threads()
    sending = Sending(tmp_path, threads)
    taken, calls = b"", 0
    while not sending.outcome:
        calls += threads.run()
        taken += sending.transport.drain()
    assert (taken, len(asked)) == (CONTENT, 1)
    assert calls == 1 + (0 if is_resident else -(-len(CONTENT) // CopyingSender.PIECE))
    threads.run()


@pytest.mark.usefixtures("cold")
@pytest.mark.parametrize("end", ["cancelled", "lost"])
def test_the_descriptor_is_not_closed_under_a_thread_that_reads_it(tmp_path: Path, end: str) -> None:
    threads = Threads()
    sending = Sending(tmp_path, threads)
    sending.done.cancel() if end == "cancelled" else sending.sender.stopProducing()
    assert sending.failed_with(errors.TransferAborted)
    assert sending.is_open()
    threads.run_all()
    assert (sending.is_open(), sending.transport.value()) == (False, b"")


def test_between_two_pieces_the_descriptor_is_closed_at_once(tmp_path: Path) -> None:
    sending = Sending(tmp_path)
    sending.sender.stopProducing()
    assert (sending.failed_with(errors.TransferAborted), sending.is_open()) == (True, False)


def test_what_the_peer_has_ended_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Beneath:
        disconnecting = True

    threads = Threads()
    monkeypatch.setattr(copying, "read_cached", lambda *_: 0)
    sending = Sending(tmp_path, threads)
    sending.transport.transport = Beneath()
    threads.run()
    assert sending.failed_with(errors.TransferAborted)
    threads.run()
    assert (sending.transport.value(), sending.is_open()) == (b"", False)


def test_its_buffer_is_let_go_of_at_the_end_of_the_connection(tmp_path: Path) -> None:
    sending = Sending(tmp_path)
    assert sending.sender._buffer.nbytes
    sending.sender.stopProducing()
    assert sending.failed_with(errors.TransferAborted)
    assert not sending.sender._buffer.nbytes
