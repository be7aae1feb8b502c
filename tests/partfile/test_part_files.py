"""The part file and its note: what they are called, whose they may be, who may read them, and what is planted there."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatfile import errors
from chatfile.partfile import PartFile, Source, remove_leftovers, set_named_time
from chatfile.partfile.names import NOTE, PART, beside, names_beside, remove_stale_link, rename
from chatfile.partfile.opening import check_ours
from chatfile.paths import LocalPath
from tests.support.lacking import refuse
from tests.support.leftovers import at_end, open_descriptors
from tests.support.linked import names

SOURCE = Source(1000, 1_500_000_000)
OWN = 1000
"""The user that somebody is, whoever runs the tests."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "downloads").mkdir()
    return tmp_path / "downloads"


@pytest.fixture
def directory(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def opened(folder: Path, name: str = "a") -> PartFile:
    part = PartFile(LocalPath.of(str(folder), name), force=False, create_folder=False)
    at_end(part.close)
    return part


# --- names ---


def shortened(letter: str, count: int) -> str:
    """What a later version must find again, too."""
    digest = hashlib.sha256(letter.encode() * count).hexdigest()
    return f".{letter * (200 // len(letter.encode()))}.{digest[:16]}.part"


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("n" * 249, f".{'n' * 249}.part"),
        ("n" * 250, shortened("n", 250)),
        ("n" * 255, shortened("n", 255)),
        ("ä" * 127, shortened("ä", 127)),
    ],
)
def test_the_part_file_of_each_name_has_the_same_one_in_every_version(name: str, hidden: str) -> None:
    assert beside(name, PART) == hidden


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_names_are_not_shortened_because_of_a_disk_that_fails(
    directory: int, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse(monkeypatch, os, "stat", number)
    assert names_beside(directory, "n" * 60) == (beside("n" * 60, PART), beside("n" * 60, NOTE))


def test_where_names_must_be_short_they_are_the_same_in_every_version(
    directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, os, "stat", errno.ENAMETOOLONG)
    shortest = f".{'n' * 9}.{hashlib.sha256(b'n' * 60).hexdigest()[:16]}"
    assert names_beside(directory, "n" * 60) == (shortest + PART, shortest + NOTE)


# --- what is planted ---


@pytest.mark.parametrize("target", ["../mine", "nowhere", "x" * 300])
def test_a_link_in_the_place_of_the_part_file_is_told_and_stays(folder: Path, target: str) -> None:
    name = "n" * 60
    (folder / f".{name}.part").symlink_to(target)
    with pytest.raises(errors.LocalFileError, match="not a regular file"):
        opened(folder, name)
    assert names(folder) == [f".{name}.part"]


def test_a_link_that_takes_its_place_at_the_last_moment_gives_no_other_file_a_second_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link_really = os.link

    def plant_and_link(*arguments: Any, **named: Any) -> None:
        (folder / ".a.part").unlink()
        (folder / ".a.part").symlink_to("../mine")
        link_really(*arguments, **named)

    monkeypatch.setattr(os, "link", plant_and_link)
    part = opened(folder)
    part.begin(SOURCE)
    part.finish(SOURCE.mtime, verified=True)
    assert (folder.parent / "mine").stat().st_nlink == 1


def test_a_link_to_its_part_file_is_no_second_name_of_that(folder: Path, directory: int) -> None:
    (folder / ".a.part").write_bytes(b"begun")
    (folder / "a").symlink_to(".a.part")
    remove_stale_link(directory, "a")
    assert (folder / ".a.part").read_bytes() == b"begun"


def test_where_there_are_no_links_nothing_takes_the_place_of_one_that_leads_nowhere(
    folder: Path, directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".a.part").write_bytes(b"whole")
    (folder / "a").symlink_to("nowhere")
    refuse(monkeypatch, os, "link", errno.EPERM)
    with open(folder / ".a.part", "rb") as part, pytest.raises(FileExistsError):
        rename(directory, ".a.part", "a", part.fileno(), replace=False)
    assert names(folder) == [".a.part", "a"]


def test_a_file_as_long_as_a_part_file_that_was_gone_on_with_is_not_taken_for_it(folder: Path) -> None:
    (folder / ".a.part").write_bytes(b"begun")
    part = opened(folder)
    (folder / ".a.part").unlink()
    (folder / ".a.part").write_bytes(b"other")
    with pytest.raises(errors.LocalFileError):
        part.finish(0, verified=True)
    assert names(folder) == [".a.part"]


def test_the_time_of_a_link_is_not_that_of_what_it_leads_to(folder: Path) -> None:
    os.utime(folder.parent / "mine", (5, 5))
    (folder / "a").symlink_to("../mine")
    set_named_time(LocalPath.of(str(folder), "a"), 7)
    assert (folder / "a").lstat().st_mtime == 7
    assert (folder.parent / "mine").stat().st_mtime == 5


@pytest.mark.parametrize("note", ["", "x", "7", "{}", "[7]", "[7, 7, 7]", '["7", 7]', '[7, "7"]', "[null, null]"])
def test_a_note_that_does_not_give_two_numbers_is_none(folder: Path, note: str) -> None:
    part = opened(folder)
    (folder / ".a.note").write_text(note)
    assert part.source() is None


# --- whose they are ---


def owned(user: int, mode: int = 0o100644) -> os.stat_result:
    return os.stat_result((mode, 1, 1, 1, user, user, 0, 0, 0, 0))


@pytest.mark.parametrize("other", [OWN - 1, OWN + 1])
def test_a_part_file_of_any_other_user_is_not_taken(
    directory: int, monkeypatch: pytest.MonkeyPatch, other: int
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: OWN)
    monkeypatch.setattr(os, "fstat", lambda _: owned(OWN))
    check_ours(directory, owned(OWN))
    with pytest.raises(PermissionError):
        check_ours(directory, owned(other))


@pytest.fixture
def nothing_masked() -> Iterator[None]:
    mask = os.umask(0)
    yield
    os.umask(mask)


@pytest.mark.usefixtures("nothing_masked")
def test_who_may_read_and_write_what_is_saved_is_for_the_user_to_mask_and_nobody_may_run_it(folder: Path) -> None:
    part = opened(folder)
    part.begin(SOURCE)
    assert {name: (folder / name).stat().st_mode & 0o777 for name in names(folder)} == {
        ".a.note": 0o666,
        ".a.part": 0o666,
    }


# --- opened, emptied and closed ---


@pytest.mark.parametrize("begun", [b"", b"begun"])
def test_a_part_file_is_locked_in_one_call_and_then_written_as_any_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    locks: list[int] = []
    lock_really = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", lambda *arguments: locks.append(1) or lock_really(*arguments))
    if begun:
        (folder / ".a.part").write_bytes(begun)
    part = opened(folder)
    assert (len(locks), os.get_blocking(part.descriptor)) == (1, True)


def test_a_part_file_that_begins_anew_is_emptied_for_all_who_have_it_open(folder: Path) -> None:
    (folder / ".a.part").write_bytes(b"begun")
    part = opened(folder)
    with (folder / ".a.part").open("rb") as other:
        part.begin(SOURCE)
        assert (other.read(), part.size()) == (b"", 0)


def test_where_it_can_be_neither_locked_nor_read_nothing_stays_open(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_descriptors("self")
    (folder / ".a.part").write_bytes(b"begun")
    refuse(monkeypatch, fcntl, "flock", errno.ENOLCK)
    refuse(monkeypatch, os, "pread", errno.EIO)
    with pytest.raises(errors.LocalFileError):
        opened(folder)
    assert open_descriptors("self") == before


def test_where_it_can_be_neither_emptied_nor_made_anew_it_is_closed_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_descriptors("self")
    (folder / ".a.part").write_bytes(b"begun")
    part = opened(folder)
    refuse(monkeypatch, os, "ftruncate", errno.EPERM)
    refuse(monkeypatch, os, "open", errno.ENOSPC)
    with pytest.raises(errors.LocalFileError):
        part.begin(SOURCE)
    part.close()
    assert open_descriptors("self") == before


def test_what_made_it_useless_is_told_though_it_can_not_be_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, os, "set_blocking", errno.EIO)
    refuse(monkeypatch, os, "unlink", errno.EACCES)
    with pytest.raises(errors.LocalFileError, match="input/output error"):
        opened(folder)


def test_where_there_is_no_folder_any_more_nothing_is_left_to_remove(folder: Path) -> None:
    remove_leftovers(LocalPath.of(str(folder), "gone/a"))
