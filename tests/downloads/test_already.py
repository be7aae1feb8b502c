"""A file that is there before its download: not sent again if it is the same, never lost if it is not."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from chatfile import errors
from chatfile.downloads import Download, Stage, Step, download
from tests.support.lacking import refuse
from tests.support.linked import CONTENT, Link, interrupted_after, names, outcome, serving_a
from tests.support.serving import OLD, Server
from tests.support.transports import Threads

SIZE = len(CONTENT)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return serving_a(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "downloads"
    folder.mkdir()
    return folder


@pytest.fixture
def link(server: Server, folder: Path) -> Link:
    return Link(server, folder)


@pytest.mark.parametrize("force", [False, True])
def test_what_is_there_and_the_same_is_not_sent_again(link: Link, folder: Path, force: bool) -> None:
    first = outcome(link.get())
    del link.requests[:]
    again = outcome(link.get(force=force))
    assert again == Download("a", str(folder / "a"), SIZE, first.sha256, True, 0, already=True)
    assert link.requests == [b"list", b"hash a"]


def test_what_is_there_keeps_its_time(link: Link, folder: Path) -> None:
    (folder / "a").write_bytes(CONTENT)
    os.utime(folder / "a", (5, 5))
    assert outcome(link.get()).already
    assert (folder / "a").stat().st_mtime == 5


def test_who_knows_the_size_need_not_ask_for_it(link: Link, folder: Path) -> None:
    (folder / "a").write_bytes(CONTENT)
    assert outcome(link.get(listed_size=SIZE)).already
    assert link.requests == [b"Client01", b"hash a"]


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT + b"x"])
def test_for_another_size_nothing_is_hashed(link: Link, folder: Path, content: bytes) -> None:
    (folder / "a").write_bytes(content)
    assert isinstance(outcome(link.get()), errors.TargetExists)
    assert link.requests == [b"Client01", b"list"]
    assert (folder / "a").read_bytes() == content


def test_another_content_of_the_same_size_stays(link: Link, folder: Path) -> None:
    (folder / "a").write_bytes(CONTENT[::-1])
    assert isinstance(outcome(link.get()), errors.TargetExists)
    assert (folder / "a").read_bytes() == CONTENT[::-1]


def test_force_replaces_another_content_of_the_same_size(link: Link, folder: Path) -> None:
    (folder / "a").write_bytes(CONTENT[::-1])
    saved = outcome(link.get(force=True))
    assert (saved.already, saved.verified) == (False, True)
    assert ((folder / "a").read_bytes(), (folder / "a").stat().st_mtime) == (CONTENT, OLD)


def test_a_listing_that_is_out_of_date_proves_nothing(link: Link, folder: Path) -> None:
    (folder / "a").write_bytes(CONTENT[:5])
    assert isinstance(outcome(link.get(listed_size=5)), errors.TargetExists)


def test_an_empty_file_is_there_already_too(link: Link, server: Server, folder: Path) -> None:
    server.put("empty", b"")
    (folder / "empty").touch()
    assert outcome(link.get("empty")).already


def test_it_is_found_under_the_name_that_it_is_saved_as(link: Link, folder: Path) -> None:
    (folder / "b").write_bytes(CONTENT)
    saved = outcome(link.get(save_as="b"))
    assert (saved.already, saved.path, names(folder)) == (True, str(folder / "b"), ["b"])


def test_a_server_that_does_not_hash_can_not_tell(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "served").mkdir()
    server = Server(tmp_path / "served", hashing=False)
    server.put("a", CONTENT)
    (folder / "a").write_bytes(CONTENT)
    assert isinstance(outcome(Link(server, folder).get()), errors.TargetExists)


@pytest.mark.parametrize("code", [b"no-such-file", b"unavailable", b"changed"])
def test_a_server_that_refuses_can_not_tell(link: Link, folder: Path, code: bytes) -> None:
    (folder / "a").write_bytes(CONTENT)
    link.altered = lambda data: b"ERROR %s No.\n" % code if data.startswith(b"HASH ") else data
    assert isinstance(outcome(link.get()), errors.TargetExists)


def test_a_server_that_has_no_such_file_any_more_can_not_tell(link: Link, server: Server, folder: Path) -> None:
    (folder / "a").write_bytes(CONTENT)
    (server.folder / "a").unlink()
    assert isinstance(outcome(link.get()), errors.TargetExists)


def test_a_server_that_goes_meanwhile_is_told_of(link: Link, folder: Path) -> None:
    (folder / "a").write_bytes(CONTENT)
    link.altered = lambda data: b"ERROR shutdown Bye.\n" if data.startswith(b"LIST ") else data
    assert isinstance(outcome(link.get()), errors.Shutdown)


def test_a_link_to_the_same_content_is_no_such_file(link: Link, folder: Path) -> None:
    (folder / "other").write_bytes(CONTENT)
    (folder / "a").symlink_to("other")
    assert isinstance(outcome(link.get()), errors.TargetNotRegular)


def test_what_can_not_be_read_is_left_alone(link: Link, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> int:
        raise OSError(5, "no")

    (folder / "a").write_bytes(CONTENT)
    monkeypatch.setattr(os, "preadv", fails)
    assert isinstance(outcome(link.get(listed_size=SIZE)), errors.TargetExists)


def test_a_second_name_that_an_interruption_left_goes(link: Link, folder: Path) -> None:
    (folder / "a").write_bytes(CONTENT)
    (folder / ".a.part").hardlink_to(folder / "a")
    assert outcome(link.get()).already
    assert names(folder) == ["a"]


def test_a_cancelled_comparison_leaves_nothing_open(server: Server, folder: Path) -> None:
    (folder / "a").write_bytes(CONTENT)
    before, threads = os.listdir("/proc/self/fd"), Threads()
    link = Link(server, folder)
    getting = Deferred.fromCoroutine(download(link.client, "a", str(folder), listed_size=SIZE, in_thread=threads))
    threads.run()
    link.carry()
    assert (link.requests[-1], len(threads.waiting)) == (b"hash a", 1)
    getting.cancel()
    threads.run_all()
    getting.addErrback(lambda _: None)
    assert os.listdir("/proc/self/fd") == before


def test_a_big_file_is_given_time_to_be_hashed(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "served").mkdir()
    threads = Threads()
    server = Server(tmp_path / "served", in_thread=threads)
    for path in (server.folder / "a", folder / "a"):
        path.touch()
        os.truncate(path, 4_000_000_000)
    link = Link(server, folder)
    link.get(listed_size=4_000_000_000).addErrback(lambda _: None)
    server.pass_time(200)
    assert link.requests[-1] == b"hash a"
    assert link.client.is_receiving


# --- what is told of it ---


def told(link: Link, **options: object) -> list[Stage]:
    stages: list[Stage] = []
    outcome(link.get(stage=stages.append, **options))
    return stages


def test_each_step_of_a_download_is_told(link: Link) -> None:
    assert told(link) == [Stage(Step.RECEIVING, 0, SIZE), Stage(Step.VERIFYING, SIZE, SIZE)]


def test_a_resumed_download_tells_where_it_goes_on(server: Server, folder: Path) -> None:
    interrupted_after(server, folder, 100)
    assert told(Link(server, folder)) == [
        Stage(Step.CHECKING, 0, 100),
        Stage(Step.RECEIVING, 100, SIZE),
        Stage(Step.VERIFYING, SIZE, SIZE),
    ]


def test_a_download_that_begins_anew_tells_so(server: Server, folder: Path) -> None:
    interrupted_after(server, folder, 100)
    os.utime(server.folder / "a", (time.time(), OLD + 1))
    assert told(Link(server, folder))[1:] == [Stage(Step.RECEIVING, 0, SIZE), Stage(Step.VERIFYING, SIZE, SIZE)]


def test_the_checking_of_much_tells_how_far_it_is(
    server: Server, link: Link, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatfile.fdio._SLICE", 40)
    interrupted_after(server, folder, 100)
    checked = [stage.at for stage in told(Link(server, folder)) if stage.step is Step.CHECKING]
    assert checked == [0, 40, 80]
    assert [stage.at for stage in told(Link(server, folder))] == [*range(0, SIZE, 40)]


def test_what_is_there_is_checked_and_that_is_all(link: Link, folder: Path) -> None:
    (folder / "a").write_bytes(CONTENT)
    assert told(link) == [Stage(Step.CHECKING, 0, SIZE)]


# --- what an earlier download left of it ---


def left(folder: Path, name: str = "a") -> Path:
    """A part file and its note."""
    (folder / f".{name}.part").write_bytes(CONTENT[:100])
    (folder / f".{name}.note").write_bytes(b"[%d, %d]" % (SIZE, OLD))
    return folder / f".{name}.part"


@pytest.mark.parametrize("missing", ["", ".part", ".note"])
def test_it_goes_when_the_file_came_by_another_way(link: Link, folder: Path, missing: str) -> None:
    left(folder)
    if missing:
        (folder / f".a{missing}").unlink()
    left(folder, "b")
    (folder / "a").write_bytes(CONTENT)
    assert outcome(link.get()).already
    assert names(folder) == [".b.note", ".b.part", "a"]


def test_that_of_a_name_that_was_shortened_goes_too(link: Link, server: Server, folder: Path) -> None:
    name = "n" * 255
    server.put(name, CONTENT)
    interrupted_after(server, folder, 100, name)
    (folder / name).write_bytes(CONTENT)
    assert outcome(link.get(name)).already
    assert names(folder) == [name]


def test_it_stays_while_it_is_of_use(link: Link, folder: Path) -> None:
    left(folder)
    (folder / "a").write_bytes(b"another")
    assert isinstance(outcome(link.get()), errors.TargetExists)
    assert names(folder) == [".a.note", ".a.part", "a"]
    assert outcome(link.get(force=True)).resumed_from == 100


def test_it_stays_while_another_client_is_at_it_and_that_is_not_waited_for(
    link: Link, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = refuse(monkeypatch, time, "sleep", errno.EINTR)
    with left(folder).open("rb") as part:
        fcntl.flock(part, fcntl.LOCK_EX)
        (folder / "a").write_bytes(CONTENT)
        assert outcome(link.get()).already
        assert (names(folder), waits) == ([".a.note", ".a.part", "a"], [])


def test_where_nothing_can_be_locked_it_stays(link: Link, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, fcntl, "flock", errno.ENOLCK)
    left(folder)
    (folder / "a").write_bytes(CONTENT)
    assert outcome(link.get()).already
    assert names(folder) == [".a.note", ".a.part", "a"]


@pytest.mark.parametrize("planted", ["link", "link to the file", "fifo", "folder"])
def test_what_is_no_part_file_stays(link: Link, folder: Path, planted: str) -> None:
    part = folder / ".a.part"
    (folder / "other").write_bytes(b"mine")
    {
        "link": lambda: part.symlink_to("other"),
        "link to the file": lambda: part.symlink_to("a"),
        "fifo": lambda: os.mkfifo(part),
        "folder": part.mkdir,
    }[planted]()
    (folder / "a").write_bytes(CONTENT)
    assert outcome(link.get()).already
    assert names(folder) == [".a.part", "a", "other"]
    assert (folder / "other").read_bytes() == b"mine"


def test_what_can_not_be_removed_is_no_failure(link: Link, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left(folder)
    (folder / "a").write_bytes(CONTENT)
    refuse(monkeypatch, os, "unlink", errno.EACCES)
    assert outcome(link.get()).already


# --- another client that is faster ---


def put_amid(link: Link, folder: Path, content: bytes) -> None:
    """Let the file appear while it is sent."""
    link.altered = lambda data: (folder / "a").write_bytes(content) and data


@pytest.mark.parametrize("hashing", [True, False])
def test_who_comes_second_with_the_same_has_it_already(tmp_path: Path, folder: Path, hashing: bool) -> None:
    (tmp_path / "served").mkdir()
    server = Server(tmp_path / "served", hashing=hashing)
    server.put("a", CONTENT)
    link = Link(server, folder)
    put_amid(link, folder, CONTENT)
    saved = outcome(link.get())
    assert (saved.already, saved.verified, saved.size) == (True, hashing, SIZE)
    assert (names(folder), (folder / "a").read_bytes()) == (["a"], CONTENT)


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT[::-1], CONTENT + b"x"])
@pytest.mark.parametrize("hashing", [True, False])
def test_with_another_it_fails_and_keeps_its_own(tmp_path: Path, folder: Path, content: bytes, hashing: bool) -> None:
    (tmp_path / "served").mkdir()
    server = Server(tmp_path / "served", hashing=hashing)
    server.put("a", CONTENT)
    link = Link(server, folder)
    put_amid(link, folder, content)
    assert isinstance(outcome(link.get()), errors.TargetExists)
    assert (names(folder), (folder / "a").read_bytes()) == ([".a.note", ".a.part", "a"], content)
    assert (folder / ".a.part").read_bytes() == CONTENT


def test_forced_without_a_digest_it_has_it_already_too(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "served").mkdir()
    server = Server(tmp_path / "served", hashing=False)
    server.put("a", CONTENT)
    (folder / "a").write_bytes(CONTENT)
    saved = outcome(Link(server, folder).get(force=True))
    assert (saved.already, saved.verified, names(folder)) == (True, False, ["a"])


def test_what_comes_between_two_looks_is_looked_at(link: Link, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = os.makedirs

    def come(*arguments: object, **named: object) -> None:
        make(*arguments, **named)  # type: ignore[arg-type]
        (folder / "a").write_bytes(CONTENT)

    monkeypatch.setattr(os, "makedirs", come)
    assert outcome(link.get()).already
    assert link.requests == [b"Client01", b"list", b"hash a"]
