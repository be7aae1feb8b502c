"""A folder that comes and goes, or may not be read: unavailable, until it can be had again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.exchanges import BY_BOTH_WAYS, Answer, Copied, Exchange, exchanging
from tests.support.serving import Server, sha256
from tests.support.trees import as_another_user

CONTENT = bytes(range(251)) * 16
REQUESTS = [b"get a", b"resume 10 a", b"hash a"]
UNAVAILABLE = Answer("unavailable")


def _replaced_by_a_link(to: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        folder.rename(folder.with_name("away"))
        folder.symlink_to(to)

    return act


def _removed(folder: Path) -> None:
    shutil.copytree(folder, folder.with_name("away"))
    shutil.rmtree(folder)


def _replaced_by_a_file(folder: Path) -> None:
    folder.rename(folder.with_name("away"))
    folder.write_bytes(CONTENT)


def _comes_back(folder: Path) -> None:
    if folder.is_symlink() or folder.exists():
        folder.unlink()
    folder.with_name("away").rename(folder)


GOES = pytest.mark.parametrize(
    "goes",
    [
        pytest.param(lambda folder: folder.rename(folder.with_name("away")), id="renamed"),
        pytest.param(_removed, id="removed"),
        pytest.param(_replaced_by_a_file, id="a file"),
        pytest.param(_replaced_by_a_link("nowhere"), id="a dangling link"),
        pytest.param(_replaced_by_a_link("files"), id="a link to itself"),
    ],
)


@GOES
@pytest.mark.parametrize("request_line", [b"list", *REQUESTS])
def test_a_folder_that_is_gone_is_unavailable_and_can_come_back(
    tmp_path: Path, goes: Callable[[Path], None], request_line: bytes
) -> None:
    with exchanging(Copied, tmp_path / "files", CONTENT) as exchange:
        goes(tmp_path / "files")
        assert exchange.fetch(request_line) == UNAVAILABLE
        assert str(tmp_path).encode() not in exchange.received
        _comes_back(tmp_path / "files")
        assert exchange.fetch(b"get a").body == CONTENT


@BY_BOTH_WAYS
@GOES
def test_a_folder_that_goes_under_way_takes_no_file_with_it(
    tmp_path: Path, kind: type[Exchange], goes: Callable[[Path], None]
) -> None:
    with exchanging(kind, tmp_path / "files", CONTENT) as exchange:
        exchange.asks(b"get a\nhello\n")
        exchange.sends(1)
        goes(tmp_path / "files")
        assert exchange.ends() == Answer("END", CONTENT, sha256(CONTENT))


def test_a_folder_in_the_place_of_another_is_what_is_served(tmp_path: Path) -> None:
    with exchanging(Copied, tmp_path / "files", CONTENT) as exchange:
        exchange.server.folder.rename(tmp_path / "away")
        exchange.server.folder.mkdir()
        assert exchange.fetch(b"get a") == Answer("no-such-file")
        exchange.server.put("a", b"new")
        assert exchange.fetch(b"get a") == Answer("END", b"new", sha256(b"new"))


def test_a_listing_while_files_come_and_go_has_those_that_stay_once_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(tmp_path)
    for number in range(20):
        server.put(f"stays {number}", b"x")
        server.put(f"goes {number}", b"y")
    look, coming = os.scandir, iter(range(1000))

    @contextmanager
    def scan(where: int) -> Iterator[Iterator[os.DirEntry[str]]]:
        with look(where) as found:
            yield (_swap(tmp_path, entry, next(coming)) for entry in found)

    monkeypatch.setattr(os, "scandir", scan)
    header, *rows = server.greeted().says(b"list")
    names = [row.split(b" ", 2)[2] for row in rows]
    assert header == b"LIST %d" % len(rows)
    assert (names, len(names)) == (sorted(set(names)), len(set(names)))
    assert {name for name in names if name.startswith(b"stays")} == {b"stays %d" % number for number in range(20)}
    assert not any(name.startswith(b"goes") for name in names)


def _swap(folder: Path, entry: os.DirEntry[str], number: int) -> os.DirEntry[str]:
    """Between the name and the look at it: what goes has gone, and something has come."""
    if entry.name.startswith("goes"):
        (folder / entry.name).unlink()
    if number < 50:
        (folder / f"came {number}").touch()
    return entry


# --- what may not be read ---


@pytest.fixture
def unprivileged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of the working directory, for one who can't read whatever there is."""
    monkeypatch.chdir(tmp_path)
    with as_another_user(tmp_path):
        server = Server(Path())
        server.put("a", CONTENT)
        server.put("b", b"")
        yield server


def _codes(server: Server, *lines: bytes) -> list[bytes]:
    return [line.split(b" ")[1] for line in server.greeted().says(*lines) if line.startswith(b"ERROR ")]


def test_a_file_that_may_not_be_read_is_listed_and_unavailable_until_it_may(unprivileged: Server) -> None:
    Path("b").chmod(0)
    assert _codes(unprivileged, b"get b", b"hash b", b"resume 0 b") == [b"unavailable"] * 3
    assert unprivileged.greeted().says(b"list")[0] == b"LIST 2"
    Path("b").chmod(0o600)
    assert unprivileged.greeted().says(b"get b")[0].startswith(b"FILE 0 ")


@pytest.mark.parametrize("mode", [0, 0o111, 0o333, 0o444], ids=oct)
def test_a_folder_that_may_not_be_read_is_unavailable_until_it_may(unprivileged: Server, mode: int) -> None:
    folder = os.open(".", os.O_RDONLY)
    try:
        os.fchmod(folder, mode)
        assert _codes(unprivileged, b"list", b"get a", b"hash a", b"resume 0 a") == [b"unavailable"] * 4
        os.fchmod(folder, 0o700)
        assert unprivileged.greeted().says(b"list")[0] == b"LIST 2"
    finally:
        os.fchmod(folder, 0o700)
        os.close(folder)
