"""Hashing ahead: of what is not known yet, while no client waits, at the lowest priority."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatfile.digests import Digests, KnownDigests
from chatfile.prehash import Prehash, use_lowest_priority
from chatfile.repository import Repository
from tests.support.processes import wait_until
from tests.support.serving import Server
from tests.support.transports import FullTransport, Threads, at_once

HOUR = 3600.0
FILES = {f"file {n}": bytes([n]) * (n * 1000) for n in range(5)}


class Shelf:
    """A folder that is hashed ahead, and a wall clock that tells how long ago a file was changed."""

    def __init__(self, folder: Path, most: int = 100) -> None:
        self.folder = folder
        self.age = HOUR
        self.busy: Iterator[bool] = iter(())
        self.digests = Digests(lambda: at_once, self.now, known=KnownDigests(most))
        self.told: list[tuple[int, int]] = []
        self.prehash = Prehash(
            self.digests, Repository(str(folder)), is_busy=lambda: next(self.busy, False), in_reactor=self._tell
        )
        for name, content in FILES.items():
            (folder / name).write_bytes(content)

    def _tell(self, _: object, *text: str, files: int, size: int, **more: object) -> None:
        self.told.append((files, size))

    def now(self) -> float:
        return max((path.stat().st_ctime for path in self.folder.iterdir()), default=0.0) + self.age

    def known(self) -> set[str]:
        """The names of the files whose digest is known; they are right."""
        known = {path.name: self.digests.find(path.stat()) for path in self.folder.iterdir()}
        for name, sha256 in known.items():
            assert sha256 in (None, hashlib.sha256((self.folder / name).read_bytes()).hexdigest())
        return {name for name, sha256 in known.items() if sha256 is not None}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


class Reads:
    """The bytes that were read."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._really = os.preadv
        patch.setattr(os, "preadv", self._read)

    def _read(self, descriptor: int, buffers: Any, offset: int, *flags: int) -> int:
        count = self._really(descriptor, buffers, offset, *flags)
        self.count += count
        return count


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


def test_every_file_is_hashed_once(shelf: Shelf, reads: Reads) -> None:
    for _ in range(3):
        shelf.prehash.go_through()
        assert shelf.known() == {*FILES}
        assert reads.count == sum(map(len, FILES.values()))
    assert shelf.told == [(len(FILES), reads.count)]


def test_files_in_subfolders_are_hashed_where_they_are_served(tmp_path: Path, reads: Reads) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_bytes(b"deep")
    for is_recursive, count in ((False, 0), (True, len(b"deep"))):
        digests = Digests(lambda: at_once, lambda: (tmp_path / "a/b/c").stat().st_ctime + HOUR)
        repository = Repository(str(tmp_path), is_recursive=is_recursive)
        Prehash(digests, repository, is_busy=lambda: False, in_reactor=lambda *_, **__: None).go_through()
        assert reads.count == count


def test_what_is_new_or_has_changed_is_hashed_the_next_time(shelf: Shelf, reads: Reads) -> None:
    shelf.prehash.go_through()
    reads.count = 0
    (shelf.folder / "file 1").write_bytes(b"another")
    (shelf.folder / "new").write_bytes(b"new")
    shelf.prehash.go_through()
    assert shelf.known() == {*FILES, "new"}
    assert reads.count == len(b"another") + len(b"new")


def test_a_file_that_is_being_written_is_left_alone(shelf: Shelf, reads: Reads) -> None:
    shelf.age = Prehash.MIN_AGE - 1
    shelf.prehash.go_through()
    assert (shelf.known(), reads.count) == (set(), 0)
    shelf.age = Prehash.MIN_AGE + 3
    shelf.prehash.go_through()
    assert shelf.known() == {*FILES}


def test_no_more_files_are_hashed_than_digests_are_kept(tmp_path: Path, reads: Reads) -> None:
    shelf = Shelf(tmp_path, most=3)
    for _ in range(3):
        shelf.prehash.go_through()
        assert shelf.known() == {"file 0", "file 1", "file 2"}
    assert reads.count == 3000


def test_a_file_that_cannot_be_read_is_not_read_again_and_again(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def fail(descriptor: int, *_: object) -> int:
        tried.append(descriptor)
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "preadv", fail)
        for _ in range(3):
            shelf.prehash.go_through()
    assert len(tried) == 4, "one is empty"
    (shelf.folder / "file 1").write_bytes(b"mended")
    shelf.prehash.go_through()
    assert shelf.known() == {"file 0", "file 1"}


def test_what_is_no_file_and_a_folder_that_is_gone_are_no_trouble(shelf: Shelf, tmp_path: Path) -> None:
    (shelf.folder / "folder").mkdir()
    (shelf.folder / "link").symlink_to("file 1")
    os.mkfifo(shelf.folder / "fifo")
    shelf.prehash.go_through()
    assert shelf.digests.find((shelf.folder / "file 4").stat())
    Prehash(shelf.digests, Repository(str(tmp_path / "missing")), is_busy=bool, in_reactor=print).go_through()


@pytest.fixture
def in_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Prehash, "CHUNK", 100)
    monkeypatch.setattr(Prehash, "PAUSE", 0)


@pytest.mark.usefixtures("in_small_pieces")
def test_it_stands_still_while_a_client_waits_and_goes_on_where_it_was(shelf: Shelf, reads: Reads) -> None:
    seen: list[int] = []

    def busy() -> Iterator[bool]:
        yield from [False] * 30
        for _ in range(10):
            seen.append(reads.count)
            yield True

    shelf.busy = busy()
    shelf.prehash.go_through()
    assert len(set(seen)) == 1
    assert 0 < seen[0] < sum(map(len, FILES.values()))
    assert (shelf.known(), reads.count) == ({*FILES}, sum(map(len, FILES.values())))


@pytest.mark.usefixtures("in_small_pieces")
@pytest.mark.parametrize("what", ["changed", "hashed for the client"])
def test_what_happens_to_a_file_meanwhile_is_heeded(shelf: Shelf, reads: Reads, what: str) -> None:
    """The files before it have 6000 bytes, and are read by 60 calls."""

    def busy() -> Iterator[bool]:
        while reads.count < 8000:
            yield False
        path = shelf.folder / "file 4"
        if what == "changed":
            path.write_bytes(b"!" * 4000)
        else:
            status, sha256 = path.stat(), hashlib.sha256(path.read_bytes()).hexdigest()
            assert shelf.digests.remember(shelf.digests.begin(status), status, sha256)
        yield True

    shelf.busy = busy()
    shelf.prehash.go_through()
    assert reads.count == 8000
    assert ("file 4" in shelf.known()) is (what != "changed")


@pytest.mark.usefixtures("in_small_pieces")
def test_it_ends_in_the_middle_of_a_file_and_while_it_stands_still(shelf: Shelf, reads: Reads) -> None:
    def busy(stands_still: bool) -> Iterator[bool]:
        yield from [False] * 40
        shelf.prehash.stop()
        yield stands_still

    for stands_still in (False, True):
        shelf.busy = busy(stands_still)
        shelf.prehash.go_through()
        assert reads.count < 5000


def test_no_file_is_opened_when_it_has_ended(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy() -> Iterator[bool]:
        shelf.prehash.stop()
        yield True

    shelf.busy = busy()
    monkeypatch.setattr(Repository, "open", None)
    shelf.prehash.go_through()


def test_the_thread_begins_when_it_may_and_ends_when_it_is_told_to(shelf: Shelf) -> None:
    others, ready = set(threading.enumerate()), threading.Event()
    shelf.prehash.start(ready)
    (thread,) = set(threading.enumerate()) - others
    assert (thread.daemon, shelf.known()) == (True, set())
    ready.set()
    wait_until(lambda: shelf.known() == {*FILES})
    shelf.prehash.stop()
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="the system has no such priority")
def test_only_the_thread_itself_gets_the_lowest_priority() -> None:
    policies: list[int] = []

    def look() -> None:
        use_lowest_priority()
        policies.append(os.sched_getscheduler(0))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert policies == [os.SCHED_IDLE]
    assert os.sched_getscheduler(0) != os.SCHED_IDLE


def test_a_system_that_does_not_allow_it_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse, raising=False)
    use_lowest_priority()


@pytest.mark.parametrize("request_", [b"get a", b"hash a", b"list"])
def test_a_client_waits_from_its_request_to_the_end_of_the_response(tmp_path: Path, request_: bytes) -> None:
    threads = Threads()
    server = Server(tmp_path, in_thread=threads)
    server.put("a", bytes(100_000))
    peer = server.greeted()
    peer.sends(request_ + b"\n")
    assert server.factory.is_responding()
    threads.run_all()
    assert not server.factory.is_responding()


@pytest.mark.parametrize("how", ["reads on", "goes"])
def test_a_client_that_reads_slowly_waits_as_well(tmp_path: Path, how: str) -> None:
    server = Server(tmp_path)
    server.put("a", bytes(1_000_000))
    transport = FullTransport(high_water=100_000)
    peer = server.greeted(transport)
    peer.sends(b"get a\n")
    assert server.factory.is_responding()
    if how == "goes":
        peer.vanishes()
    while transport.drain():
        pass
    assert not server.factory.is_responding()
