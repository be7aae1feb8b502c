"""Paths and trees on the wire: what a path is, when `tree` is a command, and which rows no server may send."""

from __future__ import annotations

import os.path
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatfile import errors, wire
from chatfile.wire import (
    MAX_DEPTH,
    MAX_NUMBER,
    MAX_PATH,
    FileRow,
    Get,
    Hash,
    Message,
    Resume,
    Tree,
    TreeOrder,
    check_name,
    check_path,
    format_request,
    is_command,
    is_servable,
    is_servable_path,
    parse_in_tree,
    parse_request,
)

names = st.one_of(st.sampled_from(["a", "b", "a b", "é", "-", " ", "a."]), st.text(min_size=1, max_size=8)).filter(
    is_servable
)
paths = st.lists(names, min_size=1, max_size=MAX_DEPTH).map("/".join)
LONGEST = "/".join(["x" * 249] * 15 + ["x" * 250])


@pytest.mark.parametrize(
    "path",
    [
        *("a", "a/b", " / ", "a b/c d", "-/-", "a./b.", "grüße/文件/🐦", "a\\b/c", "C:/x", "~/x", "%2e%2e/x", "*/?"),
        *("/".join("abcdefghijklmnop"), LONGEST, "é" * 2000, "x" * 255 + "/" + "y" * 255),
    ],
)
def test_a_path_is_names_joined_by_slashes(path: str) -> None:
    assert is_servable_path(path)
    for request in (Get(path), Hash(path), Resume(MAX_NUMBER, path), Tree(path)):
        assert parse_request(format_request(request)) == request


def test_the_longest_path_is_as_long_as_it_may_be() -> None:
    assert (len(LONGEST), LONGEST.count("/") + 1) == (MAX_PATH, MAX_DEPTH)


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "//", "/a", "a/", "a//b", ".", "..", "./a", "../a", "a/.", "a/..", "a/../b", "a/./b", "/etc/passwd"),
        *(".h", ".h/a", "a/.h", "a/.h/b", "a/...", "a\0/b", "a/b\0", "a\n/b", "a/\tb", "a/\u2028", "a/\x85", "\x7f/a"),
        *("a/\ud800", "\udcff/a", "/".join("abcdefghijklmnopq"), f"{LONGEST}x", "é" * 2000 + "x", "a/" * 50_000 + "b"),
    ],
)
def test_anything_else_is_none(path: str) -> None:
    assert not is_servable_path(path)


@given(paths)
def test_a_path_stays_below_its_folder_and_on_its_line(path: str) -> None:
    assert is_servable_path(path) is (len(path.encode()) <= MAX_PATH)
    assert os.path.normpath(os.path.join("/served", path)) == f"/served/{path}"
    for request in (Get(path), Hash(path), Resume(0, path), Tree(path)):
        assert parse_request(format_request(request)) == request
    row = FileRow(1, 0, path)
    assert parse_in_tree(wire.format_reply(row)) == row


@given(paths, st.sampled_from(["", ".", "..", ".hidden", "a\nb", "a\0"]), st.integers(0, MAX_DEPTH))
def test_one_name_that_is_none_makes_the_path_none(path: str, name: str, at: int) -> None:
    parts = path.split("/")
    parts.insert(at, name)
    assert not is_servable_path("/".join(parts))


@given(st.text(max_size=20))
def test_a_name_without_a_slash_is_a_path_exactly_where_it_is_a_name(name: str) -> None:
    assert is_servable_path(name) is is_servable(name) or "/" in name


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("tree", Tree("")),
        ("TREE", Tree("")),
        ("tree a/", Tree("a")),
        ("Tree a/b/", Tree("a/b")),
        ("tree  a /", Tree(" a ")),
        ("tree a//", Tree("a/")),
        ("tree ../", Tree("..")),
        ("tree //", Tree("/")),
    ],
)
def test_tree_is_a_command_of_a_server_that_has_one(line: str, request_: Tree) -> None:
    assert parse_request(line.encode()) == request_
    assert parse_request(format_request(request_)) == request_
    assert parse_request(line.encode(), has_tree=False) == Message(line)
    assert is_command(line.encode())
    assert wire.acknowledge(line.encode() + b"\n", 0) == (b"", 0)


@pytest.mark.parametrize("line", ["tree ", "tree /", "tree a", "tree a/b", "tree a/ ", "trees", "tree\ta/", "treé a/"])
def test_anything_else_that_begins_so_is_a_message(line: str) -> None:
    for has_tree in (True, False):
        assert parse_request(line.encode(), has_tree=has_tree) == Message(line)
    assert not is_command(line.encode())
    assert format_request(Message(line)) == line.encode()


def test_a_message_that_some_servers_take_for_a_command_is_not_sent() -> None:
    with pytest.raises(errors.IsCommand):
        format_request(Message("tree a/"))


def accepted(found: list[str], folder: str = "") -> bool:
    order = TreeOrder(folder)
    try:
        for path in found:
            order.check(FileRow(0, 0, path))
    except errors.ProtocolViolation:
        return False
    return True


def test_a_row_is_compared_with_the_one_before_it() -> None:
    assert accepted(["a", "a-a", "a-b"])
    assert not accepted(["a", "a-b", "a-a"])
    assert not accepted(["a", "a"])


def test_what_is_a_file_and_a_folder_is_named() -> None:
    order = TreeOrder("")
    order.check(FileRow(0, 0, "a"))
    order.check(FileRow(0, 0, "a-"))
    with pytest.raises(errors.ProtocolViolation, match='"a-" is a file and a folder'):
        order.check(FileRow(0, 0, "a-/b"))


@pytest.mark.parametrize(("check", "good", "bad"), [(check_name, "a", "a/b"), (check_path, "a/b", "a//b")])
def test_what_no_server_has_is_refused_before_it_is_asked_for(
    check: Callable[[str], None], good: str, bad: str
) -> None:
    check(good)
    with pytest.raises(errors.BadName):
        check(bad)


few = st.lists(st.sampled_from(["a", "b", "a-", "aa", "a0", "é"]), min_size=1, max_size=4).map("/".join)


@given(st.lists(few, max_size=8), st.booleans(), st.sampled_from(["", "a", "a/a", "a-"]))
def test_rows_of_a_tree_are_those_that_a_folder_can_have_in_their_order(
    found: list[str], is_sorted: bool, folder: str
) -> None:
    if is_sorted:
        found = sorted(set(found))
    is_in_order = found == sorted(set(found))
    is_two_things = any(other.startswith(f"{path}/") for path in found for other in found)
    is_outside = bool(folder) and not all(path.startswith(f"{folder}/") for path in found)
    assert accepted(found, folder) is (is_in_order and not is_two_things and not is_outside)


def test_a_tree_whose_every_path_begins_with_the_one_before_is_checked_in_its_length() -> None:
    """Not in the square of it: the stack of those that could be folders is looked at from its top alone."""
    assert accepted(
        ["a" * length for length in range(1, 3000)] + ["a" * 3000 + str(each) for each in range(10_000, 20_000)]
    )
