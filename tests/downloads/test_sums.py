"""Digests from elsewhere: lists as `sha256sum` writes them, and downloads that must match them."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from chatfile import errors, wire
from chatfile.downloads import Download, DownloadAhead, format_sums, parse_sums
from tests.support.linked import CONTENT, Link, interrupted_after, names, outcome, serving_a
from tests.support.serving import OLD, Server
from tests.support.transports import at_once, turn_over

ONE, TWO = hashlib.sha256(b"1").hexdigest(), hashlib.sha256(b"2").hexdigest()
RIGHT = hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize(
    ("content", "sums"),
    [
        (b"", {}),
        (f"{ONE}  a\n".encode(), {"a": ONE}),
        (f"{ONE} *a\n".encode(), {"a": ONE}),
        (f"{ONE}  a".encode(), {"a": ONE}),
        (f"{ONE}  a\r\n{TWO} *b\r\n".encode(), {"a": ONE, "b": TWO}),
        (f"{ONE.upper()}  a\n".encode(), {"a": ONE}),
        (f"{ONE}  ./a b  c \n".encode(), {"a b  c ": ONE}),
        (f"{ONE}  docs/é\n".encode(), {"docs/é": ONE}),
        (f"\\{ONE}  a\\\\b\n".encode(), {"a\\b": ONE}),
        (f"{ONE}  a\\\\b\n".encode(), {"a\\\\b": ONE}),
        (f"{ONE}  a\n\n{ONE}  a\n".encode(), {"a": ONE}),
        (f"{ONE}   a\n".encode(), {" a": ONE}),
        (f"{ONE}  *a\n".encode(), {"*a": ONE}),
    ],
    ids=str,
)
def test_a_list_of_sha256sum_is_understood(content: bytes, sums: dict[str, str]) -> None:
    assert parse_sums(content, "SUMS") == sums


@pytest.mark.parametrize(
    "line",
    [
        b"a",
        ONE.encode(),
        f"{ONE} a".encode(),
        f"{ONE[:-1]}  a".encode(),
        f"{ONE}0  a".encode(),
        f" {ONE}  a".encode(),
        f"{ONE}  ../x".encode(),
        f"{ONE}  /etc/passwd".encode(),
        f"{ONE}  .hidden".encode(),
        f"{ONE}  a/../b".encode(),
        f"{ONE}  a\x1b[2Jb".encode(),
        f"{ONE}  ".encode() + b"\xff",
        f"\\{ONE}  a\\nb".encode(),
        f"\\{ONE}  a\\xb".encode(),
        f"{TWO}  first".encode(),
        f"SHA256 (a) = {ONE}".encode(),
    ],
    ids=str,
)
def test_a_line_that_is_none_is_told_with_its_number(line: bytes) -> None:
    with pytest.raises(errors.BadSums, match='Line 2 of "S"'):
        parse_sums(f"{ONE}  first\n".encode() + line + b"\n", "S")


def test_a_long_list_takes_no_long_time() -> None:
    content = b"".join(b"%b  file %d\n" % (ONE.encode(), number) for number in range(100_000))
    assert len(parse_sums(content, "S")) == 100_000


NAMES = st.text(min_size=1, max_size=20).filter(lambda name: wire.is_servable(name) and not name.startswith("./"))


@given(st.dictionaries(NAMES, st.sampled_from([ONE, TWO])))
def test_what_is_written_is_read(sums: dict[str, str]) -> None:
    assert parse_sums(format_sums(sums), "S") == sums


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="there is no sha256sum here")
def test_sha256sum_reads_what_is_written_and_the_reverse(tmp_path: Path) -> None:
    files = {"a": b"1", "b c": b"2", "back\\slash": b"3", "-": b"4"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    (tmp_path / "SUMS").write_bytes(format_sums({name: sha for name, sha in sums.items() if name != "-"}))
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SUMS"], cwd=tmp_path, check=True)
    written = subprocess.run(
        ["sha256sum", *(f"./{name}" for name in files)], cwd=tmp_path, check=True, capture_output=True
    )
    assert parse_sums(written.stdout, "S") == sums


# --- downloads ---


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "downloads"
    folder.mkdir()
    return folder


@pytest.fixture
def link(tmp_path: Path, folder: Path) -> Link:
    return Link(serving_a(tmp_path), folder)


@pytest.mark.parametrize("sha256", [RIGHT, RIGHT.upper()])
def test_a_file_that_matches_is_saved(link: Link, folder: Path, sha256: str) -> None:
    assert outcome(link.get(sha256=sha256)) == Download("a", str(folder / "a"), len(CONTENT), RIGHT, True, 0)


def test_one_that_does_not_match_is_not_kept(link: Link, folder: Path) -> None:
    error = outcome(link.get(sha256=ONE))
    assert isinstance(error, errors.DigestMismatch)
    assert "expected" in str(error)
    assert names(folder) == []


@pytest.mark.parametrize("sha256", [RIGHT, ONE])
def test_it_stands_for_the_digest_of_a_server_that_does_not_hash(tmp_path: Path, folder: Path, sha256: str) -> None:
    (tmp_path / "served").mkdir()
    server = Server(tmp_path / "served", hashing=False)
    server.put("a", CONTENT)
    result = outcome(Link(server, folder).get(sha256=sha256))
    if sha256 == RIGHT:
        assert (result.verified, result.sha256, names(folder)) == (True, RIGHT, ["a"])
    else:
        assert isinstance(result, errors.DigestMismatch)
        assert names(folder) == []


def test_of_a_file_that_is_here_and_matches_the_server_is_asked_nothing(link: Link, folder: Path) -> None:
    (folder / "a").write_bytes(CONTENT)
    result = outcome(link.get(sha256=RIGHT))
    assert (result.already, result.verified) == (True, True)
    assert link.requests == [b"Client01"]


@pytest.mark.parametrize("force", [True, False])
def test_a_file_that_is_here_and_does_not_match_stays_or_is_replaced(link: Link, folder: Path, force: bool) -> None:
    (folder / "a").write_bytes(CONTENT[::-1])
    result = outcome(link.get(sha256=RIGHT, force=force))
    assert result.verified if force else isinstance(result, errors.TargetExists)
    assert (folder / "a").read_bytes() == (CONTENT if force else CONTENT[::-1])


def test_force_keeps_what_is_here_where_the_server_has_another_one(link: Link, folder: Path) -> None:
    (folder / "a").write_bytes(b"mine")
    assert isinstance(outcome(link.get(sha256=ONE, force=True)), errors.DigestMismatch)
    assert (folder / "a").read_bytes() == b"mine"


def test_a_part_is_resumed_without_a_digest_of_the_server(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "served").mkdir()
    server = Server(tmp_path / "served", hashing=False, limit=100)
    server.put("a", CONTENT)
    interrupted_after(server, folder, 1000)
    result = outcome(Link(server, folder).get(sha256=RIGHT))
    assert (result.resumed_from, result.verified) == (1000, True)


@pytest.mark.parametrize("hashing", [True, False])
@pytest.mark.parametrize("size", [10, 100_000])
def test_of_many_files_only_those_that_match_are_kept(tmp_path: Path, folder: Path, hashing: bool, size: int) -> None:
    (tmp_path / "served").mkdir()
    server = Server(tmp_path / "served", hashing=hashing)
    contents = {name: name.encode() * size for name in ("a", "b", "c", "d")}
    for name, content in contents.items():
        server.put(name, content)
    (folder / "c").write_bytes(contents["c"])
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()} | {"b": ONE}
    del sums["d"]
    rows = [wire.FileRow(len(content), OLD, name) for name, content in contents.items()]
    link = Link(server, folder)
    ahead = DownloadAhead(rows, str(folder), sums=sums, in_thread=at_once)
    results: list[Any] = []
    for number in range(len(rows)):
        getting = Deferred.fromCoroutine(ahead.download(link.client, number))
        for _ in range(3):
            link.carry()
            turn_over(server.clock)
        results.append(outcome(getting))
    a, b, c, d = results
    assert (a.verified, a.sha256, c.already, c.verified, d.verified) == (True, sums["a"], True, True, hashing)
    assert isinstance(b, errors.DigestMismatch)
    assert names(folder) == ["a", "c", "d"]
    assert not any(line.endswith(b" c") for line in link.requests)
