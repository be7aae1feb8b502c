"""Digests: the right one or an error, one job for many askers, few jobs at a time, and none that nobody waits for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail

from chatfile.digests import VERDICTS, Change, Digests, FileChanged, KnownDigests, Verdict, find_change
from chatfile.digests.versions import MIN_AGE
from chatfile.disk import DiskUnavailable
from tests.support.transports import Threads

LONG_AFTER = 3600.0
CONTENT = b"hello, world"


class Files:
    """Files that are open, and a wall clock that tells how long ago they were last changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.age = LONG_AFTER
        self._opened: list[int] = []

    def open(self, name: str = "a", content: bytes = CONTENT, flags: int = os.O_RDONLY) -> tuple[int, os.stat_result]:
        (self.folder / name).write_bytes(content)
        descriptor = os.open(self.folder / name, flags)
        self._opened.append(descriptor)
        return descriptor, os.fstat(descriptor)

    def open_again(self, name: str) -> tuple[int, os.stat_result]:
        descriptor = os.open(self.folder / name, os.O_RDONLY)
        self._opened.append(descriptor)
        return descriptor, os.fstat(descriptor)

    def now(self) -> float:
        return max(path.stat().st_ctime for path in self.folder.iterdir()) + self.age

    def close(self) -> None:
        while self._opened:
            os.close(self._opened.pop())

    def duplicates(self) -> int:
        """How many descriptors of these files are open beside those that the test opened."""
        return sum(self._is_ours(each) for each in Path("/proc/self/fd").iterdir()) - len(self._opened)

    def _is_ours(self, descriptor: Path) -> bool:
        with suppress(FileNotFoundError):
            return str(descriptor.readlink()).startswith(str(self.folder))
        return False


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    """Files of which no descriptor may be left."""
    files = Files(tmp_path)
    yield files
    files.close()
    assert files.duplicates() == 0


@pytest.fixture
def threads() -> Iterator[Threads]:
    """Threads of which all are done at the end."""
    threads = Threads()
    yield threads
    assert not threads.waiting


@pytest.fixture
def digests(threads: Threads, files: Files) -> Digests:
    return Digests(lambda: threads, files.now)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _outcome(asking: Deferred[str]) -> list[Any]:
    """A list that holds the result as soon as it is there."""
    outcome: list[Any] = []
    asking.addCallbacks(outcome.append, lambda failure: outcome.append(failure.type))
    return outcome


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 16, 1000])
def test_the_digest_is_that_of_the_whole_file(
    threads: Threads, files: Files, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(Digests, "CHUNK", 8)
    content = bytes(range(256)) * 4
    outcome = _outcome(Digests(lambda: threads, files.now).digest(*files.open(content=content[:size])))
    assert outcome == []
    threads.run()
    assert outcome == [_sha256(content[:size])]


def test_short_reads_do_not_change_the_digest(
    digests: Digests, threads: Threads, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, buffers, offset: read(file, [buffers[0][:1]], offset))
    outcome = _outcome(digests.digest(*files.open()))
    threads.run()
    assert outcome == [_sha256(CONTENT)]


@pytest.mark.parametrize("chunk", [Digests.CHUNK, len(CONTENT) // 2 + 1], ids="read {} at a time".format)
def test_a_file_that_grew_is_digested_as_far_as_it_was(
    digests: Digests, threads: Threads, files: Files, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(Digests, "CHUNK", chunk)
    descriptor, status = files.open()
    files.open(content=CONTENT + b" and more")
    outcome = _outcome(digests.digest(descriptor, status))
    threads.run_all()
    assert outcome == [_sha256(CONTENT)]


def test_a_write_under_way_at_the_end_of_a_file_does_not_change_it(
    digests: Digests, threads: Threads, files: Files
) -> None:
    descriptor, status = files.open(flags=os.O_RDWR)
    outcome = _outcome(digests.digest(descriptor, status))
    os.utime(descriptor, (0, 0))  # which the system does before the size is another
    threads.run()
    assert outcome == []
    os.pwrite(descriptor, b" and more", len(CONTENT))
    threads.run_all()
    assert outcome == [_sha256(CONTENT)]


@pytest.mark.parametrize("more", [b"", b" and more"])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_no_digest_is_that_of_a_bit_of_both_contents(threads: Threads, files: Files, turns: int, more: bytes) -> None:
    descriptor, _ = files.open(content=CONTENT * 3)
    os.utime(descriptor, (0, 0))  # a write so soon after another could leave the same mtime
    outcome = _outcome(InSmallTurns(lambda: threads, files.now).digest(descriptor, os.fstat(descriptor)))
    for _ in range(turns):
        threads.run()
    files.open(content=CONTENT.upper() * 3 + more)
    threads.run_all()
    assert outcome == [FileChanged]


@pytest.mark.parametrize("shorter", [b"", CONTENT[:-1]])
def test_a_file_that_got_shorter_has_changed(digests: Digests, threads: Threads, files: Files, shorter: bytes) -> None:
    outcome = _outcome(digests.digest(*files.open()))
    (files.folder / "a").write_bytes(shorter)
    threads.run()
    assert outcome == [FileChanged]


def test_an_error_of_the_system_reaches_whoever_asked(digests: Digests, threads: Threads, files: Files) -> None:
    descriptor, status = files.open(flags=os.O_WRONLY)
    outcomes = [_outcome(digests.digest(descriptor, status)) for _ in range(2)]
    threads.run()
    assert outcomes == [[OSError], [OSError]]
    files.close()
    assert _outcome(digests.digest(descriptor, status)) == [OSError]


def test_whoever_asked_keeps_the_descriptor_and_may_close_it(digests: Digests, threads: Threads, files: Files) -> None:
    descriptor, status = files.open()
    os.lseek(descriptor, 3, os.SEEK_SET)
    outcome = _outcome(digests.digest(descriptor, status))
    assert os.read(descriptor, 99) == CONTENT[3:]
    files.close()
    threads.run()
    assert outcome == [_sha256(CONTENT)]


def test_many_who_ask_for_the_same_are_answered_by_one_job(digests: Digests, threads: Threads, files: Files) -> None:
    opened = files.open()
    outcomes = [_outcome(digests.digest(*opened)) for _ in range(5)]
    assert len(threads.waiting) == 1
    threads.run()
    assert outcomes == [[_sha256(CONTENT)]] * 5


def test_another_version_of_a_file_is_another_job(digests: Digests, threads: Threads, files: Files) -> None:
    before = _outcome(digests.digest(*files.open()))
    after = _outcome(digests.digest(*files.open(content=b"HELLO")))
    threads.run()
    assert (before, after) == ([FileChanged], [_sha256(b"HELLO")])


def test_one_of_many_may_go_and_the_others_are_answered(digests: Digests, threads: Threads, files: Files) -> None:
    opened = files.open()
    first, second = digests.digest(*opened), digests.digest(*opened)
    outcomes = [_outcome(first), _outcome(second)]
    first.cancel()
    threads.run()
    assert outcomes == [[CancelledError], [_sha256(CONTENT)]]


def test_a_job_stops_in_the_middle_when_nobody_waits_for_it_any_more(
    threads: Threads, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Digests, "CHUNK", 1)
    askers: list[Deferred[str]] = []
    reads: list[int] = []
    read = os.preadv

    def read_and_go(file: int, buffers: list[memoryview], offset: int) -> int:
        reads.append(offset)
        if len(reads) <= len(askers):
            askers[len(reads) - 1].cancel()
        return read(file, buffers, offset)

    monkeypatch.setattr(os, "preadv", read_and_go)
    digests, opened = Digests(lambda: threads, files.now), files.open()
    askers += [digests.digest(*opened), digests.digest(*opened)]
    outcomes = [_outcome(asker) for asker in askers]
    threads.run()
    assert reads == [0, 1]
    assert outcomes == [[CancelledError]] * 2
    assert files.duplicates() == 0


def test_who_asks_behind_a_stopped_job_gets_one_of_its_own(digests: Digests, threads: Threads, files: Files) -> None:
    opened = files.open()
    stopped = digests.digest(*opened)
    gone = _outcome(stopped)
    stopped.cancel()
    outcome = _outcome(digests.digest(*opened))
    joined = _outcome(digests.digest(*opened))
    threads.run()
    assert gone == [CancelledError]
    assert outcome == joined == [_sha256(CONTENT)]


def test_a_slow_disk_gives_up_its_turn(threads: Threads, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def read(descriptor: int, buffers: Any, offset: int) -> int:
        nonlocal now
        now += Digests.TURN_SECONDS * 3 / 2
        return really(descriptor, [buffers[0][:10]], offset)

    really = os.preadv
    monkeypatch.setattr(os, "preadv", read)
    outcome = _outcome(Digests(lambda: threads, files.now, ticks=lambda: now).digest(*files.open(content=bytes(50))))
    turns = 0
    while threads.run():
        turns += 1
    assert (turns, outcome) == (5, [_sha256(bytes(50))])


def test_a_disk_that_hangs_is_told_and_the_next_time_it_is_tried_again(files: Files) -> None:
    hung: list[Any] = []
    hung_in: list[Any] = []

    def hang(call: Any, *arguments: Any, unwanted: Any, about: Any) -> Deferred[Any]:
        hung.append(unwanted)
        hung_in.append(about)
        return fail(DiskUnavailable())

    digests, opened = Digests(lambda: hang, files.now), files.open()
    assert [_outcome(digests.digest(*opened)) for _ in range(2)] == [[DiskUnavailable]] * 2
    assert hung_in == [(opened[1].st_dev, opened[1].st_ino)] * 2, "one file, whatever becomes of it"
    assert files.duplicates() == 2, "a thread may still read them"
    for unwanted in hung:
        unwanted(None)
    assert files.duplicates() == 0


def test_a_job_that_fails_gives_its_descriptor_back(digests: Digests, threads: Threads, files: Files) -> None:
    outcome = _outcome(digests.digest(*files.open(flags=os.O_WRONLY)))
    threads.run()
    assert outcome == [OSError]
    assert files.duplicates() == 0


def _asked_again(digests: Digests, threads: Threads, opened: tuple[int, os.stat_result]) -> bool:
    """Whether a second asker needs a job as well."""
    asking = _outcome(digests.digest(*opened))
    needed = threads.run() == 1
    assert len(asking) == 1
    return needed


@pytest.mark.parametrize(("age", "kept"), [(MIN_AGE - 0.5, False), (MIN_AGE + 0.5, True), (-5, False)])
def test_the_digest_of_a_file_that_was_left_alone_is_kept(
    digests: Digests, threads: Threads, files: Files, age: float, kept: bool
) -> None:
    opened = files.open()
    files.age = age
    assert _asked_again(digests, threads, opened)
    assert _asked_again(digests, threads, opened) is not kept


def test_a_time_that_was_set_back_does_not_make_a_fresh_file_old(
    digests: Digests, threads: Threads, files: Files
) -> None:
    descriptor, _ = files.open()
    os.utime(descriptor, (0, 0))
    opened = descriptor, os.fstat(descriptor)
    files.age = 0
    assert _asked_again(digests, threads, opened)
    assert _asked_again(digests, threads, opened)


def test_the_digest_of_a_file_that_changed_meanwhile_is_not_kept(
    digests: Digests, threads: Threads, files: Files
) -> None:
    opened = files.open()
    os.fchmod(opened[0], 0o600)
    assert _asked_again(digests, threads, opened)
    assert _asked_again(digests, threads, opened)


def test_a_file_that_was_rewritten_takes_no_second_place(threads: Threads, files: Files) -> None:
    known = KnownDigests(2)
    digests = Digests(lambda: threads, files.now, known=known)
    assert _asked_again(digests, threads, files.open("a"))
    for content in (b"1", b"12", b"123"):
        assert _asked_again(digests, threads, files.open("b", content))
    assert len(known) == 2
    assert not _asked_again(digests, threads, files.open_again("a"))


def test_a_clock_that_is_set_back_makes_nothing_known(threads: Threads, files: Files) -> None:
    digests, opened = Digests(lambda: threads, files.now), files.open()
    assert _asked_again(digests, threads, opened)
    files.age = -1
    assert _asked_again(digests, threads, opened), "it may come to this time once more, and with it other bytes"
    files.age = LONG_AFTER
    assert not _asked_again(digests, threads, opened)


@pytest.mark.parametrize("to", Change)
def test_what_was_read_and_digested_elsewhere_is_kept_if_the_file_is_as_it_was(
    digests: Digests, threads: Threads, files: Files, to: Change
) -> None:
    descriptor, _ = files.open(flags=os.O_RDWR)
    change(descriptor, Change.NONE)
    opened = os.fstat(descriptor)
    assert digests.find(opened) is None
    reading, sha256 = digests.begin(opened), _sha256(os.pread(descriptor, opened.st_size, 0))
    if to is not Change.NONE:
        change(descriptor, to)
    assert digests.remember(reading, os.fstat(descriptor), sha256) is (VERDICTS[to][0] is Verdict.VALID)
    assert digests.find(opened) == (sha256 if to is Change.NONE else None)
    assert digests.find(os.fstat(descriptor)) == (sha256 if to is Change.NONE else None)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_the_age_of_a_file_counts_when_its_reading_begins(digests: Digests, files: Files, late: bool) -> None:
    descriptor, opened = files.open()
    files.age = MIN_AGE - 0.5
    reading = digests.begin(opened)
    files.age = MIN_AGE + 0.5
    reading = digests.begin(opened) if late else reading
    assert digests.remember(reading, os.fstat(descriptor), _sha256(CONTENT)), "it is valid in any case"
    assert (digests.find(opened) is not None) is late


def test_digests_asked_for_latest_are_kept_and_no_more_than_allowed(threads: Threads, files: Files) -> None:
    digests = Digests(lambda: threads, files.now, known=KnownDigests(2))
    assert digests.most == 2
    a, b, c = (files.open(name) for name in "abc")
    assert [_asked_again(digests, threads, opened) for opened in (a, b, a, c)] == [True, True, False, True]
    assert [_asked_again(digests, threads, opened) for opened in (a, c, b)] == [False, False, True]


VERSION = (1, 2, 30, 40, 50)


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("by", [-1, 1])
def test_the_digest_of_another_version_is_not_known(at: int, by: int) -> None:
    known = KnownDigests()
    known.add(VERSION, _sha256(CONTENT))
    other = (*VERSION[:at], VERSION[at] + by, *VERSION[at + 1 :])
    assert (known.find(VERSION), known.find(other)) == (_sha256(CONTENT), None)


def test_what_is_known_anew_is_kept_longest() -> None:
    known, others = KnownDigests(2), [(1, inode, 30, 40, 50) for inode in (3, 4)]
    for version in (VERSION, others[0], VERSION, others[1]):
        known.put_back(version, _sha256(CONTENT))
    assert [known.find(version) is not None for version in (VERSION, *others)] == [True, False, True]


class InSmallTurns(Digests):
    """Ten bytes a turn."""

    TURN = 10


def test_a_small_file_does_not_wait_for_a_large_one(threads: Threads, files: Files) -> None:
    digests = InSmallTurns(lambda: threads, files.now)
    large = digests.digest(*files.open("large", bytes(1000)))
    small = digests.digest(*files.open("small", CONTENT))
    for _ in range(4):
        threads.run()
    assert _outcome(small) == [_sha256(CONTENT)]
    assert not large.called
    threads.run_all()
    assert _outcome(large) == [_sha256(bytes(1000))]


def test_of_a_file_that_is_half_read_no_digest_is_known(threads: Threads, files: Files) -> None:
    digests, opened = InSmallTurns(lambda: threads, files.now), files.open(content=bytes(25))
    asking = digests.digest(*opened)
    for _ in range(2):
        threads.run()
        assert digests.find(opened[1]) is None
    threads.run()
    assert [digests.find(opened[1])] == _outcome(asking) == [_sha256(bytes(25))]


def test_a_job_can_be_stopped_between_its_turns(threads: Threads, files: Files) -> None:
    digests = InSmallTurns(lambda: threads, files.now)
    both = [digests.digest(*files.open(name, bytes(1000))) for name in ("one", "two")]
    for _ in range(3):
        threads.run()
    for asker in both:
        asker.cancel()
        assert _outcome(asker) == [CancelledError]
    threads.run_all()
    assert _outcome(digests.digest(*files.open("small", b""))) == []
    threads.run_all()


def change(descriptor: int, to: Change) -> None:
    """Make `to` what has become of a file that was opened with the time 1."""
    if to is Change.SHRUNK:
        os.ftruncate(descriptor, len(CONTENT) - 1)
    else:
        os.ftruncate(descriptor, len(CONTENT) + (to is Change.APPENDED))
    os.utime(descriptor, (1, 1) if to is Change.NONE else (2, 2))


@pytest.mark.parametrize("reading", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize("to", Change)
def test_what_a_reading_is_worth_is_what_the_table_says(
    digests: Digests, threads: Threads, files: Files, to: Change, reading: int
) -> None:
    descriptor, _ = files.open(flags=os.O_RDWR)
    change(descriptor, Change.NONE)
    opened = os.fstat(descriptor)
    outcome = _outcome(digests.digest(descriptor, opened))
    if reading:
        change(descriptor, Change.REWRITTEN)
        threads.run()
        assert outcome == []
    change(descriptor, to)
    assert find_change((0, 0, len(CONTENT), opened.st_mtime_ns, 0), os.fstat(descriptor)) is to
    threads.run()
    assert (
        outcome
        == {
            Verdict.VALID: [_sha256(CONTENT)],
            Verdict.READ_AGAIN: [],
            Verdict.COMPARE: [_sha256(CONTENT)],
            Verdict.CHANGED: [FileChanged],
        }[VERDICTS[to][reading]]
    )
    threads.run_all()


@pytest.mark.parametrize("to", [Change.NONE, Change.APPENDED])
def test_two_readings_that_differ_are_those_of_a_file_that_changed(
    digests: Digests, threads: Threads, files: Files, to: Change
) -> None:
    descriptor, _ = files.open(flags=os.O_RDWR)
    change(descriptor, Change.NONE)
    outcome = _outcome(digests.digest(descriptor, os.fstat(descriptor)))
    change(descriptor, Change.REWRITTEN)
    threads.run()
    os.pwrite(descriptor, b"J", 0)
    change(descriptor, to)
    threads.run()
    assert VERDICTS[to][1] is Verdict.COMPARE
    assert outcome == [FileChanged]
