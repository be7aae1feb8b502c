"""Failures at the very end of a download: told only when a file is closed, or told of what was done all the same."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from chatfile import errors, partfile
from chatfile.paths import LocalPath
from chatfile.receiving import incoming_file
from tests.support.linked import CONTENT, Link, names, outcome, serving_a
from tests.support.serving import OLD, Server
from tests.support.torture import NOTHING, Fault, Seam, done_but_refused, refused


@pytest.fixture
def seam(monkeypatch: pytest.MonkeyPatch) -> Seam:
    seam = Seam()
    seam.install(monkeypatch, partfile.part, partfile.names, incoming_file)
    return seam


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return serving_a(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "downloads").mkdir()
    return tmp_path / "downloads"


@pytest.mark.parametrize("call", ["close", "link"])
def test_what_has_come_is_kept_for_the_next_time(server: Server, folder: Path, seam: Seam, call: str) -> None:
    seam.strike(refused(errno.EIO, call), 0)
    assert isinstance(outcome(Link(server, folder).get()), errors.LocalFileError)
    assert names(folder) == [".a.note", ".a.part"]
    saved = outcome(Link(server, folder).get())
    assert (saved.resumed_from, (folder / "a").read_bytes()) == (len(CONTENT), CONTENT)


@pytest.mark.parametrize(
    ("fault", "force"),
    [
        (done_but_refused(errno.EEXIST, "link"), False),
        (done_but_refused(errno.EIO, "link"), False),
        (done_but_refused(errno.EIO, "replace"), True),
    ],
)
def test_a_name_that_was_given_all_the_same_is_no_failure(
    server: Server, folder: Path, seam: Seam, fault: Fault, force: bool
) -> None:
    seam.strike(fault, 0)
    assert outcome(Link(server, folder).get(force=force)).verified
    assert seam.struck
    assert (folder / "a").read_bytes() == CONTENT
    assert outcome(Link(server, folder).get()).already
    assert names(folder) == ["a"]


def test_a_name_that_was_given_to_one_of_several_all_the_same_is_no_failure(
    folder: Path, seam: Seam, monkeypatch: pytest.MonkeyPatch
) -> None:
    seam.install(monkeypatch, partfile.together)
    files = [partfile.WholeFile(LocalPath.of(str(folder), name), OLD, CONTENT) for name in ("a", "b")]
    seam.strike(done_but_refused(errno.EIO, "link"), 1)
    assert partfile.save_together(files, create_folder=False) == [True, True]
    assert seam.struck
    assert names(folder) == ["a", "b"]


@pytest.mark.parametrize("fault", [refused(errno.EIO, "stat"), NOTHING], ids=str)
@pytest.mark.parametrize("after", range(6))
def test_without_links_what_can_not_be_looked_at_is_not_replaced(
    server: Server, folder: Path, seam: Seam, monkeypatch: pytest.MonkeyPatch, fault: Fault, after: int
) -> None:
    def no_links(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    link = Link(server, folder)
    link.altered = lambda data: (folder / "a").write_bytes(b"mine") and data
    seam.strike(fault, after)
    assert isinstance(outcome(link.get()), errors.LocalFileError)
    assert (folder / "a").read_bytes() == b"mine"
