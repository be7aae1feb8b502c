"""Digests beyond the end of a server: known again at the next start, unless the file might be another by then."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, LogLevel, globalLogPublisher

from chatfile.digests import Digests, KnownDigests, keeper
from chatfile.digests.keeper import DigestKeeper
from chatfile.digests.store import NAME, DigestStore
from chatfile.digests.versions import MIN_AGE
from tests.support.transports import Threads

LONG_AFTER = 3600.0


class HandWorker:
    """A worker whose tasks wait until they are carried out by hand."""

    def __init__(self) -> None:
        self.tasks: list[Callable[[], None]] = []

    def do(self, task: Callable[[], None]) -> None:
        self.tasks.append(task)

    def quit(self) -> None:
        pass

    def work(self) -> None:
        while self.tasks:
            self.tasks.pop(0)()


def here(call: Callable[..., object], *arguments: object, **named: object) -> None:
    call(*arguments, **named)


class Life:
    """One run of a server, as far as digests go."""

    def __init__(self, home: Path, age: float = LONG_AFTER) -> None:
        self.home = home
        self.age = age
        self.threads = Threads()
        self.worker = HandWorker()
        self.known = KnownDigests()
        self.digests = Digests(lambda: self.threads, self.now, known=self.known)
        self.keeper = DigestKeeper(str(home / "state"), self.known, here)
        self.keeper.start(lambda: self.worker)

    def now(self) -> float:
        return max(path.stat().st_ctime for path in self.home.iterdir()) + self.age

    def hash(self, name: str) -> tuple[str, bool]:
        """The digest of a file, and whether it was known."""
        descriptor = os.open(self.home / name, os.O_RDONLY)
        try:
            asked: list[str] = []
            self.digests.digest(descriptor, os.fstat(descriptor)).addCallback(asked.append)
            was_known = bool(asked)
            self.threads.run_all()
        finally:
            os.close(descriptor)
        return asked[0], was_known

    def end(self) -> None:
        closed = self.keeper.close()
        self.worker.work()
        assert closed.called

    def __enter__(self) -> Life:
        self.worker.work()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DigestKeeper, "SECONDS", 0)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    (tmp_path / "a").write_bytes(b"content")
    return tmp_path


@pytest.fixture
def told() -> Iterator[list[LogLevel]]:
    """The levels of what the log is told of the store."""
    levels: list[LogLevel] = []

    def observe(event: LogEvent) -> None:
        if event.get("event") == "state":
            levels.append(event["log_level"])

    globalLogPublisher.addObserver(observe)
    yield levels
    globalLogPublisher.removeObserver(observe)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


A = sha256(b"content")


def kept(home: Path, name: str = "a") -> bool:
    """Whether the next server knows the digest, which is right in any case."""
    with Life(home) as life:
        digest, known = life.hash(name)
    assert digest == sha256((home / name).read_bytes())
    return known


def test_a_digest_survives_a_restart(home: Path) -> None:
    assert [kept(home) for _ in range(3)] == [False, True, True]


def test_it_survives_the_moving_of_lines(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DigestStore, "LEAST", 1)
    with Life(home) as life:
        life.hash("a")
        for content in (b"1", b"12", b"123", b"1234"):
            (home / "b").write_bytes(content)
            life.hash("b")
            life.worker.work()
    assert len((home / "state" / NAME).read_bytes().splitlines()) == 2
    assert kept(home)
    assert kept(home, "b")


def test_it_survives_a_server_that_is_killed_soon_after(home: Path) -> None:
    with Life(home) as life:
        life.hash("a")
        life.worker.work()
        text = (home / "state" / NAME).read_bytes()
    (home / "state" / NAME).write_bytes(text)
    assert kept(home)


def test_a_file_that_was_renamed_keeps_its_digest(home: Path) -> None:
    assert not kept(home)
    (home / "a").rename(home / "b")
    assert not kept(home, "b"), "the system counts that as a change"
    assert kept(home, "b")


def test_a_file_that_was_rewritten_with_its_time_put_back_is_another(home: Path) -> None:
    assert not kept(home)
    before = (home / "a").stat()
    (home / "a").write_bytes(b"CONTENT")
    os.utime(home / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    after = (home / "a").stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    assert not kept(home)
    assert kept(home)


@pytest.mark.parametrize("age", [MIN_AGE - 0.5, 0, -5])
def test_nothing_is_kept_of_a_file_that_changed_just_now_or_where_the_clock_was_set_back(
    home: Path, age: float
) -> None:
    with Life(home, age) as life:
        assert life.hash("a") == (A, False)
    assert not kept(home)


def test_a_clock_that_was_set_back_at_the_restart_makes_nothing_known(home: Path) -> None:
    assert not kept(home)
    with Life(home, age=-5) as life:
        assert life.hash("a") == (A, False)


def test_a_file_of_a_file_system_that_counts_in_seconds_is_not_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "is_recordable", lambda _: False)
    assert [kept(home) for _ in range(2)] == [False, False]


def test_digests_are_written_in_groups(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []
    really = DigestStore.append

    def append(store: DigestStore, digests: list[Any]) -> None:
        groups.append(len(digests))
        really(store, digests)

    monkeypatch.setattr(DigestStore, "append", append)
    names = [f"{n}" for n in range(20)]
    for name in names:
        (home / name).write_bytes(name.encode())
    with Life(home) as life:
        for name in names:
            life.hash(name)
        assert (groups, len(life.worker.tasks)) == ([], 1)
        life.worker.work()
        assert groups == [20]
    with Life(home) as life:
        assert all(life.hash(name) == (sha256(name.encode()), True) for name in names)


def test_nothing_is_written_by_the_reactor(home: Path) -> None:
    life = Life(home)
    assert not (home / "state" / NAME).exists()
    with life:
        before = (home / "state" / NAME).read_bytes()
        life.hash("a")
        closed = life.keeper.close()
        assert (home / "state" / NAME).read_bytes() == before
        assert not closed.called
        life.worker.work()
    assert closed.called


def test_a_file_that_has_changed_since_takes_one_place(home: Path) -> None:
    assert not kept(home)
    (home / "a").write_bytes(b"CONTENT")
    with Life(home) as life:
        assert len(life.known) == 1
        life.hash("a")
        assert len(life.known) == 1


def test_what_is_known_stays_in_a_store_that_has_got_rid_of_what_is_stale(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DigestStore, "LEAST", 3)
    (home / "before").write_bytes(b"before")
    (home / "now").write_bytes(b"now")
    assert not kept(home, "before")
    with Life(home) as life:
        life.hash("now")
        for n in range(8):
            (home / "a").write_bytes(b"%d" % n)
            life.hash("a")
            life.worker.work()
    assert len((home / "state" / NAME).read_bytes().split()) < 8 * 6
    assert all(kept(home, name) for name in ("before", "now", "a"))


def test_a_second_server_goes_on_without_it_and_says_so(home: Path, told: list[LogLevel]) -> None:
    with Life(home) as first:
        assert told == [LogLevel.info]
        with Life(home) as second:
            assert told == [LogLevel.info, LogLevel.warn]
            assert second.hash("a") == (A, False)
            assert second.hash("a") == (A, True)
        assert first.hash("a") == (A, False)
    assert kept(home)


@pytest.mark.parametrize("damage", [b"", b"\0" * 300, b"1 2 3\n" * 50])
def test_a_damaged_store_costs_time_only(home: Path, damage: bytes) -> None:
    assert not kept(home)
    (home / "state" / NAME).write_bytes(damage)
    assert [kept(home) for _ in range(2)] == [False, True]


def test_a_store_that_is_gone_costs_time_only(home: Path, told: list[LogLevel]) -> None:
    (home / "state").rmdir()
    assert not kept(home)
    assert told == [LogLevel.warn]


def test_a_full_disk_is_told_once_and_the_next_digest_is_tried_again(
    home: Path, told: list[LogLevel], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    for name in "bcde":
        (home / name).write_bytes(name.encode())
    with Life(home) as life:
        for failing, name in enumerate(("ab", "d"), 1):
            with monkeypatch.context() as patch:
                patch.setattr(os, "pwrite", refuse)
                for each in name:
                    life.hash(each)
                    life.worker.work()
            assert told == [LogLevel.info] + [LogLevel.warn] * failing
            life.hash("c" if failing == 1 else "e")
            life.worker.work()
    assert [kept(home, name) for name in "abcde"] == [False, False, True, False, True]


def test_without_a_thread_it_goes_on_without(home: Path, told: list[LogLevel]) -> None:
    def none() -> HandWorker:
        raise RuntimeError

    life = Life(home)
    life.keeper.start(none)
    assert (told, life.keeper.is_read.is_set()) == ([LogLevel.warn], True)
    ended: Deferred[None] = DigestKeeper(str(home), life.known, here).close()
    assert ended.called
    life.end()
