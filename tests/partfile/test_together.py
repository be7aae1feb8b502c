"""Small files, several in one call: what is told of those that are there, however many others there are."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from chatfile.partfile import Source
from chatfile.partfile.names import is_same_file
from chatfile.partfile.together import Presence, have_digests, look_for
from chatfile.paths import LocalPath

TIME = 1_500_000_000
SOURCE = Source(5, TIME)


def _plant(folder: Path, name: str, content: bytes = b"hello", mtime: int = TIME) -> None:
    (folder / name).write_bytes(content)
    os.utime(folder / name, (mtime, mtime))


@pytest.mark.parametrize("others", [0, 89, 90, 500])
def test_each_is_told_for_itself_however_many_others_there_are(tmp_path: Path, others: int) -> None:
    for other in range(others):
        (tmp_path / f"other {other}").touch()
    _plant(tmp_path, "same")
    _plant(tmp_path, "older", mtime=TIME - 1)
    _plant(tmp_path, "longer", b"hello!")
    _plant(tmp_path, "sam")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "link").symlink_to("same")
    told = {
        "same": Presence.SAME,
        "older": Presence.SAME_SIZE,
        "longer": Presence.OTHER,
        "folder": Presence.OTHER,
        "link": Presence.OTHER,
        "absent": Presence.ABSENT,
    }
    assert look_for([(LocalPath.of(str(tmp_path), name), SOURCE) for name in told]) == list(told.values())


@pytest.mark.parametrize("left", [".same.part", ".same.note"])
@pytest.mark.parametrize("others", [0, 500])
def test_what_an_earlier_download_has_left_is_something_else(tmp_path: Path, left: str, others: int) -> None:
    for other in range(others):
        (tmp_path / f"other {other}").touch()
    _plant(tmp_path, "same")
    _plant(tmp_path, left)
    assert look_for([(LocalPath.of(str(tmp_path), "same"), SOURCE)]) == [Presence.OTHER]


def test_a_file_has_its_own_digest_and_no_other(tmp_path: Path) -> None:
    _plant(tmp_path, "a")
    (tmp_path / "folder").mkdir()
    digest = hashlib.sha256(b"hello").hexdigest()
    asked = [("a", digest), ("a", "0" * 64), ("absent", digest), ("folder", digest)]
    paths = [(LocalPath.of(str(tmp_path), name), sha256) for name, sha256 in asked]
    assert have_digests(paths) == [True, False, False, False]


def test_a_link_to_a_file_is_not_the_file(tmp_path: Path) -> None:
    _plant(tmp_path, "a")
    (tmp_path / "link").symlink_to("a")
    folder, descriptor = os.open(tmp_path, os.O_RDONLY), os.open(tmp_path / "a", os.O_RDONLY)
    assert [is_same_file(folder, name, descriptor) for name in ("a", "link", "absent")] == [True, False, False]
    os.close(descriptor)
    os.close(folder)
