"""Downloads on disk: the final name is absent or whole and verified, whatever happens on the way."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError

from chatfile import errors
from chatfile.downloads import Download
from chatfile.partfile.names import beside
from tests.support.linked import CONTENT, Link, interrupted_after, names, outcome, serving_a
from tests.support.serving import OLD, Server


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return serving_a(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "downloads"


@pytest.fixture
def link(server: Server, folder: Path) -> Link:
    return Link(server, folder)


def test_a_download_is_whole_verified_and_as_old_as_its_source(link: Link, folder: Path) -> None:
    saved = outcome(link.get())
    assert (saved.path, saved.size, saved.verified, saved.resumed_from) == (str(folder / "a"), len(CONTENT), True, 0)
    assert (folder / "a").read_bytes() == CONTENT
    assert (folder / "a").stat().st_mtime == OLD
    assert names(folder) == ["a"]


def test_an_empty_file_is_downloaded(link: Link, server: Server, folder: Path) -> None:
    server.put("empty", b"")
    assert outcome(link.get("empty")).verified
    assert (names(folder), (folder / "empty").stat().st_size) == (["empty"], 0)


def test_it_can_be_saved_under_another_name(link: Link, folder: Path) -> None:
    outcome(link.get(save_as="b"))
    assert names(folder) == ["b"]


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "/etc/passwd", "a/b", "a/", "a\0"])
def test_a_path_is_no_name(link: Link, folder: Path, name: str) -> None:
    assert isinstance(outcome(link.get(name)), errors.BadName)
    assert not folder.exists()


def test_a_missing_file_leaves_nothing_behind(link: Link, folder: Path) -> None:
    assert isinstance(outcome(link.get("missing")), errors.NoSuchFile)
    assert names(folder) == []


# --- resumption ---


@pytest.mark.parametrize("count", [1, 100, len(CONTENT) - 1, len(CONTENT)])
def test_what_came_is_resumed(server: Server, folder: Path, count: int) -> None:
    interrupted_after(server, folder, count)
    assert names(folder) == [".a.note", ".a.part"]
    link = Link(server, folder)
    saved = outcome(link.get())
    assert link.requests[-1] == b"resume %d a" % count
    assert (saved.resumed_from, saved.verified) == (count, True)
    assert ((folder / "a").read_bytes(), names(folder)) == (CONTENT, ["a"])


def test_nothing_is_left_of_a_download_that_never_began(server: Server, folder: Path) -> None:
    interrupted_after(server, folder, 0)
    assert names(folder) == []


@given(st.lists(st.integers(0, len(CONTENT)), max_size=5))
def test_any_interruptions_end_in_a_whole_file(tmp_path_factory: pytest.TempPathFactory, cuts: list[int]) -> None:
    served, folder = tmp_path_factory.mktemp("served"), tmp_path_factory.mktemp("downloads")
    server = Server(served, limit=100)
    server.put("a", CONTENT)
    for cut in cuts:
        link = Link(server, folder)
        link.cut_after = cut
        getting = link.get()
        link.cut()
        outcome(getting)
        assert "a" not in names(folder) or (folder / "a").read_bytes() == CONTENT
    outcome(Link(server, folder).get())
    assert ((folder / "a").read_bytes(), names(folder)) == (CONTENT, ["a"])


@pytest.mark.parametrize("content", [CONTENT[:50], CONTENT[:100], CONTENT[::-1], CONTENT + b"more"])
def test_a_source_that_changed_is_fetched_anew(server: Server, folder: Path, content: bytes) -> None:
    interrupted_after(server, folder, 100)
    server.put("a", content)
    os.utime(server.folder / "a", (OLD, OLD + 1))
    saved = outcome(Link(server, folder).get())
    assert (saved.resumed_from, saved.verified) == (0, True)
    assert ((folder / "a").read_bytes(), names(folder)) == (content, ["a"])


def test_a_part_that_does_not_belong_is_found_by_its_digest_and_fetched_anew(server: Server, folder: Path) -> None:
    interrupted_after(server, folder, 100)
    server.put("a", CONTENT[::-1])  # the same size and time
    link = Link(server, folder)
    saved = outcome(link.get())
    assert link.requests[-2:] == [b"resume 100 a", b"get a"]
    assert (saved.resumed_from, saved.verified) == (0, True)
    assert ((folder / "a").read_bytes(), names(folder)) == (CONTENT[::-1], ["a"])


def test_a_part_that_lacks_the_expected_digest_is_fetched_anew_once(server: Server, folder: Path) -> None:
    interrupted_after(server, folder, 100)
    link = Link(server, folder)
    assert isinstance(outcome(link.get(sha256="0" * 64)), errors.DigestMismatch)
    assert link.requests[-2:] == [b"resume 100 a", b"get a"]
    assert names(folder) == []


@pytest.mark.parametrize("note", [b"", b"{", b"[1]", b'["a", "b"]', b"null", b"[50, 1500000000]", b"[" * 1000])
def test_a_damaged_note_means_a_new_beginning(server: Server, folder: Path, note: bytes) -> None:
    interrupted_after(server, folder, 100)
    (folder / ".a.note").write_bytes(note)
    saved = outcome(Link(server, folder).get())
    assert (saved.resumed_from, (folder / "a").read_bytes()) == (0, CONTENT)


def test_a_cancelled_download_is_kept_and_resumed(server: Server, folder: Path) -> None:
    link = Link(server, folder)
    link.cut_after = 500
    getting = link.get()
    getting.cancel()
    assert isinstance(outcome(getting), CancelledError)
    assert "a" not in names(folder)
    link.cut()
    assert outcome(Link(server, folder).get()).resumed_from > 0


# --- damage ---


def test_a_damaged_download_is_dropped(link: Link, folder: Path) -> None:
    link.altered = lambda data: data.replace(b"\x80\x81", b"\x81\x80")
    assert isinstance(outcome(link.get()), errors.DigestMismatch)
    assert names(folder) == []


def test_changed_on_the_way_is_no_download(link: Link, folder: Path) -> None:
    link.altered = lambda data: data.replace(b"END ", b"ERROR changed ")
    assert isinstance(outcome(link.get()), errors.Changed)
    assert "a" not in names(folder)


# --- what is there already ---


def test_an_existing_file_is_left_alone(link: Link, folder: Path) -> None:
    folder.mkdir()
    (folder / "a").write_bytes(b"mine")
    assert isinstance(outcome(link.get()), errors.TargetExists)
    assert (folder / "a").read_bytes() == b"mine"


def test_force_replaces_it_by_a_whole_file_only(server: Server, folder: Path) -> None:
    folder.mkdir()
    (folder / "a").write_bytes(b"mine")
    link = Link(server, folder)
    link.cut_after = 500
    getting = link.get(force=True)
    link.cut()
    assert isinstance(outcome(getting), errors.ServerClosed)
    assert (folder / "a").read_bytes() == b"mine"
    assert outcome(Link(server, folder).get(force=True)).verified
    assert (folder / "a").read_bytes() == CONTENT


def test_a_file_that_appears_meanwhile_is_left_alone(server: Server, folder: Path) -> None:
    link = Link(server, folder)
    link.altered = lambda data: (folder / "a").write_bytes(b"mine") and data
    assert isinstance(outcome(link.get()), errors.TargetExists)
    assert (folder / "a").read_bytes() == b"mine"
    saved = outcome(Link(server, folder).get(force=True))
    assert saved.resumed_from == len(CONTENT)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("make", ["folder", "fifo", "link", "dangling link"])
def test_what_is_no_regular_file_is_left_alone(link: Link, folder: Path, make: str, force: bool) -> None:
    folder.mkdir()
    (folder / "other").write_bytes(b"mine")
    target = folder / "a"
    {
        "folder": target.mkdir,
        "fifo": lambda: os.mkfifo(target),
        "link": lambda: target.symlink_to("other"),
        "dangling link": lambda: target.symlink_to("nowhere"),
    }[make]()
    assert isinstance(outcome(link.get(force=force)), errors.TargetNotRegular)
    assert (folder / "other").read_bytes() == b"mine"
    assert names(folder) == ["a", "other"]


@pytest.mark.parametrize("planted", [".a.part", ".a.note"])
def test_a_planted_link_leads_nowhere(link: Link, folder: Path, planted: str) -> None:
    folder.mkdir()
    (folder / "other").write_bytes(b"mine")
    (folder / planted).symlink_to("other")
    outcome(link.get())
    assert (folder / "other").read_bytes() == b"mine"


@pytest.mark.parametrize("planted", [".a.part", ".a.note"])
def test_a_planted_second_name_is_not_written_through(link: Link, folder: Path, planted: str) -> None:
    folder.mkdir()
    (folder / "other").write_bytes(b"mine")
    (folder / planted).hardlink_to(folder / "other")
    assert outcome(link.get()).verified
    assert ((folder / "other").read_bytes(), (folder / "a").read_bytes()) == (b"mine", CONTENT)


def test_a_fifo_as_note_is_no_note(link: Link, folder: Path) -> None:
    folder.mkdir()
    (folder / ".a.part").write_bytes(CONTENT[:100])
    os.mkfifo(folder / ".a.note")
    assert outcome(link.get()).resumed_from == 0


def test_a_fifo_as_part_file_is_refused_at_once(link: Link, folder: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / ".a.part")
    assert isinstance(outcome(link.get()), errors.LocalFileError)


def test_two_clients_never_write_one_file(link: Link, folder: Path) -> None:
    folder.mkdir()
    descriptor = os.open(folder / ".a.part", os.O_CREAT | os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert isinstance(outcome(link.get()), errors.DownloadBusy)
    os.close(descriptor)
    assert outcome(link.get()).verified


def test_a_lock_that_is_let_go_of_in_a_moment_is_waited_for(
    link: Link, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    descriptor = os.open(folder / ".a.part", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            os.close(descriptor)

    monkeypatch.setattr(time, "sleep", sleep)
    assert outcome(link.get()).verified
    assert len(pauses) == 3


def test_a_file_system_without_links_is_served_too(link: Link, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no")

    monkeypatch.setattr(os, "link", no_links)
    assert outcome(link.get()).verified
    assert names(folder) == ["a"]


def test_a_file_that_does_not_fit_is_refused_before_it_is_sent(
    link: Link, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        f_bavail, f_frsize, f_blocks = 1, 512, 100

    monkeypatch.setattr(os, "fstatvfs", lambda _: Full)
    assert isinstance(outcome(link.get()), errors.LocalFileError)
    assert names(folder) == []
    said = link.client.send("hi")
    link.carry()
    assert outcome(said) == "hi ACK"


def test_a_time_that_can_not_be_kept_is_no_failure(link: Link, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overflow(*_: object) -> None:
        raise OverflowError

    monkeypatch.setattr(os, "utime", overflow)
    assert outcome(link.get()).verified


def test_the_bytes_are_on_the_disk_before_the_name_is(
    link: Link, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, list[str]]] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append((os.fstat(descriptor).st_size, names(folder))))
    assert outcome(link.get()).verified
    assert synced == [(len(CONTENT), [".a.note", ".a.part"])]


@pytest.mark.parametrize(("number", "is_saved"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_what_may_not_be_on_the_disk_gets_no_name(
    link: Link, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_saved: bool
) -> None:
    def fails(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    assert isinstance(outcome(link.get()), Download if is_saved else errors.LocalFileError)
    assert (folder / "a").exists() == is_saved


def test_no_descriptor_is_left(server: Server, folder: Path) -> None:
    before = os.listdir("/proc/self/fd")
    interrupted_after(server, folder, 100)
    outcome(Link(server, folder).get())
    outcome(Link(server, folder).get())
    outcome(Link(server, folder).get("missing"))
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("name", ["a", "n" * 255, "é" * 127, "e" * 249])
def test_the_part_file_has_a_name_that_fits(name: str) -> None:
    hidden = beside(name, ".part")
    assert hidden.startswith(".")
    assert hidden.endswith(".part")
    assert len(hidden.encode()) <= 255
    assert beside(name[:-1] + "x", ".part") != hidden


def test_a_name_as_long_as_can_be_is_downloaded(link: Link, server: Server, folder: Path) -> None:
    name = "ü" * 127
    server.put(name, CONTENT)
    assert outcome(link.get(name)).verified
    assert names(folder) == [name]
