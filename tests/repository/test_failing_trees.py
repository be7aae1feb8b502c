"""Every call to the system on the way through folders fails once: refused, never wrong, and nothing is left open."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from chatfile import errors, fdio, paths, repository
from chatfile.paths import descend, enter_or_make
from chatfile.repository import Repository
from tests.support.leftovers import open_descriptors
from tests.support.torture import Fault, Seam, refused
from tests.support.trees import plant

FILES = ["a/b/c/three", "a/b/two", "a/one", "top"]
GONE = [refused(errno.ENOENT), refused(errno.ENOTDIR, "open", "scandir"), refused(errno.EACCES, "open", "entry's stat")]
"""What is not there, or may not be read: a tree goes on without it."""
FAILS = [
    refused(errno.EIO),
    refused(errno.EMFILE, "open", "scandir"),
    refused(errno.ESTALE, "open", "fstat", "scandir's next", "entry's stat"),
    refused(errno.EINTR, "close"),
]


@pytest.fixture
def seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Seam:
    for path in FILES:
        plant(tmp_path, f"served/{path}", b"x")
    seam = Seam()
    seam.install(monkeypatch, repository, paths, fdio)
    return seam


def struck(seam: Seam, fault: Fault, ask: Callable[[], object], check: Callable[[object], bool]) -> set[str]:
    """Let each call of `ask` fail once; the result is the names of the calls."""
    seen = set()
    for after in itertools.count():
        before = open_descriptors("self")
        seam.strike(fault, after)
        try:
            result = ask()
        except (errors.Unavailable, errors.NoSuchFile) as refusal:
            result = refusal
        seam.rest()
        if not seam.struck:
            break
        seen.update(seam.struck)
        assert check(result), (fault, after, seam.struck, result)
        assert open_descriptors("self") == before, (fault, after, seam.struck)
    return seen


@pytest.mark.parametrize("fault", [*FAILS, *GONE], ids=str)
def test_a_tree_of_which_a_call_fails(seam: Seam, tmp_path: Path, fault: Fault) -> None:
    served = Repository(str(tmp_path / "served"), is_recursive=True)

    def ask() -> list[str]:
        return [entry.name for entry in served.tree("", most=100)]

    def check(result: object) -> bool:
        if isinstance(result, list):
            return result == FILES or (fault in GONE and set(result) < set(FILES))
        return isinstance(result, errors.Unavailable)

    seen = struck(seam, fault, ask, check)
    assert seen & {"open", "close"}
    assert ask() == FILES


@pytest.mark.parametrize("fault", [*FAILS, *GONE], ids=str)
def test_a_path_of_which_a_call_fails(seam: Seam, tmp_path: Path, fault: Fault) -> None:
    served = Repository(str(tmp_path / "served"), is_recursive=True)

    def ask() -> int:
        opened = served.open("a/b/c/three")
        opened.close()
        return opened.size

    seen = struck(seam, fault, ask, lambda result: result == 1 or isinstance(result, errors.Refusal))
    assert seen & {"open", "close"}
    assert ask() == 1


@pytest.mark.parametrize(
    "fault", [*FAILS, *GONE, refused(errno.ENOSPC, "mkdir"), refused(errno.EEXIST, "mkdir")], ids=str
)
def test_folders_of_which_a_call_fails_as_they_are_made(seam: Seam, tmp_path: Path, fault: Fault) -> None:
    def ask() -> object:
        for folder in ("new/inner", "new"):
            if (tmp_path / folder).exists():
                (tmp_path / folder).rmdir()
        try:
            os.close(descend(os.open(tmp_path, os.O_RDONLY), ["new", "inner"], enter_or_make))
        except OSError as error:
            return error
        return (tmp_path / "new/inner").is_dir()

    struck(seam, fault, ask, lambda result: result is True or isinstance(result, OSError))
    assert ask() is True
