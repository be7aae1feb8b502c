"""Moving a range of a file onto a socket within the system: exact, never waiting for the disk, never cleanly short."""

from __future__ import annotations

import errno
import itertools
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatfile import errors
from chatfile.disk import InThread
from chatfile.sending import memory, zerocopy
from chatfile.sending.zerocopy import ZeroCopySender
from tests.support.transports import SocketTransport, Threads, at_once

CONTENT = bytes(range(251)) * 40_000
needs_nowait = pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="nothing tells here what is in memory")


class Sending:
    """A sender, the pair of sockets that it sends through, and how it ended."""

    def __init__(
        self,
        folder: Path,
        in_thread: InThread = at_once,
        offset: int = 0,
        count: int | None = None,
        send_buffer: int = 0,
    ) -> None:
        self.path = folder / "a"
        self.path.write_bytes(CONTENT)
        self.transport = SocketTransport(send_buffer)
        self.descriptor = os.open(self.path, os.O_RDONLY)
        self.sent = 0
        self.sender = ZeroCopySender(
            self.transport,
            self.descriptor,
            offset=offset,
            count=len(CONTENT) - offset if count is None else count,
            in_thread=in_thread,
            progress=self._progress,
        )
        self.outcome: list[Failure | None] = []
        self.taken = b""

    def start(self) -> Deferred[None]:
        done = self.sender.start()
        done.addBoth(self.outcome.append)
        return done

    def _progress(self, count: int) -> None:
        self.sent += count

    def run(self, turns: int = 10_000) -> bytes:
        """Let the transport write and the peer read, until nothing moves any more."""
        for _ in range(turns):
            moved = self.transport.turn()
            some = self.transport.receive()
            self.taken += some
            if not (moved or some):
                break
        return self.taken

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
def sending(tmp_path: Path) -> Iterator[Any]:
    made: list[Sending] = []

    def make(*arguments: Any, **named: Any) -> Sending:
        made.append(Sending(tmp_path, *arguments, **named))
        return made[-1]

    yield make
    for each in made:
        each.transport.close()
        assert not each.is_open(), "the descriptor is closed on every way out"


@pytest.mark.parametrize("send_buffer", [0, 4096])
@pytest.mark.parametrize(
    ("offset", "count"),
    [(0, None), (1, None), (5, 0), (len(CONTENT), 0), (0, 1), (300_000, 2_097_152), (3, 2_097_153), (77, 4_194_304)],
)
def test_the_range_arrives_exactly(sending: Any, offset: int, count: int | None, send_buffer: int) -> None:
    one = sending(offset=offset, count=count, send_buffer=send_buffer)
    one.start()
    assert one.run() == CONTENT[offset:][:count]
    assert (one.outcome, one.sent, one.transport.producer) == ([None], len(one.taken), None)


def test_what_was_written_before_comes_first(sending: Any) -> None:
    one = sending()
    one.transport.write(b"FILE\n")
    one.start()
    assert one.run() == b"FILE\n" + CONTENT


def test_a_socket_that_takes_nothing_is_waited_for(sending: Any) -> None:
    one = sending(send_buffer=4096)
    one.start()
    one.transport.turn()
    one.transport.turn()
    before = one.sent
    one.transport.turn()
    assert (one.sent == before > 0, one.sender.waiting, one.outcome) == (True, True, [])
    assert one.run() == CONTENT


def test_a_file_that_is_shorter_breaks_the_promise(sending: Any) -> None:
    one = sending()
    os.truncate(one.path, 300_000)
    one.start()
    assert one.run() == CONTENT[:300_000]
    assert (one.failed_with(errors.FileShrank), one.sent, one.transport.producer) == (True, 300_000, None)


def test_a_file_that_gets_shorter_in_mid_transfer_breaks_the_promise(sending: Any) -> None:
    one = sending(send_buffer=4096)
    one.start()
    one.run(turns=3)
    os.truncate(one.path, one.sent + 100)
    one.run()
    assert one.failed_with(errors.FileShrank)
    assert one.taken == CONTENT[: len(one.taken)]
    assert len(one.taken) == one.sent


def test_a_file_that_grew_is_sent_as_it_was(sending: Any) -> None:
    one = sending()
    with one.path.open("ab") as file:
        file.write(b"more")
    one.start()
    assert one.run() == CONTENT


def test_a_peer_that_is_gone_ends_it(sending: Any) -> None:
    one = sending(send_buffer=4096)
    one.start()
    one.run(turns=2)
    one.transport.peer.close()
    one.transport.turn()
    assert (one.failed_with(errors.TransferAborted), one.transport.producer) == (True, None)


@pytest.mark.parametrize(
    "number",
    [
        errno.EINVAL,
        *(pytest.param(each, marks=pytest.mark.slow) for each in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EOVERFLOW)),
    ],
)
def test_where_the_system_can_not_it_is_copied(sending: Any, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    one = sending(send_buffer=4096)

    def refuse(*_: object) -> int:
        raise OSError(number, "not here")

    monkeypatch.setattr(os, "sendfile", refuse)
    one.start()
    assert one.run() == CONTENT
    assert (one.outcome, one.sent) == ([None], len(CONTENT))


def test_a_file_that_is_shorter_breaks_the_promise_of_a_copy_too(sending: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one = sending()
    os.truncate(one.path, 300_000)

    def refuse(*_: object) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "sendfile", refuse)
    one.start()
    assert one.run() == CONTENT[:300_000]
    assert one.failed_with(errors.FileShrank)


@pytest.mark.parametrize(("number", "after"), [(errno.EIO, 0), (errno.EIO, 1), (errno.EINVAL, 1)])
def test_a_failure_that_is_no_refusal_is_not_copied_around(
    sending: Any, monkeypatch: pytest.MonkeyPatch, number: int, after: int
) -> None:
    one = sending(send_buffer=4096)
    really, calls = os.sendfile, 0

    def fail(*arguments: Any) -> int:
        nonlocal calls
        calls += 1
        if calls > after:
            raise OSError(number, "broken")
        return really(*arguments)

    monkeypatch.setattr(os, "sendfile", fail)
    one.start()
    assert one.run() == CONTENT[: one.sent]
    assert (one.failed_with(OSError), bool(one.sent)) == (True, bool(after))


@pytest.fixture
def each_look_is_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds pass whenever the clock is read."""
    later = itertools.count()
    monkeypatch.setattr(zerocopy.time, "monotonic", lambda: next(later))
    monkeypatch.setattr(memory, "_LONGEST", 10_000)  # its clock is the same


@pytest.fixture(params=["soon", "long after"])
def pace(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How long after it was read something is sent, however busy the machine is."""
    if request.param == "long after":
        request.getfixturevalue("each_look_is_long_ago")
    else:
        monkeypatch.setattr(zerocopy.time, "monotonic", lambda: 0.0)


class ColdDisk:
    """Nothing is in memory but what was read in earnest."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int = errno.EAGAIN) -> None:
        self.read_until = 0
        self.looks = 0
        self._number = number
        self._really = os.preadv
        monkeypatch.setattr(os, "preadv", self._preadv)

    def _preadv(self, descriptor: int, buffers: Any, offset: int, flags: int = 0) -> int:
        if flags:
            self.looks += 1
            if offset >= self.read_until or self._number != errno.EAGAIN:
                raise OSError(self._number, "not now")
            return 1
        got = self._really(descriptor, buffers, offset)
        self.read_until = max(self.read_until, offset + got)
        return got


@needs_nowait
@pytest.mark.usefixtures("on_a_disk", "pace")
@pytest.mark.parametrize("answer", [errno.EAGAIN, errno.EOPNOTSUPP])
def test_what_may_not_be_in_memory_is_read_by_a_thread_first(
    sending: Any, monkeypatch: pytest.MonkeyPatch, answer: int
) -> None:
    threads, disk = Threads(), ColdDisk(monkeypatch, answer)
    one = sending(threads)
    one.start()
    windows = 0
    while not one.outcome:
        one.run()
        assert len(one.taken) <= disk.read_until, "the reactor never waits for the disk"
        windows += threads.run()
    one.run()
    assert (one.taken, disk.looks > 0) == (CONTENT, True)
    assert windows == -(-len(CONTENT) // ZeroCopySender.TURN) + 1, "each byte is read once, then it is closed"


@needs_nowait
@pytest.mark.usefixtures("on_a_disk")
@pytest.mark.parametrize("answer", [errno.EAGAIN, errno.EOPNOTSUPP])
def test_no_more_is_sent_than_a_slow_disk_has_given(sending: Any, monkeypatch: pytest.MonkeyPatch, answer: int) -> None:
    monkeypatch.setattr(memory, "_LONGEST", -1)
    threads, disk = Threads(), ColdDisk(monkeypatch, answer)
    one = sending(threads)
    one.start()
    while not one.outcome:
        one.run()
        assert len(one.taken) <= disk.read_until, "the reactor never waits for the disk"
        threads.run()
    assert one.run() == CONTENT


@needs_nowait
@pytest.mark.usefixtures("pace")
def test_what_is_gone_again_at_once_does_not_go_in_circles(sending: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: Any) -> bool:
        return False

    monkeypatch.setattr("chatfile.sending.zerocopy.are_cached", never)
    one = sending()
    one.start()
    assert one.run() == CONTENT


@needs_nowait
def test_a_disk_that_fails_under_the_thread_breaks_the_promise(sending: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(os, "preadv", broken)
    one = sending()
    one.start()
    one.run()
    assert (one.failed_with(OSError), one.taken) == (True, b"")


@needs_nowait
@pytest.mark.usefixtures("on_a_disk")
@pytest.mark.parametrize("end", ["cancelled", "lost"])
def test_the_descriptor_is_not_closed_under_a_thread_that_reads_it(
    sending: Any, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    threads = Threads()
    ColdDisk(monkeypatch)
    one = sending(threads)
    done = one.start()
    one.run()
    done.cancel() if end == "cancelled" else one.sender.stopProducing()
    assert (one.failed_with(errors.TransferAborted), one.is_open()) == (True, True)
    threads.run_all()
    one.run()
    assert (one.is_open(), one.taken) == (False, b"")


@pytest.mark.parametrize("end", ["cancelled", "lost"])
def test_between_two_turns_the_descriptor_is_closed_at_once(sending: Any, end: str) -> None:
    one = sending(send_buffer=4096)
    done = one.start()
    one.run(turns=2)
    done.cancel() if end == "cancelled" else one.sender.stopProducing()
    assert (one.failed_with(errors.TransferAborted), one.is_open()) == (True, False)
    one.run()
    assert len(one.taken) == one.sent < len(CONTENT)


@needs_nowait
@pytest.mark.usefixtures("on_a_disk")
def test_what_is_asked_for_while_the_disk_is_waited_for_is_waited_for(
    sending: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = Threads()
    ColdDisk(monkeypatch)
    one = sending(threads)
    one.start()
    one.run()
    assert (len(threads.waiting), one.sender.waiting) == (1, False), "it is the disk that is waited for, not the peer"
    one.transport.startWriting()
    one.run()
    assert len(threads.waiting) == 1
    while not one.outcome:
        threads.run()
        one.run()
    threads.run()
    assert one.run() == CONTENT


def test_after_its_end_a_sender_does_nothing(sending: Any) -> None:
    one = sending(send_buffer=4096)
    one.start().cancel()
    one.sender.resumeProducing()
    one.run()
    assert (one.taken, one.transport.producer) == (b"", None)


def test_a_lost_connection_keeps_its_slot_to_itself(sending: Any) -> None:
    one = sending(send_buffer=4096)
    one.start()
    one.sender.stopProducing()
    assert one.transport.producer is one.sender, "the transport clears it, after it has told the producer"


def test_a_timeout_of_the_connection_ends_it(sending: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    monkeypatch.setattr(os, "sendfile", fail)
    one = sending()
    one.start()
    one.run()
    assert one.failed_with(errors.TransferAborted)


# --- what is looked at ---


@pytest.fixture
def on_a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the tests have their files."""
    monkeypatch.setattr(memory, "is_always_in_memory", lambda _: False)


@pytest.fixture
def tells(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The offsets at which it was looked what is in memory; all is."""
    looks: list[int] = []
    really = os.preadv

    def preadv(descriptor: int, buffers: Any, offset: int, flags: int = 0) -> int:
        if not flags:
            return really(descriptor, buffers, offset)
        looks.append(offset)
        return 1

    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(memory, "_NOWAIT", 8)
    return looks


def test_each_part_of_a_file_is_looked_at_once_however_little_the_socket_takes(
    sending: Any, tells: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zerocopy, "_FRESH", math.inf)  # on a busy machine, it may be long ago
    one = sending(send_buffer=4096)
    one.start()
    assert one.run() == CONTENT
    turns = -(-len(CONTENT) // ZeroCopySender.TURN)
    assert len(tells) <= -(-len(CONTENT) // memory._STRIDE) + turns, "each stride, and the end of each turn"


@pytest.mark.usefixtures("each_look_is_long_ago")
def test_what_was_seen_in_memory_long_ago_is_looked_at_again(
    sending: Any, tells: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    really, sent = os.sendfile, []

    def sendfile(out: int, source: int, offset: int, count: int) -> int:
        sent.append(offset)
        return really(out, source, offset, min(count, 100_000))

    monkeypatch.setattr(os, "sendfile", sendfile)
    one = sending()
    one.start()
    assert one.run() == CONTENT
    assert len(sent) > 2 * len(CONTENT) / ZeroCopySender.TURN
    assert set(sent) <= set(tells)


@pytest.mark.usefixtures("no_look")
def test_on_a_file_system_of_memory_nothing_is_read(sending: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "is_always_in_memory", lambda _: True)
    monkeypatch.setattr(zerocopy, "_SLOW", math.inf)  # on a busy machine, a turn may be interrupted for long
    threads = Threads()
    one = sending(threads)
    one.start()
    one.run()
    assert len(threads.waiting) == 1, "a thread finds out once"
    threads.run()
    assert one.run() == CONTENT
    assert [waiting.call.__name__ for waiting in threads.waiting] == ["close_quietly"]
    threads.run()


@pytest.fixture
def no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing tells what is in memory, and nothing may be read."""

    def preadv(*arguments: Any) -> int:
        assert len(arguments) == 4
        raise OSError(errno.EOPNOTSUPP, "not here")

    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(memory, "_NOWAIT", 8)


def test_where_memory_turns_out_to_be_a_disk_a_thread_reads_first(
    sending: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "is_always_in_memory", lambda _: True)
    threads, disk = Threads(), ColdDisk(monkeypatch, errno.EOPNOTSUPP)
    really, now = os.sendfile, 0.0

    def sendfile(out: int, source: int, offset: int, count: int) -> int:
        nonlocal now
        now += 2 * zerocopy._SLOW if offset >= disk.read_until else 0
        return really(out, source, offset, count)

    monkeypatch.setattr(os, "sendfile", sendfile)
    monkeypatch.setattr(zerocopy.time, "monotonic", lambda: now)
    one = sending(threads)
    one.start()
    while not one.outcome:
        one.run()
        threads.run()
    one.run()
    assert one.taken == CONTENT
    assert now == 2 * zerocopy._SLOW, "the reactor has waited for it once"
