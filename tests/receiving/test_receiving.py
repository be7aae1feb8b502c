"""Moving exactly so many bytes of a connection into a file: by hand and within the system, in any mixture."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.python.failure import Failure

from chatfile.disk import InThread
from chatfile.receiving import FileReceiver
from chatfile.receiving.splicing import Splice, SplicingReceiver
from tests.support.transports import Threads, at_once

CONTENT = random.Random(3).randbytes(3_000_000)
BEHIND = b"END\n"
needs_splice = pytest.mark.skipif(not hasattr(os, "splice"), reason="there is no splice here")


class Owner:
    """A connection that gives its socket to a receiver; the peer's end is `peer`."""

    def __init__(self, is_plain: bool = True) -> None:
        self.socket, self.peer = socket.socketpair()
        self.socket.setblocking(False)
        self.peer.setblocking(False)
        self.is_plain = is_plain
        self.is_detached = False
        self.is_paused = False
        self.times_detached = 0

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    def detach_socket(self) -> socket.socket | None:
        assert not self.is_detached
        self.is_detached = self.is_plain
        self.times_detached += self.is_detached
        return self.socket if self.is_plain else None

    def reattach(self) -> None:
        assert self.is_detached
        self.is_detached = False

    def read(self, most: int) -> bytes:
        """What the reactor would read now, if it may."""
        assert not self.is_detached, "there are never two readers"
        try:
            return self.socket.recv(most)
        except BlockingIOError:
            return b""


class Receiving:
    """A receiver, the connection that owns the socket, and what became of it."""

    def __init__(
        self,
        path: Path,
        in_thread: InThread = at_once,
        *,
        is_plain: bool = True,
        flags: int = os.O_RDWR,
        hashing: bool = True,
        size: int = len(CONTENT),
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.path = path
        self.owner = Owner(is_plain)
        self.descriptor = os.open(path, flags | os.O_CREAT, 0o600)
        self.hasher = hashlib.sha256()
        self.progressed = 0
        self._told = progress
        self._unsent = CONTENT[:size] + BEHIND
        self.behind = b""
        self.receiver = FileReceiver(
            self.descriptor,
            size,
            hasher=self.hasher if hashing else None,
            in_thread=in_thread,
            owner=self.owner,
            progress=self._progress,
        )
        self.outcome: list[Failure | None] = []
        self.receiver.done.addBoth(self.outcome.append)

    def _progress(self, count: int) -> None:
        self.progressed += count
        self._told(count)

    def send(self, most: int) -> None:
        """The peer sends as much as there is room for."""
        try:
            self._unsent = self._unsent[self.owner.peer.send(self._unsent[:most]) :]
        except BlockingIOError:
            pass

    def read(self, most: int = 65_536) -> None:
        """The reactor's turn."""
        data = self.owner.read(most)
        if data:
            self.behind += self.receiver.take(data) if self.receiver.remaining else data

    def run(self, most: int = 100_000, threads: Threads | None = None) -> None:
        """Send and read until all has come; no reading while `threads` have something to do."""
        while self.behind != BEHIND or (threads and threads.waiting):
            self.send(most)
            if not (threads and threads.run()):
                self.read()

    def failed_with(self, number: int) -> bool:
        (outcome,) = self.outcome
        return outcome is not None and outcome.value.errno == number

    def close(self) -> None:
        os.close(self.descriptor)
        self.owner.socket.close()
        self.owner.peer.close()


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))


@pytest.fixture
def receiving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(Splice, "PATIENCE", 0)
    made: list[Receiving] = []
    before: list[int] = []

    def make(*arguments: Any, **named: Any) -> Receiving:
        before.append(open_descriptors())
        made.append(Receiving(tmp_path / "a", *arguments, **named))
        return made[-1]

    yield make
    for each in made:
        each.close()
    assert not made or open_descriptors() == before[0], "nothing is left open"


def assert_complete(one: Receiving, size: int = len(CONTENT)) -> None:
    assert one.outcome == [None]
    assert one.path.read_bytes() == CONTENT[:size]
    assert one.hasher.digest() == hashlib.sha256(CONTENT[:size]).digest()
    assert (one.progressed, one.receiver.remaining, one.behind) == (size, 0, BEHIND)


@pytest.mark.parametrize("is_plain", [True, False])
@pytest.mark.parametrize("size", [0, 1, 65_536, 262_144, 262_145, 1_000_000, 3_000_000])
@pytest.mark.parametrize("most", [997, 65_536, 1 << 20])
def test_what_is_sent_is_what_is_saved(receiving: Any, size: int, most: int, is_plain: bool) -> None:
    one = receiving(size=size, is_plain=is_plain)
    one.run(most)
    assert_complete(one, size)


@needs_splice
def test_a_large_file_is_taken_from_the_socket_itself(receiving: Any) -> None:
    one = receiving()
    one.run()
    assert one.owner.times_detached > 0


@needs_splice
def test_while_the_socket_is_detached_nobody_else_reads(receiving: Any) -> None:
    threads = Threads()
    one = receiving(threads)
    one.send(100_000)
    one.read(1000)
    assert one.owner.is_detached
    one.send(100_000)
    threads.run()
    assert one.owner.is_detached, "what came first is written, the rest is not yet read"
    one.run(threads=threads)
    assert_complete(one)


@needs_splice
@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR | os.O_APPEND])
def test_what_can_not_be_read_back_or_spliced_is_written_by_hand(receiving: Any, flags: int) -> None:
    one = receiving(flags=flags)
    one.run()
    assert_complete(one)
    assert one.owner.times_detached == 0


@needs_splice
def test_without_a_digest_a_file_need_not_be_readable(receiving: Any) -> None:
    one = receiving(flags=os.O_WRONLY, hashing=False)
    one.run()
    assert (one.path.read_bytes(), one.owner.times_detached > 0) == (CONTENT, True)


def failing(monkeypatch: pytest.MonkeyPatch, name: str, number: int, when: Any) -> None:
    """Let `os.name` fail when `when(*arguments)`."""
    really = getattr(os, name)

    def fail(*arguments: Any, **named: Any) -> Any:
        if when(*arguments):
            raise OSError(number, "made to fail")
        return really(*arguments, **named)

    monkeypatch.setattr(os, name, fail)


@needs_splice
def test_a_socket_that_can_not_be_spliced_is_read_by_hand(receiving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, "splice", errno.EINVAL, lambda *_: True)
    one = receiving()
    one.run()
    assert_complete(one)
    assert one.owner.times_detached == 1


@needs_splice
def test_a_file_that_can_not_be_spliced_is_written_by_hand(receiving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one = receiving()
    failing(
        monkeypatch, "splice", errno.EINVAL, lambda _from, to, _count: os.path.samestat(os.fstat(to), os.stat(one.path))
    )
    one.run()
    assert_complete(one)


@needs_splice
def test_without_descriptors_it_goes_by_hand(receiving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, "pipe", errno.EMFILE, lambda: True)
    one = receiving()
    one.run()
    assert_complete(one)


@needs_splice
@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_full_disk_is_told_and_the_connection_stays_in_step(
    receiving: Any, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    one, calls = receiving(), 0

    def is_late(_from: int, to: int, _count: int) -> bool:
        nonlocal calls
        calls += os.path.samestat(os.fstat(to), os.stat(one.path))
        return calls > after

    failing(monkeypatch, "splice", errno.ENOSPC, is_late)
    one.run()
    assert one.failed_with(errno.ENOSPC)
    assert (one.receiver.remaining, one.behind, one.progressed) == (0, BEHIND, len(CONTENT))
    assert CONTENT.startswith(one.path.read_bytes())


@needs_splice
def test_a_file_that_is_cut_under_its_digest_is_told(receiving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = Threads()
    one = receiving(threads)
    one.send(300_000)
    one.read(1000)
    threads.run()
    threads.run()
    os.truncate(one.path, 10)
    one.run(threads=threads)
    assert one.failed_with(errno.EIO)


@needs_splice
def test_the_end_of_the_connection_is_left_to_the_reactor(receiving: Any) -> None:
    one = receiving()
    one.send(100_000)
    one.read(1000)
    one.owner.peer.close()
    assert not one.owner.is_detached
    one.read(1_000_000)
    assert one.owner.socket.recv(1) == b""
    one.receiver.end(Failure(ConnectionResetError()))
    assert isinstance(one.outcome[0], Failure)
    assert one.path.read_bytes() == CONTENT[:100_000]


@needs_splice
@pytest.mark.parametrize("way", ["drop", "end"])
def test_the_descriptors_are_not_closed_under_a_thread(receiving: Any, way: str) -> None:
    threads = Threads()
    one = receiving(threads)
    one.send(100_000)
    one.read(1000)
    threads.run()
    assert threads.waiting, "a thread reads the socket"
    getattr(one.receiver, way)(Failure(KeyError()))
    assert (one.outcome, one.owner.is_detached) == ([], True)
    threads.run_all()
    assert (isinstance(one.outcome[0], Failure), one.owner.is_detached) == (True, False)
    written = one.path.stat().st_size
    one.run()
    assert one.receiver.remaining == 0
    assert one.path.stat().st_size == written, "what is not wanted any more is not written"


@needs_splice
def test_the_file_does_not_run_away_from_its_digest(receiving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SplicingReceiver, "LEAD", 0)
    monkeypatch.setattr(SplicingReceiver, "SLICE", 50_000)
    threads = Threads()
    one = receiving(threads)
    while not one.outcome:
        one.send(100_000)
        if not threads.waiting:
            one.read()
        if len(threads.waiting) == 1:
            threads.run()
        assert len(threads.waiting) < 2, "it reads no further before the digest has followed"
    one.run()
    assert_complete(one)


@needs_splice
def test_a_peer_that_is_never_idle_does_not_keep_the_thread(receiving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Splice, "LONGEST", 0.0)
    threads = Threads()
    one = receiving(threads)
    one.send(300_000)
    one.read(1000)
    threads.run()
    assert (threads.run(), one.owner.is_detached, len(threads.waiting)) == (1, True, 1), "it begins anew at once"
    monkeypatch.undo()
    one.run(threads=threads)
    assert_complete(one)


@needs_splice
def test_a_progress_that_fails_is_told_and_the_connection_stays_in_step(receiving: Any) -> None:
    calls: list[int] = []

    def progress(count: int) -> None:
        calls.append(count)
        if len(calls) == 2:
            raise KeyError

    one = receiving(progress=progress)
    one.run()
    assert isinstance(one.outcome[0], Failure)
    assert one.receiver.remaining == 0


@needs_splice
def test_a_stop_ends_the_call_that_is_under_way(receiving: Any) -> None:
    one = receiving()
    splice = Splice(one.owner.socket, one.descriptor)
    one.send(100_000)
    splice.stop()
    assert splice.move(100_000).count == 0
    splice.close()
    one.receiver.drop(Failure(KeyError()))


@needs_splice
def test_a_small_file_is_not_worth_it(receiving: Any) -> None:
    one = receiving(size=200_000)
    one.run()
    assert_complete(one, 200_000)
    assert one.owner.times_detached == 0


@needs_splice
def test_after_an_end_nothing_more_is_hashed_or_moved(receiving: Any) -> None:
    threads = Threads()
    one = receiving(threads)
    one.send(300_000)
    one.read(1000)
    threads.run()
    one.receiver.drop(Failure(KeyError()))
    threads.run()
    assert (threads.waiting, len(one.outcome)) == ([], 1)
    assert one.hasher.digest() == hashlib.sha256(CONTENT[:1000]).digest()


@needs_splice
def test_a_pipe_that_can_not_be_larger_and_writes_that_are_short_do(
    receiving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_fcntl, really_write = fcntl.fcntl, os.write

    def refuse(descriptor: int, command: int, argument: int = 0) -> int:
        if command == fcntl.F_SETPIPE_SZ:
            raise PermissionError(errno.EPERM, "too many pipes")
        return really_fcntl(descriptor, command, argument)

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    monkeypatch.setattr(os, "write", lambda descriptor, data: really_write(descriptor, bytes(data[:100_000])))
    one = receiving()
    target = os.stat(one.path)
    failing(monkeypatch, "splice", errno.EINVAL, lambda _, to, __: os.path.samestat(os.fstat(to), target))
    one.run()
    assert_complete(one)
