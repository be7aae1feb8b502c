"""Downloads of many files: the same results as of one after the other, with few calls, whatever is there or breaks."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from chatfile import errors, wire
from chatfile.downloads import Download, DownloadAhead, Stage, Step, ahead
from chatfile.downloads.ahead import SMALL
from chatfile.downloads.batches import Batches
from chatfile.partfile import Saved, together
from tests.support.lacking import folding, refuse, see_names
from tests.support.linked import Link, names, outcome
from tests.support.serving import OLD, Server
from tests.support.transports import Threads, at_once, turn_over

COUNT = 50
NAMES = [f"f{number:02}" for number in range(COUNT)]


def content(name: str) -> bytes:
    return name.encode() * 100


@pytest.fixture
def server(tmp_path: Path) -> Server:
    (tmp_path / "served").mkdir()
    server = Server(tmp_path / "served", limit=100)
    for name in NAMES:
        server.put(name, content(name))
    return server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "downloads"


class Fetching:
    """A run of downloads over a link, which can be replaced, and what came of each file."""

    def __init__(self, server: Server, folder: Path, rows: list[wire.FileRow] | None = None, **options: Any) -> None:
        self.server = server
        self.folder = folder
        self.link = Link(server, folder)
        self.rows = rows if rows is not None else rows_of(server)
        options.setdefault("in_thread", at_once)
        self.ahead = DownloadAhead(self.rows, str(folder), **options)
        self.stages: list[Stage] = []
        self.bytes = 0

    def get(self, number: int) -> Any:
        """The download of that number, or its error."""
        getting = Deferred.fromCoroutine(
            self.ahead.download(self.link.client, number, progress=self._count, stage=self.stages.append)
        )
        self.carry()
        return outcome(getting)

    def get_all(self) -> dict[str, Any]:
        return {row.name: self.get(number) for number, row in enumerate(self.rows)}

    def carry(self) -> None:
        for _ in range(3):
            self.link.carry()
            turn_over(self.server.clock)

    def _count(self, count: int) -> None:
        self.bytes += count


def rows_of(server: Server) -> list[wire.FileRow]:
    link = Link(server, server.folder)
    listing = link.client.listing()
    link.carry()
    return list(outcome(listing))


def are_whole(results: dict[str, Any], folder: Path, expected: list[str] = NAMES) -> bool:
    assert names(folder) == expected
    for name in expected:
        assert (folder / name).read_bytes() == content(name), name
        assert (folder / name).stat().st_mtime == OLD, name
    return all(isinstance(result, Download) and result.verified for result in results.values())


# --- what comes ---


def test_small_files_are_whole_verified_and_have_their_times(server: Server, folder: Path) -> None:
    fetching = Fetching(server, folder)
    results = fetching.get_all()
    assert are_whole(results, folder)
    assert [result.name for result in results.values()] == NAMES
    assert fetching.bytes == sum(len(content(name)) for name in NAMES)


def test_requests_are_sent_before_the_replies_to_those_before_have_come(server: Server, folder: Path) -> None:
    fetching = Fetching(server, folder)
    fetching.link.cut_after = 0
    Deferred.fromCoroutine(fetching.ahead.download(fetching.link.client, 0)).addErrback(lambda _: None)
    fetching.carry()
    assert len(fetching.link.requests) == 1 + DownloadAhead.REQUESTS


def test_files_take_less_than_one_call_in_a_thread_each(server: Server, folder: Path) -> None:
    threads = Threads()
    fetching = Fetching(server, folder, in_thread=threads)
    results: list[Download] = []

    async def get_all() -> None:
        results.extend([await fetching.ahead.download(fetching.link.client, number) for number in range(COUNT)])

    Deferred.fromCoroutine(get_all())
    calls = 0
    while len(results) < COUNT:
        calls += threads.run()
        fetching.carry()
    assert calls <= COUNT / Batches.MOST + DownloadAhead.REQUESTS / 4
    assert calls < COUNT / 2


def test_bytes_that_are_ahead_are_bounded(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DownloadAhead, "BYTES", 3 * len(content("f00")))
    fetching = Fetching(server, folder)
    fetching.link.cut_after = 0
    Deferred.fromCoroutine(fetching.ahead.download(fetching.link.client, 0)).addErrback(lambda _: None)
    fetching.carry()
    assert len(fetching.link.requests) == 1 + 3
    fetching.link.go_on()
    assert are_whole(fetching.get_all(), folder)


def test_large_and_empty_files_come_among_small_ones(server: Server, folder: Path) -> None:
    server.put("f10", b"")
    server.put("f20", bytes(SMALL))
    server.put("f30", bytes(SMALL + 1))
    results = Fetching(server, folder).get_all()
    assert {name: (folder / name).stat().st_size for name in ("f10", "f20", "f30")} == {
        "f10": 0, "f20": SMALL, "f30": SMALL + 1,
    }  # fmt: skip
    assert all(result.verified for result in results.values())
    assert names(folder) == NAMES


def test_a_file_that_has_grown_beyond_small_comes_whole(server: Server, folder: Path) -> None:
    fetching = Fetching(server, folder)
    server.put("f10", bytes(SMALL * 3))
    results = fetching.get_all()
    assert results["f10"].size == SMALL * 3
    assert (folder / "f10").read_bytes() == bytes(SMALL * 3)
    assert names(folder) == NAMES


def test_a_name_that_is_not_listed_is_asked_for_by_itself(server: Server, folder: Path) -> None:
    rows = [wire.FileRow(-1, 0, name) for name in ("f00", "missing", "f01")]
    results = Fetching(server, folder, rows).get_all()
    assert isinstance(results.pop("missing"), errors.NoSuchFile)
    assert are_whole(results, folder, ["f00", "f01"])


def test_an_error_of_one_file_does_not_disturb_those_behind_it(server: Server, folder: Path) -> None:
    fetching = Fetching(server, folder)
    (server.folder / "f07").unlink()
    (server.folder / "f08").unlink()
    results = fetching.get_all()
    assert isinstance(results.pop("f07"), errors.NoSuchFile)
    assert isinstance(results.pop("f08"), errors.NoSuchFile)
    assert are_whole(results, folder, [name for name in NAMES if name not in ("f07", "f08")])


def test_what_arrives_damaged_is_not_saved(server: Server, folder: Path) -> None:
    fetching = Fetching(server, folder)
    fetching.link.altered = lambda data: data.replace(b"f05f05", b"f05x05")
    results = fetching.get_all()
    assert isinstance(results.pop("f05"), errors.DigestMismatch)
    assert are_whole(results, folder, [name for name in NAMES if name != "f05"])


def test_a_server_that_does_not_hash_is_believed_and_that_is_said(tmp_path: Path, folder: Path) -> None:
    server = Server(tmp_path, hashing=False)
    server.put("a", b"a")
    server.put("b", b"b")
    results = Fetching(server, folder).get_all()
    assert [(result.verified, result.sha256) for result in results.values()] == [(False, None)] * 2


# --- what is there already ---


def test_files_of_the_same_size_and_time_are_not_asked_for(server: Server, folder: Path) -> None:
    Fetching(server, folder).get_all()
    again = Fetching(server, folder)
    results = again.get_all()
    assert all(result.already and not result.verified for result in results.values())
    assert len(again.link.requests) == 1  # its name
    assert again.bytes == 0


@pytest.mark.parametrize("by_digest", [True, False])
def test_another_time_or_the_wish_has_digests_compared_ahead(server: Server, folder: Path, by_digest: bool) -> None:
    Fetching(server, folder).get_all()
    if not by_digest:
        for name in NAMES:
            os.utime(folder / name, (1, 1))
    again = Fetching(server, folder, by_digest=by_digest)
    again.link.cut_after = 0
    Deferred.fromCoroutine(again.ahead.download(again.link.client, 0)).addErrback(lambda _: None)
    again.carry()
    assert again.link.requests[1:] == [b"hash " + name.encode() for name in NAMES[: DownloadAhead.REQUESTS]]
    again.link.go_on()
    results = again.get_all()
    assert all(result.already and result.verified for result in results.values())


@pytest.mark.parametrize("force", [False, True])
def test_another_content_stays_or_is_replaced(server: Server, folder: Path, force: bool) -> None:
    Fetching(server, folder).get_all()
    (folder / "f03").write_bytes(content("f03")[::-1])
    (folder / "f04").write_bytes(b"shorter")
    results = Fetching(server, folder, force=lambda _: force).get_all()
    if force:
        assert results["f03"].verified
        assert results["f04"].verified
        assert (folder / "f03").read_bytes() == content("f03")
    else:
        assert [type(results[name]) for name in ("f03", "f04")] == [errors.TargetExists] * 2
        assert ((folder / "f03").read_bytes(), (folder / "f04").read_bytes()) == (content("f03")[::-1], b"shorter")


def _put_link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


@pytest.mark.parametrize("put", [_put_link, Path.mkdir, os.mkfifo], ids=["link", "folder", "FIFO"])
def test_what_is_no_file_stays(server: Server, folder: Path, put: Callable[[Path], object]) -> None:
    folder.mkdir()
    put(folder / "f05")
    before = os.lstat(folder / "f05")
    results = Fetching(server, folder, force=lambda _: True).get_all()
    assert isinstance(results["f05"], errors.LocalFileError)
    assert os.lstat(folder / "f05") == before


def test_what_appears_meanwhile_is_never_replaced(server: Server, folder: Path) -> None:
    threads = Threads()
    fetching = Fetching(server, folder, in_thread=threads)
    getting = Deferred.fromCoroutine(fetching.ahead.download(fetching.link.client, 0))
    threads.run()  # looks for all
    folder.mkdir()
    (folder / "f00").write_bytes(b"mine")
    while not getting.called:
        fetching.carry()
        threads.run()
    assert isinstance(outcome(getting), errors.TargetExists)
    assert (folder / "f00").read_bytes() == b"mine"


def test_a_part_file_is_resumed(server: Server, folder: Path) -> None:
    server.put("f05", bytes(range(256)) * 40)
    link = Link(server, folder)
    link.cut_after = 100 + len("FILE 10240 2017-07-14T02:40:00Z f05\n")
    getting = link.get("f05")
    link.cut()
    assert isinstance(outcome(getting), errors.ServerClosed)
    results = Fetching(server, folder).get_all()
    assert results["f05"].resumed_from == 100
    assert names(folder) == NAMES


# --- a connection that breaks ---


@pytest.mark.parametrize("after", [0, 1, 40, 200, 341, 342, 343, 500, 5000, 10_000])
def test_nothing_that_came_is_asked_for_again(server: Server, folder: Path, after: int) -> None:
    fetching = Fetching(server, folder)
    fetching.link.cut_after = after
    results: dict[str, Any] = {}
    number = 0
    while number < COUNT:
        getting = Deferred.fromCoroutine(fetching.ahead.download(fetching.link.client, number))
        fetching.carry()
        if not getting.called:
            fetching.link.cut()
            fetching.carry()
        result = outcome(getting)
        if isinstance(result, errors.ServerClosed):
            done = len(names(folder)) if folder.exists() else 0
            fetching.link = Link(server, folder)
            assert done <= COUNT
            continue
        results[NAMES[number]] = result
        number += 1
    assert are_whole(results, folder)
    asked = [line for line in fetching.link.requests if line.startswith((b"get ", b"resume "))]
    assert len(asked) == len(set(asked))


def test_what_came_before_the_break_is_kept_in_a_part_file_and_resumed(server: Server, folder: Path) -> None:
    fetching = Fetching(server, folder)
    fetching.link.cut_after = len("FILE 300 2017-07-14T02:40:00Z f00\n") + 123
    getting = Deferred.fromCoroutine(
        fetching.ahead.download(fetching.link.client, 0, progress=fetching._count, stage=fetching.stages.append)
    )
    fetching.carry()
    fetching.link.cut()
    assert isinstance(outcome(getting), errors.TransferBroken)
    assert (fetching.bytes, fetching.stages) == (123, [Stage(Step.RECEIVING, 0, 300)])
    assert (folder / ".f00.part").read_bytes() == content("f00")[:123]
    fetching.link = Link(server, folder)
    results = fetching.get_all()
    assert results["f00"].resumed_from == 123
    assert are_whole(results, folder)


def test_a_break_is_told_for_one_file_only(server: Server, folder: Path) -> None:
    fetching = Fetching(server, folder)
    fetching.link.cut_after = 0
    getting = Deferred.fromCoroutine(fetching.ahead.download(fetching.link.client, 0))
    fetching.carry()
    fetching.link.cut()
    assert isinstance(outcome(getting), errors.ServerClosed)
    assert not any(fetching.ahead.has_result(number) for number in range(1, COUNT))


@pytest.mark.parametrize("requests", [2, COUNT])
def test_files_that_a_goodbye_came_before_are_not_waited_for(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, requests: int
) -> None:
    """Whether they were asked for already or not; the connection is there for some time yet."""
    monkeypatch.setattr(DownloadAhead, "REQUESTS", requests)
    fetching = Fetching(server, folder)
    fetching.link.altered = lambda data: data and b"ERROR shutdown The server is going down.\n"
    assert isinstance(fetching.get(0), errors.Shutdown)
    next_one = Deferred.fromCoroutine(fetching.ahead.download(fetching.link.client, 1))
    fetching.link.cut()
    assert isinstance(outcome(next_one), errors.Shutdown)


def test_an_end_drops_what_was_asked_for(server: Server, folder: Path) -> None:
    fetching = Fetching(server, folder)
    fetching.link.cut_after = 0
    getting = Deferred.fromCoroutine(fetching.ahead.download(fetching.link.client, 0))
    fetching.carry()
    getting.addErrback(lambda _: None)
    getting.cancel()
    fetching.ahead.close()
    assert fetching.link.client.is_dropping
    fetching.link.go_on()
    fetching.carry()
    assert not folder.exists()


# --- disks that lack something, or fail ---


@pytest.mark.parametrize(
    "number", [errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT], ids=errno.errorcode.get
)
def test_where_there_are_no_files_without_names_part_files_do(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    really = os.open

    def refuse_unnamed(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(number, os.strerror(number))
        return really(path, flags, *arguments, **named)

    monkeypatch.setattr(os, "open", refuse_unnamed)
    assert are_whole(Fetching(server, folder).get_all(), folder)


def test_a_system_that_has_none_at_all_goes_by_part_files(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "_UNNAMED", 0)
    assert are_whole(Fetching(server, folder).get_all(), folder)


def test_no_name_appears_before_all_of_its_call_are_synced(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_sync, really_link, calls = os.fsync, os.link, []

    def sync(descriptor: int) -> None:
        calls.append(("sync", os.fstat(descriptor).st_ino))
        really_sync(descriptor)

    def link(source: str, name: str, **named: Any) -> None:
        calls.append(("link", os.stat(source).st_ino))
        really_link(source, name, **named)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "link", link)
    Fetching(server, folder).get_all()
    synced: set[int] = set()
    for call, inode in calls:
        assert call == "sync" or inode in synced
        synced.add(inode)
    assert len(synced) == COUNT


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_disk_that_is_full_or_broken_is_told_and_leaves_nothing_partial(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    with monkeypatch.context() as patched:
        refuse(patched, os, call, errno.EIO)
        results = Fetching(server, folder).get_all()
    assert {type(result) for result in results.values()} <= {errors.LocalFileError}
    assert all(name.startswith(".") for name in names(folder))


def test_a_folder_that_can_not_be_made_is_told_for_each_file(server: Server, folder: Path) -> None:
    folder.write_bytes(b"no folder")
    results = Fetching(server, folder).get_all()
    assert {type(result) for result in results.values()} == {errors.LocalFileError}


def fail_with_a_defect(*_: object, **__: object) -> None:
    raise TypeError("a defect")


@pytest.mark.parametrize("call", ["look_for", "save_together"])
def test_a_defect_costs_files_their_places_among_others_and_is_in_the_log(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, logged_errors: list[str], call: str
) -> None:
    monkeypatch.setattr(ahead, call, fail_with_a_defect)
    assert are_whole(Fetching(server, folder).get_all(), folder)
    assert logged_errors
    logged_errors.clear()


def test_a_defect_amid_the_keeping_of_what_came_is_in_the_log(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, logged_errors: list[str]
) -> None:
    monkeypatch.setattr(ahead, "keep_begun", fail_with_a_defect)
    fetching = Fetching(server, folder)
    fetching.link.cut_after = len("FILE 300 2017-07-14T02:40:00Z f00\n") + 123
    getting = Deferred.fromCoroutine(fetching.ahead.download(fetching.link.client, 0))
    fetching.carry()
    fetching.link.cut()
    assert isinstance(outcome(getting), errors.TransferBroken)
    assert logged_errors
    logged_errors.clear()


def test_two_names_that_are_one_here_are_never_saved_over_each_other(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(tmp_path, limit=100)
    for name in ("A", "a", "b"):
        server.put(name, name.encode())
    rows = rows_of(server)
    see_names(monkeypatch, folding(str.lower))
    folder.mkdir(exist_ok=True)
    results = Fetching(server, folder, rows, saved=Saved(), force=lambda _: True).get_all()
    assert isinstance(results["a"], errors.NameTaken)
    assert (folder / "A").read_bytes() == b"A"
