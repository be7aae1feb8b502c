"""What somebody has planted under the name of a note, and a disk that does not tell how much space it has."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from chatfile import errors
from chatfile.partfile import PartFile, Source
from chatfile.paths import LocalPath

SOURCE = Source(1000, 1_500_000_000)
NOTE = json.dumps([SOURCE.size, SOURCE.mtime])
pytestmark = pytest.mark.timeout(20)  # a call that blocks is a failure


@pytest.fixture
def part(tmp_path: Path) -> Iterator[PartFile]:
    part = PartFile(LocalPath(str(tmp_path / "downloads"), ("a",)), force=False, create_folder=True)
    yield part
    part.close()


@pytest.fixture
def note(part: PartFile, tmp_path: Path) -> Path:
    return tmp_path / "downloads" / ".a.note"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A file of the user's own."""
    path = tmp_path / "elsewhere"
    path.write_text(NOTE)
    return path


def test_a_note_is_read_as_it_was_written(part: PartFile) -> None:
    part.begin(SOURCE)
    assert part.source() == SOURCE


def test_a_note_that_is_a_link_is_none(part: PartFile, note: Path, elsewhere: Path) -> None:
    note.symlink_to(elsewhere)
    assert part.source() is None


def test_a_note_that_is_a_fifo_is_none_and_nobody_waits_for_its_writer(part: PartFile, note: Path) -> None:
    os.mkfifo(note)
    assert part.source() is None


@pytest.mark.parametrize("kind", ["link", "dangling", "second name", "file", "fifo"])
def test_through_what_is_planted_under_the_name_of_a_note_nothing_is_written(
    part: PartFile, note: Path, elsewhere: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old one is removed first: it is planted in the moment behind that."""
    really_unlink = os.unlink

    def unlink_and_plant(name: str, *, dir_fd: int) -> None:
        if name == note.name:
            plant(kind, note, elsewhere)
        else:
            really_unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", unlink_and_plant)
    with pytest.raises(errors.LocalFileError):
        part.begin(Source(7, 7))
    monkeypatch.undo()
    assert elsewhere.read_text() == NOTE
    assert not elsewhere.with_suffix(".new").exists()
    assert not note.is_file() or note.read_text() == NOTE


def plant(kind: str, note: Path, elsewhere: Path) -> None:
    match kind:
        case "link":
            note.symlink_to(elsewhere)
        case "dangling":
            note.symlink_to(elsewhere.with_suffix(".new"))
        case "second name":
            note.hardlink_to(elsewhere)
        case "file":
            note.write_text(NOTE)
        case _:
            os.mkfifo(note)


@pytest.mark.parametrize(
    ("blocks", "free", "is_refused"),
    [(0, 0, False), (1000, 1, True), (1000, SOURCE.size - 1, True), (1000, SOURCE.size, False)],
)
def test_a_disk_that_tells_nothing_of_its_space_or_has_just_enough_is_no_full_disk(
    part: PartFile, monkeypatch: pytest.MonkeyPatch, blocks: int, free: int, is_refused: bool
) -> None:
    disk = SimpleNamespace(f_blocks=blocks, f_bavail=free, f_frsize=1)
    monkeypatch.setattr(os, "fstatvfs", lambda _: disk)
    try:
        part.begin(SOURCE)
    except errors.LocalFileError:
        assert is_refused
    else:
        assert not is_refused
        assert part.source() == SOURCE


def test_how_much_is_needed_and_how_much_is_left_is_told_in_megabytes(
    part: PartFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fstatvfs", lambda _: SimpleNamespace(f_blocks=10**9, f_bavail=2 * 10**9, f_frsize=1000))
    with pytest.raises(errors.LocalFileError, match=r"needs 3,000,000\.0 MB and the disk has 2,000,000\.0 MB left"):
        part.begin(Source(3 * 10**12, SOURCE.mtime))
