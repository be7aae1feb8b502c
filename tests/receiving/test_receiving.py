"""Moving exactly so many bytes of a connection into a file: by hand and within the system, in any mixture."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from typing import Any

import pytest
from twisted.python.failure import Failure

from chatfile.receiving.incoming_file import TailHasher
from chatfile.receiving.splicing import Splice, SplicingReceiver
from tests.support.receiving import BEHIND, CONTENT, assert_complete
from tests.support.transports import Threads

needs_splice = pytest.mark.skipif(not hasattr(os, "splice"), reason="there is no splice here")


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
    read = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, count: read(descriptor, min(count, 10_000)))
    one.run()
    assert_complete(one)


@needs_splice
def test_without_descriptors_it_goes_by_hand(receiving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, "pipe", errno.EMFILE, lambda: True)
    one = receiving()
    one.run()
    assert_complete(one)
    assert one.owner.times_detached == 1, "it is not tried again"


@needs_splice
@pytest.mark.parametrize("why", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_full_disk_is_told_and_the_connection_stays_in_step(
    receiving: Any, monkeypatch: pytest.MonkeyPatch, after: int, why: int
) -> None:
    one, calls = receiving(), 0

    def is_late(_from: int, to: int, _count: int) -> bool:
        nonlocal calls
        calls += os.path.samestat(os.fstat(to), os.stat(one.path))
        return calls > after

    failing(monkeypatch, "splice", why, is_late)
    one.run()
    assert one.failed_with(why)
    assert (one.receiver.remaining, one.behind, one.progressed) == (0, BEHIND, len(CONTENT))
    assert CONTENT.startswith(one.path.read_bytes())


@pytest.mark.parametrize("is_plain", [True, False])
def test_what_is_told_at_the_close_only_is_told(
    receiving: Any, monkeypatch: pytest.MonkeyPatch, is_plain: bool
) -> None:
    one, close = receiving(is_plain=is_plain), os.close

    def close_late(descriptor: int) -> None:
        is_file = os.path.samestat(os.fstat(descriptor), os.stat(one.path))
        close(descriptor)
        if is_file:
            raise OSError(errno.EDQUOT, "as over a network")

    with monkeypatch.context() as patch:
        patch.setattr(os, "close", close_late)
        one.run()
    assert one.failed_with(errno.EDQUOT)


@needs_splice
def test_a_file_that_can_not_be_read_back_is_told(receiving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one = receiving()
    failing(monkeypatch, "lseek", errno.EIO, lambda *_: True)
    one.run()
    assert one.failed_with(errno.EIO)


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
    assert written == 1000, "the call that was about to be made has moved nothing"
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
def test_a_digest_that_is_behind_follows_no_further_than_the_end(
    receiving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TailHasher, "SLICE", 50_000)
    threads = Threads()
    one = receiving(threads)
    one.send(100_000)
    one.read(1000)
    threads.run()
    threads.run()
    assert len(threads.waiting) == 1, "a slice is being hashed, and more waits for that"
    one.receiver.drop(Failure(KeyError()))
    threads.run_all()
    assert one.hasher.digest() == hashlib.sha256(CONTENT[:51_000]).digest()


@needs_splice
def test_what_is_written_by_hand_behind_an_end_is_not_hashed(receiving: Any) -> None:
    threads = Threads()
    one = receiving(threads)
    one.send(100_000)
    one.read(1000)
    threads.run_all()
    one.send(500)
    one.read(500)
    assert len(threads.waiting) == 1, "they are being written"
    one.receiver.end(Failure(KeyError()))
    threads.run()
    assert (threads.waiting, len(one.outcome)) == ([], 1)
    assert one.path.read_bytes() == CONTENT[:100_500]


def test_the_first_failure_is_the_one_that_is_told(receiving: Any) -> None:
    threads = Threads()
    one = receiving(threads)
    one.send(1000)
    one.read()
    one.receiver.drop(Failure(KeyError()))
    one.receiver.end(Failure(ValueError()))
    threads.run_all()
    (outcome,) = one.outcome
    assert outcome is not None
    assert outcome.check(KeyError)


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


@needs_splice
def test_a_socket_that_could_not_be_had_is_asked_for_again(receiving: Any) -> None:
    one = receiving(is_plain=False)
    for _ in range(3):
        one.send(1000)
        one.read(1000)
    one.owner.is_plain = True
    one.run()
    assert_complete(one)
    assert one.owner.times_detached > 0
