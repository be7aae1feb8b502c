"""Small files, several in one call: what is told of those that are there, among how many others, and their saving."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chatfile import fdio
from chatfile.partfile import Source, together
from chatfile.partfile.names import is_same_file
from chatfile.partfile.together import Presence, WholeFile, have_digests, look_for, save_together
from chatfile.paths import LocalPath
from tests.support.lacking import refuse

TIME = 1_500_000_000
SOURCE = Source(5, TIME)


def _plant(folder: Path, name: str, content: bytes = b"hello", mtime: int = TIME) -> None:
    (folder / name).write_bytes(content)
    os.utime(folder / name, (mtime, mtime))


@pytest.mark.parametrize("others", [0, 104, 105, 500])
def test_each_is_told_for_itself_however_many_others_there_are(tmp_path: Path, others: int) -> None:
    for other in range(others):
        (tmp_path / f"other {other}").touch()
    _plant(tmp_path, "same")
    _plant(tmp_path, "older", mtime=TIME - 1)
    _plant(tmp_path, "longer", b"hello!")
    _plant(tmp_path, "shorter", b"hell")
    _plant(tmp_path, "sam")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "link").symlink_to("same")
    told = {
        "same": Presence.SAME,
        "older": Presence.SAME_SIZE,
        "longer": Presence.OTHER,
        "shorter": Presence.OTHER,
        "folder": Presence.OTHER,
        "link": Presence.OTHER,
        "absent": Presence.ABSENT,
    }
    assert look_for([(LocalPath.of(str(tmp_path), name), SOURCE) for name in told]) == list(told.values())


def _plant_link(folder: Path, name: str) -> None:
    (folder / name).symlink_to("nowhere")


@pytest.mark.parametrize("plant", [_plant, _plant_link])
@pytest.mark.parametrize("left", [".same.part", ".same.note"])
@pytest.mark.parametrize("others", [0, 500])
def test_what_an_earlier_download_has_left_is_something_else(
    tmp_path: Path, left: str, others: int, plant: Callable[[Path, str], None]
) -> None:
    for other in range(others):
        (tmp_path / f"other {other}").touch()
    _plant(tmp_path, "same")
    plant(tmp_path, left)
    assert look_for([(LocalPath.of(str(tmp_path), "same"), SOURCE)]) == [Presence.OTHER]


def test_a_small_folder_is_read_and_not_asked_for_each_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there, absent = [f"same {number}" for number in range(20)], [f"absent {number}" for number in range(20)]
    for name in there:
        _plant(tmp_path, name)
    files = [(LocalPath.of(str(tmp_path), name), SOURCE) for name in (*there, *absent)]
    with monkeypatch.context() as patched:
        asked = refuse(patched, os, "stat", errno.EIO)
        assert look_for(files) == [Presence.SAME] * 20 + [Presence.ABSENT] * 20
    assert not asked


def test_a_folder_that_is_looked_for_is_not_made(tmp_path: Path) -> None:
    assert look_for([(LocalPath.of(str(tmp_path / "folder"), "a"), SOURCE)]) == [Presence.ABSENT]
    assert not (tmp_path / "folder").exists()


def test_what_is_removed_while_its_folder_is_read_costs_the_others_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = os.scandir

    @contextmanager
    def remove_while_reading(folder: int) -> Iterator[Iterator[os.DirEntry[str]]]:
        with really(folder) as found:
            entries = list(found)
        (tmp_path / "removed").unlink()
        yield iter(entries)

    for name in ("removed", "same"):
        _plant(tmp_path, name)
    monkeypatch.setattr(os, "scandir", remove_while_reading)
    files = [(LocalPath.of(str(tmp_path), name), SOURCE) for name in ("removed", "same")]
    assert look_for(files) == [Presence.OTHER, Presence.SAME]


def test_one_that_can_not_be_looked_at_costs_the_others_nothing(tmp_path: Path) -> None:
    for other in range(500):
        (tmp_path / f"other {other}").touch()
    _plant(tmp_path, "same")
    files = [(LocalPath.of(str(tmp_path), name), SOURCE) for name in ("n" * 256, "a\0b", "same")]
    assert look_for(files) == [Presence.OTHER, Presence.OTHER, Presence.SAME]


def test_a_file_has_its_own_digest_and_no_other(tmp_path: Path) -> None:
    _plant(tmp_path, "a")
    (tmp_path / "folder").mkdir()
    digest = hashlib.sha256(b"hello").hexdigest()
    asked = [("a", digest), ("a", "0" * 64), ("absent", digest), ("folder", digest)]
    paths = [(LocalPath.of(str(tmp_path), name), sha256) for name, sha256 in asked]
    assert have_digests(paths) == [True, False, False, False]


def test_a_file_that_is_not_small_has_not_the_digest_of_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fdio, "_SLICE", 4)
    _plant(tmp_path, "a")
    digests = [hashlib.sha256(b"hell").hexdigest(), hashlib.sha256(b"hello").hexdigest()]
    assert have_digests([(LocalPath.of(str(tmp_path), "a"), sha256) for sha256 in digests]) == [False, False]


def test_what_can_not_be_read_has_no_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _plant(tmp_path, "a")
    refuse(monkeypatch, os, "preadv", errno.EIO)
    assert have_digests([(LocalPath.of(str(tmp_path), "a"), hashlib.sha256(b"hello").hexdigest())]) == [False]


@pytest.fixture(params=[True, False], ids=["without names", "as part files"])
def begun_without_name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of saving: files have no names at first, where the system has such, or those of part files."""
    if not request.param:
        monkeypatch.setattr(together, "_UNNAMED", 0)


@pytest.fixture(params=[0, 0o027])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.usefixtures("begun_without_name")
def test_files_have_the_permissions_that_the_umask_leaves(tmp_path: Path, umask: int) -> None:
    files = [WholeFile(LocalPath.of(str(tmp_path), name), TIME, b"hello") for name in ("a", "b")]
    assert save_together(files, create_folder=False) == [True, True]
    assert [stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()] == [0o666 & ~umask] * 2


@pytest.mark.usefixtures("begun_without_name")
@pytest.mark.parametrize("impossible", ["a\0b", "n" * 256, ".", "\ud800"])
def test_a_name_that_no_file_can_have_costs_the_others_nothing(tmp_path: Path, impossible: str) -> None:
    files = [WholeFile(LocalPath.of(str(tmp_path), name), TIME, b"hello") for name in ("a", impossible, "b")]
    assert save_together(files, create_folder=False) == [True, False, True]
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_without_a_folder_nothing_is_saved(tmp_path: Path) -> None:
    files = [WholeFile(LocalPath.of(str(tmp_path / "folder"), name), TIME, b"hello") for name in ("a", "b")]
    assert save_together(files, create_folder=False) == [False, False]
    assert not (tmp_path / "folder").exists()


def test_a_folder_that_is_removed_meanwhile_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, really = tmp_path / "folder", os.open
    folder.mkdir()

    def remove_and_open(path: str, flags: int, *arguments: Any, **named: Any) -> int:
        if path == ".":
            folder.rmdir()
        return really(path, flags, *arguments, **named)

    monkeypatch.setattr(os, "open", remove_and_open)
    assert save_together([WholeFile(LocalPath.of(str(folder), "a"), TIME, b"hello")], create_folder=False) == [False]
    assert not folder.exists()


def test_a_link_to_a_file_is_not_the_file(tmp_path: Path) -> None:
    _plant(tmp_path, "a")
    (tmp_path / "link").symlink_to("a")
    folder, descriptor = os.open(tmp_path, os.O_RDONLY), os.open(tmp_path / "a", os.O_RDONLY)
    assert [is_same_file(folder, name, descriptor) for name in ("a", "link", "absent")] == [True, False, False]
    os.close(descriptor)
    os.close(folder)
