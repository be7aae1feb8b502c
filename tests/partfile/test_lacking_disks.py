"""Downloads onto file systems that lack a convenience, or lie: that costs the convenience, not the download."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from chatfile import errors
from chatfile.downloads import Download
from chatfile.partfile import Saved
from tests.support.lacking import Inodes, at_most, folding, refuse, see_names
from tests.support.linked import CONTENT, Link, interrupted_after, names, outcome, serving_a
from tests.support.serving import Server

INODE, LINKS = 1, 3
OTHER = CONTENT[::-1]


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


def is_whole(saved: Download, folder: Path, name: str = "a") -> bool:
    return saved.verified and (folder / name).read_bytes() == CONTENT and names(folder) == [name]


REFUSED = {
    "flock": (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EACCES, errno.ENOTTY),
    "link": (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES, errno.EXDEV, errno.EINVAL),
    "fsync": (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EROFS, errno.EPERM),
    "utime": (errno.EPERM, errno.ENOSYS, errno.EROFS, errno.EINVAL),
    "fstatvfs": (errno.ENOSYS, errno.EACCES, errno.EOVERFLOW),
    "ftruncate": (errno.EPERM, errno.EINVAL, errno.EOPNOTSUPP),
}
"""What a file system may not do, and how it says so."""
CASES = [(call, number) for call, numbers in REFUSED.items() for number in numbers]


@pytest.mark.parametrize(("call", "number"), CASES)
def test_what_a_file_system_can_not_do_is_done_without(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    refuse(monkeypatch, fcntl if call == "flock" else os, call, number)
    interrupted_after(server, folder, 100)
    saved = outcome(Link(server, folder).get())
    assert is_whole(saved, folder)
    assert saved.resumed_from == 100


@pytest.mark.parametrize(("call", "number"), CASES)
def test_what_begins_anew_does_so_without_it_too(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    refuse(monkeypatch, fcntl if call == "flock" else os, call, number)
    interrupted_after(server, folder, 100)
    (folder / ".a.note").unlink()
    saved = outcome(Link(server, folder).get())
    assert is_whole(saved, folder)
    assert saved.resumed_from == 0


def test_without_cutting_what_is_damaged_is_dropped_all_the_same(
    link: Link, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = refuse(monkeypatch, os, "ftruncate", errno.EOPNOTSUPP)
    link.altered = lambda data: data.replace(b"\x80\x81", b"\x81\x80")
    assert isinstance(outcome(link.get()), errors.DigestMismatch)
    assert (names(folder), len(made)) == ([], 1)


def test_without_locks_two_clients_never_write_one_file(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, fcntl, "flock", errno.ENOLCK)
    first, second = Link(server, folder), Link(server, folder)
    first.cut_after = len(CONTENT) // 2
    slow = first.get()
    (folder / ".a.note").unlink()
    second.cut_after = 200
    begun_anew = second.get()
    second.cut()
    assert isinstance(outcome(begun_anew), errors.TransferBroken)
    first.go_on()
    assert isinstance(outcome(slow), errors.LocalFileError)
    assert ".a.part" in names(folder)
    assert "a" not in names(folder)
    assert is_whole(outcome(Link(server, folder).get()), folder)


@pytest.mark.parametrize("failing", ["set_blocking", "flock"])
def test_no_empty_part_file_is_left_where_it_can_not_be_used(
    link: Link, folder: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    if failing == "flock":
        refuse(monkeypatch, fcntl, "flock", errno.ENOLCK)
        link.altered = lambda data: data.replace(b"FILE ", b"ERROR unavailable ")
    else:
        refuse(monkeypatch, os, "set_blocking", errno.EIO)
    assert isinstance(outcome(link.get()), errors.ChatFileError)
    assert names(folder) == []


class Space:
    """What `fstatvfs` says."""

    def __init__(self, free: int, unit: int, blocks: int) -> None:
        self.f_bavail, self.f_frsize, self.f_blocks = free, unit, blocks


@pytest.mark.parametrize("space", [Space(0, 512, 0), Space(0, 512, 100), Space(100, 0, 100), Space(1, 512, 0)])
def test_a_file_system_that_can_not_tell_how_much_is_free_is_written_to(
    link: Link, folder: Path, monkeypatch: pytest.MonkeyPatch, space: Space
) -> None:
    monkeypatch.setattr(os, "fstatvfs", lambda _: space)
    assert is_whole(outcome(link.get()), folder)


# --- names and what they lead to ---


@pytest.mark.parametrize("longest", [255, 143, 80])
def test_where_names_are_short_the_part_file_has_a_shorter_one(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, longest: int
) -> None:
    see_names(monkeypatch, at_most(longest))
    name = "n" * longest
    server.put(name, CONTENT)
    interrupted_after(server, folder, 100, name)
    assert max(map(len, names(folder))) <= longest
    saved = outcome(Link(server, folder).get(name))
    assert is_whole(saved, folder, name)
    assert saved.resumed_from == 100
    assert outcome(Link(server, folder).get(name)).already


def test_a_name_that_is_too_long_here_is_told_before_anything_is_sent(
    link: Link, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    see_names(monkeypatch, at_most(143))
    server.put("n" * 144, CONTENT)
    assert type(outcome(link.get("n" * 144))) is errors.LocalFileError
    assert link.requests == [b"Client01"]
    assert outcome(link.get("n" * 144, save_as="short")).verified


def test_a_name_that_the_file_system_has_no_place_for_is_told(
    link: Link, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seen(name: str, _: int) -> str:
        if ":" in name:
            raise OSError(errno.EINVAL, "Invalid argument")
        return name

    see_names(monkeypatch, seen)
    server.put("a:b", CONTENT)
    assert "no place for such a name" in str(outcome(link.get("a:b")))
    assert (names(folder), link.requests) == ([], [b"Client01"])


NUMBERS: dict[str, Callable[[], Callable[[], int]]] = {
    "none": lambda: lambda: 0,
    "always others": lambda: itertools.count(1).__next__,
}


@pytest.mark.parametrize("numbers", NUMBERS)
@pytest.mark.parametrize("begun", [0, 100])
def test_without_inode_numbers_that_can_be_relied_on_it_is_saved(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, numbers: str, begun: int
) -> None:
    if begun:
        interrupted_after(server, folder, begun)
    Inodes(monkeypatch, INODE, NUMBERS[numbers]())
    assert is_whole(outcome(Link(server, folder).get()), folder)


@pytest.mark.parametrize("numbers", NUMBERS)
def test_without_them_nothing_of_others_is_taken_for_what_was_saved(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, numbers: str
) -> None:
    Inodes(monkeypatch, INODE, NUMBERS[numbers]())
    link = Link(server, folder)
    link.altered = lambda data: (folder / "a").write_bytes(b"mine") and data
    assert isinstance(outcome(link.get()), errors.TargetExists)
    assert (folder / "a").read_bytes() == b"mine"
    assert (folder / ".a.part").read_bytes() == CONTENT


MEANWHILE: dict[str, Callable[[Path], object]] = {
    "none": lambda _: None,
    "a shorter one": lambda part: part.write_bytes(CONTENT[:-1]),
    "a longer one": lambda part: part.write_bytes(CONTENT + b"x"),
    "a link to one as long": lambda part: part.symlink_to("other"),
    "a FIFO": os.mkfifo,
}


@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_without_them_what_took_the_place_of_the_part_file_is_not_taken_for_it(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    def replace(data: bytes) -> bytes:
        if data.startswith(b"FILE "):
            (folder / ".a.part").unlink()
            MEANWHILE[meanwhile](folder / ".a.part")
        return data

    (folder / "other").write_bytes(OTHER)
    Inodes(monkeypatch, INODE, lambda: 0)
    link = Link(server, folder)
    link.altered = replace
    assert "replaced meanwhile" in str(outcome(link.get()))
    assert "a" not in names(folder)


@pytest.mark.parametrize("numbers", NUMBERS)
def test_without_them_a_lost_answer_destroys_nothing(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, numbers: str
) -> None:
    Inodes(monkeypatch, INODE, NUMBERS[numbers]())
    link_really = os.link

    def link_and_fail(*arguments: object, **named: object) -> None:
        link_really(*arguments, **named)  # type: ignore[arg-type]
        raise OSError(errno.EIO, "no answer")

    monkeypatch.setattr(os, "link", link_and_fail)
    outcome(Link(server, folder).get())
    assert (folder / "a").read_bytes() == CONTENT


@pytest.mark.parametrize("count", [0, 2, 65000])
@pytest.mark.parametrize("begun", [0, 100])
def test_a_count_of_links_that_is_made_up_is_no_hindrance(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, count: int, begun: int
) -> None:
    if begun:
        interrupted_after(server, folder, begun)
    Inodes(monkeypatch, LINKS, lambda: count)
    saved = outcome(Link(server, folder).get())
    assert is_whole(saved, folder)
    assert saved.resumed_from == (0 if count else begun)


# --- names that are one ---

FOLDED: dict[str, tuple[str, str, Callable[[str], str]]] = {
    "case": ("Name", "name", str.casefold),
    "case beyond ASCII": ("STRASSE", "straße", str.casefold),
    "composition": ("caf\u00e9", "cafe\u0301", lambda name: unicodedata.normalize("NFC", name)),
    "compatibility": ("file", "ﬁle", lambda name: unicodedata.normalize("NFKC", name)),
    "ignored characters": ("ab", "a\u200bb", lambda name: name.replace("\u200b", "").replace("\u200c", "")),
    "dots at the end": ("name", "name.", lambda name: name.rstrip(". ")),
}


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("content", [CONTENT, OTHER], ids=["the same", "another"])
@pytest.mark.parametrize(("kind", "at"), [(kind, at) for kind in FOLDED for at in (0, 1)])
def test_two_names_that_are_one_here_are_never_saved_over_each_other(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, at: int, content: bytes, force: bool
) -> None:
    first, second, fold = FOLDED[kind][at], FOLDED[kind][1 - at], FOLDED[kind][2]
    server.put(first, CONTENT)
    server.put(second, content)
    see_names(monkeypatch, folding(fold))
    assert outcome(Link(server, folder).get(first)).verified
    assert isinstance(outcome(Link(server, folder).get(second, force=force)), errors.NameTaken)
    assert (names(folder), (folder / first).read_bytes()) == ([first], CONTENT)
    assert outcome(Link(server, folder).get(first)).already
    assert outcome(Link(server, folder).get(second, save_as="third")).verified


@pytest.mark.parametrize("force", [False, True])
def test_where_no_spelling_is_kept_one_run_knows_what_it_saved(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    server.put("Name", CONTENT)
    server.put("name", OTHER)
    see_names(monkeypatch, lambda name, _: name.lower())
    link, saved = Link(server, folder), Saved()
    assert outcome(link.get("Name", saved=saved)).verified
    assert isinstance(outcome(link.get("name", saved=saved, force=force)), errors.LocalFileError)
    assert (folder / "name").read_bytes() == CONTENT


@pytest.mark.parametrize("is_link", [False, True])
def test_a_name_that_comes_to_be_anothers_meanwhile_is_not_replaced(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, is_link: bool
) -> None:
    def take(data: bytes) -> bytes:
        if data.startswith(b"FILE "):
            (folder / "A").symlink_to("nowhere") if is_link else (folder / "A").write_bytes(b"mine")
        return data

    see_names(monkeypatch, folding(str.casefold))
    link = Link(server, folder)
    link.altered = take
    assert isinstance(outcome(link.get(force=True)), errors.NameTaken)
    assert (folder / "A").is_symlink() if is_link else (folder / "A").read_bytes() == b"mine"


@pytest.mark.parametrize("force", [False, True])
def test_where_they_are_two_both_are_saved(server: Server, folder: Path, force: bool) -> None:
    link, saved = Link(server, folder), Saved()
    both = [name for first, second, _ in FOLDED.values() for name in (first, second)]
    for name in both:
        server.put(name, name.encode() * 9)
    for _ in range(2):
        for name in both:
            assert outcome(link.get(name, saved=saved, force=force)).verified
    assert {name: (folder / name).read_bytes() for name in names(folder)} == {name: name.encode() * 9 for name in both}
