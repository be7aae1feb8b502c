"""Names that are spelled differently: which of them are one, and what it costs to find that out."""

from __future__ import annotations

import errno
import itertools
import os
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chatfile import errors
from chatfile.partfile.spelling import Saved, folded, has_other_spelling, is_unfinished
from chatfile.paths import LocalPath
from tests.support.lacking import at_most, folding, refuse, see_names


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Name", "name"),
        ("STRASSE", "straße"),
        ("Ärger", "a\u0308rger"),
        ("file", "ﬁle"),
        ("ab", "a\u200bb"),
        ("a", "\uff21"),
        ("name", "name. ."),
        ("naïve", "NAÏVE..."),
    ],
)
def test_names_that_some_file_system_takes_for_one_are_one(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@pytest.mark.parametrize(("one", "other"), [("a", "b"), ("a.b", "ab"), ("a", "ä"), ("a b", "ab"), (".a", "a")])
def test_names_that_none_takes_for_one_are_two(one: str, other: str) -> None:
    assert folded(one) != folded(other)


@pytest.mark.parametrize("name", [".a.part", ".a.note", ".A.Part", "\u200b.a.part", ".\uff50.\uff50art", ".ä.note."])
def test_the_names_of_unfinished_downloads_are_known_in_all_spellings(name: str) -> None:
    assert is_unfinished(name)


@pytest.mark.parametrize("name", ["a.part", ".hidden", "part", ".part.txt", "a.note", "ä.part", ".ä"])
def test_a_name_that_only_looks_a_little_like_those_is_one_like_any_other(name: str) -> None:
    assert not is_unfinished(name)


@pytest.mark.parametrize("name", ["name", "Name.", "cafe\u0301", "caf\u00e9.", "ﬁ", "STRASSE", "日本語", "..."])
def test_where_names_are_not_folded_no_folder_is_read(
    tmp_path: Path, folder: int, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).touch()
    read = refuse(monkeypatch, os, "scandir", errno.EIO)
    assert not has_other_spelling(folder, name)
    assert not read


def _plant_link(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize("plant", [Path.touch, _plant_link])
@pytest.mark.parametrize("length", [2, 100, 253])
def test_another_spelling_of_a_name_is_found_however_long_it_is(
    tmp_path: Path, folder: int, monkeypatch: pytest.MonkeyPatch, length: int, plant: Callable[[Path], None]
) -> None:
    fold, fit = folding(lambda name: unicodedata.normalize("NFKC", name)), at_most(255)
    see_names(monkeypatch, lambda name, where: fold(fit(name, where), where))
    rest = "n" * (length - 2)
    plant(tmp_path / f"ﬁ{rest}")
    assert has_other_spelling(folder, f"fi{rest}")
    assert not has_other_spelling(folder, f"ﬁ{rest}")


def test_a_saved_file_is_known_by_another_name_though_others_were_removed(tmp_path: Path) -> None:
    (tmp_path / "name").touch()
    saved, path = Saved(), LocalPath.of(str(tmp_path), "NAME")
    for letters in itertools.product("nN", "aA", "mM", "eE"):
        saved.add(LocalPath.of(str(tmp_path), "".join(letters)))
    saved.check(path)
    os.link(tmp_path / "name", tmp_path / "NAME")
    with pytest.raises(errors.NameTaken):
        saved.check(path)
