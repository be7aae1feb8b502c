"""The client and trees: what it asks for, and a server that sends anything but a tree."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from chatfile import errors, wire
from chatfile.wire import FileRow
from tests.support.linked import Link
from tests.support.serving import Server
from tests.support.talking import Talk, result_of
from tests.support.trees import plant

TIME = b"2026-11-22T12:00:00Z"
NOON = 1_795_348_800


def row(path: str) -> bytes:
    return b"5 %s %s" % (TIME, path.encode())


def tree_of(*paths: str) -> bytes:
    return b"".join(line + b"\n" for line in (b"TREE %d" % len(paths), *map(row, paths)))


def answered(talk: Talk, said: bytes, folder: str = "") -> object:
    return outcome(talk, talk.client.tree(folder), said)


def outcome(talk: Talk, asked: Deferred[Any], said: bytes) -> Any:
    """What comes of what was asked when the server has said that; a connection that is reset is gone then."""
    talk.server_says(said)
    if talk.transport.aborted:
        talk.closes()
    return result_of(asked)


@pytest.mark.parametrize(
    ("folder", "line"), [("", b"tree\n"), ("a", b"tree a/\n"), ("a b/é", "tree a b/é/\n".encode())]
)
def test_it_asks_for_all_or_for_a_folder(talk: Talk, folder: str, line: bytes) -> None:
    path = f"{folder}/x" if folder else "x"
    assert answered(talk, tree_of(path), folder) == [FileRow(5, NOON, path)]
    assert talk.transport.value() == line


def test_a_tree_is_a_sequence_of_rows(talk: Talk) -> None:
    paths = ["a-", "a/b", "a/c/d", "a0", "b", "é/\uff61", "é/\U0001d4b3"]
    assert answered(talk, tree_of(*paths)) == [FileRow(5, NOON, path) for path in paths]
    assert answered(talk, b"TREE 0\n") == []


VIOLATIONS = {
    "above": ["../x"],
    "above, within": ["a/../../x"],
    "absolute": ["/etc/passwd"],
    "an empty component": ["a//b"],
    "a folder": ["a/"],
    "the folder itself": ["a/."],
    "hidden": [".x"],
    "hidden, within": ["a/.x"],
    "in a hidden folder": ["a/.b/c"],
    "a control character": ["a/b\x1b[2J"],
    "a line separator": ["a/b\u2028c"],
    "17 deep": ["/".join("abcdefghijklmnopq")],
    "a hundred thousand levels": ["a/" * 100_000 + "a"],
    "as many as a line can hold": ["a/" * 4000 + "a"],
    "over 4000 bytes": ["x" * 4001],
    "not sorted": ["b", "a"],
    "not sorted by code point": ["a/b", "a-"],
    "not sorted, far away": ["a/b", "c", "a/c"],
    "twice": ["a/b", "a/b"],
    "a file and a folder": ["a", "a/b"],
    "a file and a folder, far away": ["a", "a!", "a-/x", "a/b"],
    "a file and a folder, deep": ["a/b/c", "a/b/c-", "a/b/c/d/e"],
}


@pytest.mark.parametrize("paths", VIOLATIONS.values(), ids=VIOLATIONS.keys())
def test_what_no_server_may_send_ends_the_connection(talk: Talk, paths: list[str]) -> None:
    assert isinstance(answered(talk, tree_of(*paths)), errors.ProtocolViolation)
    assert talk.transport.aborted


@pytest.mark.parametrize("path", ["b/x", "a", "ab/x", "A/x", "a-/x", "x/a/x"])
def test_a_row_outside_of_the_folder_does_as_well(talk: Talk, path: str) -> None:
    assert isinstance(answered(talk, tree_of(path), "a"), errors.ProtocolViolation)


@pytest.mark.parametrize(
    "said",
    [
        *(b"TREE 100001\n", b"TREE -1\n", b"TREE\n", b"LIST 0\n", b"tree ACK\n", b"tree a/ ACK \n", b"TREE a/ ACK\n"),
        *(b"TREE 1\n5 a\n", b"TREE 1\ntree a/ ACK\n", b"TREE 1\n5 2026-11-22T12:00:00Z a/\xff\n"),
    ],
)
def test_what_is_no_tree_is_a_violation(talk: Talk, said: bytes) -> None:
    assert isinstance(answered(talk, said, "a"), errors.ProtocolViolation)


@pytest.mark.parametrize("folder", ["", "a", "a b/c"])
def test_a_server_without_subfolders_is_told_from_one_that_lies_and_is_used_on(talk: Talk, folder: str) -> None:
    request = f"tree {folder}/" if folder else "tree"
    assert isinstance(answered(talk, f"{request} ACK\n".encode(), folder), errors.NoSubfolders)
    listing = talk.client.listing()
    talk.server_says(b"LIST 0\n")
    assert (result_of(listing), talk.transport.aborted) == ([], False)


@pytest.mark.parametrize(
    ("code", "kind"),
    [("no-such-file", errors.NoSuchFile), ("usage", errors.Usage), ("unavailable", errors.Unavailable)],
)
def test_a_refusal_is_one(talk: Talk, code: str, kind: type[errors.Refusal]) -> None:
    assert isinstance(answered(talk, f"ERROR {code} It is.\n".encode(), "a"), kind)
    assert not talk.transport.aborted


@pytest.mark.parametrize("folder", ["a\nexit", "a\x1b", "\ud800", "x" * 5000])
def test_a_folder_that_fits_on_no_line_is_not_asked_for(talk: Talk, folder: str) -> None:
    with pytest.raises((errors.BadLine, errors.LineTooLong)):
        talk.client.tree(folder)
    assert talk.transport.value() == b""


def test_a_path_is_hashed_and_fetched_where_it_was_asked_for(talk: Talk, sink: int) -> None:
    asked = talk.client.hash("a/b")
    talk.server_says(b"HASH - 5 %s a/b\n" % TIME)
    assert result_of(asked) == wire.Digest(None, 5, NOON, "a/b")
    coming = talk.client.get("a/b", sink)
    talk.server_says(b"FILE 5 %s a/b\nhelloEND -\n" % TIME)
    assert result_of(coming).header == wire.FileHeader(5, NOON, "a/b")
    assert os.pread(sink, 99, 0) == b"hello"


@pytest.mark.parametrize("path", ["../a", "/a", "a//b", "a/.b", "a/"])
def test_a_path_that_is_none_is_not_taken_even_where_it_was_asked_for(talk: Talk, sink: int, path: str) -> None:
    said = b"FILE 5 %s %s\nhelloEND -\n" % (TIME, path.encode())
    assert isinstance(outcome(talk, talk.client.get(path, sink), said), errors.ProtocolViolation)
    assert os.pread(sink, 99, 0) == b""


def test_a_listing_with_a_path_is_still_a_violation(talk: Talk) -> None:
    assert isinstance(outcome(talk, talk.client.listing(), b"LIST 1\n%s\n" % row("a/b")), errors.ProtocolViolation)


def test_what_a_server_shows_it_sends(tmp_path: Path, sink: int) -> None:
    for path in ("a/b/two", "a/one", "top"):
        plant(tmp_path, f"served/{path}", path.encode())
    link = Link(Server(tmp_path / "served", recursive=True), tmp_path)
    asked = [link.client.tree(), link.client.tree("a/b"), link.client.tree("b"), link.client.listing()]
    link.carry()
    everything, some, none, listed = map(result_of, asked)
    assert [each.name for each in everything] == ["a/b/two", "a/one", "top"]
    assert ([each.name for each in some], [each.name for each in listed]) == (["a/b/two"], ["top"])
    assert isinstance(none, errors.NoSuchFile)
    for each in everything:
        coming = link.client.get(each.name, sink)
        link.carry()
        received = result_of(coming)
        assert (received.verified, received.header.size) == (True, each.size)


def test_a_server_without_subfolders_says_so(tmp_path: Path) -> None:
    link = Link(Server(tmp_path), tmp_path)
    asked = link.client.tree()
    link.carry()
    assert isinstance(result_of(asked), errors.NoSubfolders)
