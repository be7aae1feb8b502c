"""`--recursive`: the requests that it adds, and that without it every byte is as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chatfile import wire
from tests.support.leftovers import at_end
from tests.support.processes import ServerProcess
from tests.support.serving import OLD, Server, sha256
from tests.support.transports import Threads
from tests.support.trees import plant

TIME = b"2017-07-14T02:40:00Z"
FILES = {"a/b/two": b"two\n", "a/one": b"one\n", "a-": b"minus\n", "a0": b"zero\n", "top": b"top\n", "é/é": b"e\n"}


def planted(folder: Path) -> Path:
    for path, content in FILES.items():
        plant(folder, path, content)
        os.utime(folder / path, (OLD, OLD))
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(planted(tmp_path), recursive=True)


def rows(*paths: str) -> list[bytes]:
    return [b"%d %s %s" % (len(FILES[path]), TIME, path.encode()) for path in paths]


def codes(answers: list[bytes]) -> list[bytes]:
    return [answer.split(b" ")[1] for answer in answers if answer.startswith(b"ERROR ")]


def test_the_tree_is_sorted_by_path_code_point_by_code_point(server: Server) -> None:
    assert server.greeted().says(b"tree") == [b"TREE 6", *rows("a-", "a/b/two", "a/one", "a0", "top", "é/é")]


def test_that_of_a_folder_has_whole_paths(server: Server) -> None:
    peer = server.greeted()
    assert peer.says(b"tree a/") == [b"TREE 2", *rows("a/b/two", "a/one")]
    assert peer.says(b"TREE a/b/", "tree é/".encode()) == [b"TREE 1", *rows("a/b/two"), b"TREE 1", *rows("é/é")]


def test_a_folder_that_is_not_there_is_no_such_file(server: Server) -> None:
    answers = server.greeted().says(
        b"tree b/", b"tree top/", b"tree ../", b"tree a//", b"tree //", b"tree .a/", b"hello"
    )
    assert codes(answers) == [b"no-such-file"] * 6
    assert answers[0] == b'ERROR no-such-file There is no folder "b/" here; "tree" shows what there is.'
    assert answers[-1] == b"hello ACK"


def test_what_it_shows_is_sent_hashed_and_resumed(server: Server) -> None:
    peer = server.greeted()
    for path, content in FILES.items():
        name, digest = path.encode(), sha256(content)
        header = b"FILE %d %s %s" % (len(content), TIME, name)
        assert peer.says(b"get " + name) == [header, content[:-1], b"END " + digest]
        assert peer.says(b"hash " + name) == [b"HASH %s %d %s %s" % (digest, len(content), TIME, name)]
        assert peer.says(b"resume 1 " + name)[1:] == [content[1:-1], b"END " + digest]
    assert (
        codes(peer.says(b"get a", b"get a/", b"hash a/../top", b"resume 0 /top", b"get ./top")) == [b"no-such-file"] * 5
    )
    assert codes(peer.says(b"resume 5 a/one")) == [b"bad-offset"]


def test_the_list_stays_flat_and_help_tells_of_the_tree(server: Server) -> None:
    peer = server.greeted()
    assert peer.says(b"list") == [b"LIST 3", *rows("a-", "a0", "top")]
    assert peer.says(b"help") == [b"HELP 10", *(row.encode() for row in wire.HELP_WITH_TREE)]
    assert set(wire.HELP) < set(wire.HELP_WITH_TREE)


def test_a_burst_of_messages_ends_where_a_tree_is_asked_for(server: Server) -> None:
    assert server.greeted().says(b"a", b"tree x", b"tree a/b/", b"tree ", b"tree /", b"b") == [
        *(b"a ACK", b"tree x ACK", b"TREE 1", *rows("a/b/two"), b"tree  ACK", b"tree / ACK", b"b ACK")
    ]


def test_the_longest_path_is_sent_from_the_largest_offset(tmp_path: Path) -> None:
    path = "/".join(["x" * 249] * 15 + ["y" * 250])
    plant(tmp_path, path, b"long\n")
    peer = Server(tmp_path, recursive=True).greeted()
    assert codes(peer.says(b"resume %d %s" % (wire.MAX_NUMBER, path.encode()))) == [b"bad-offset"]
    header, row = peer.says(b"tree")
    assert (header, row.split(b" ")[2], len(row) < wire.MAX_REPLY) == (b"TREE 1", path.encode(), True)
    assert peer.says(b"get " + path.encode())[1] == b"long"
    folder = path.rpartition("/")[0].encode()
    assert peer.says(b"tree " + folder + b"/") == [header, row]


def test_a_tree_of_too_many_files_asks_for_a_subfolder(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_TREE_ROWS", 5)
    answers = server.greeted().says(b"tree", b"tree a/", b"list")
    assert answers[0].startswith(b"ERROR usage There are more than 5 files or folders; ask for a subfolder")
    assert (answers[1], answers[4]) == (b"TREE 2", b"LIST 3")


# --- without it ---


def test_without_it_every_byte_is_as_it_was(tmp_path: Path) -> None:
    peer = Server(planted(tmp_path)).greeted()
    lines = [b"tree", b"TREE", b"tree a/", b"Tree a/b/", b"tree ", b"tree /", b"tree x"]
    assert peer.says(*lines) == [line + b" ACK" for line in lines]
    assert peer.says(b"list") == [b"LIST 3", *rows("a-", "a0", "top")]
    assert peer.says(b"help") == [
        b"HELP 8",
        b"get NAME            send the file NAME (size first, then its bytes, then its SHA-256)",
        b"resume OFFSET NAME  the same, from byte OFFSET on",
        b"hash NAME           the SHA-256, size and time of the file NAME",
        b"list                the files that there are",
        b"status              who is connected and who was",
        b"help                this text",
        b"exit                say goodbye",
        b"anything else       is a message, and comes back with ACK behind it",
    ]
    for path in ("a/one", "a/b/two", "a", "a/", "nowhere/x", "../x", "é/é"):
        name = path.encode()
        said = b'ERROR no-such-file There is no file "%s" here; "list" shows what there is.' % name
        assert peer.says(b"get " + name, b"hash " + name, b"resume 0 " + name) == [said] * 3


# --- many that ask ---


def test_a_scan_that_many_ask_for_at_once_is_one_and_a_list_does_not_wait_for_it(tmp_path: Path) -> None:
    lists, trees = Threads(), Threads()
    server = Server(planted(tmp_path), in_thread=lists, in_tree_thread=trees, recursive=True, limit=5)
    at_end(trees.run_all)
    peers = [server.greeted() for _ in range(5)]
    asked = [b"tree", b"tree", b"tree a/", b"tree", b"list"]
    assert [peer.says(line) for peer, line in zip(peers, asked, strict=True)] == [[]] * 5
    assert (len(trees.waiting), len(lists.waiting)) == (2, 1)
    lists.run_all()
    assert [peer.transport.lines()[:1] for peer in peers] == [[], [], [], [], [b"LIST 3"]]
    trees.run_all()
    heads = [peer.transport.lines()[:1] for peer in peers]
    assert heads == [[b"TREE 6"], [b"TREE 6"], [b"TREE 2"], [b"TREE 6"], []]


def test_a_scan_that_nobody_waits_for_any_more_is_not_gone_on_with(tmp_path: Path) -> None:
    trees = Threads()
    server = Server(planted(tmp_path), in_tree_thread=trees, recursive=True)
    first, second = server.greeted(), server.greeted()
    first.says(b"tree")
    second.says(b"tree")
    (waiting,) = trees.waiting
    job = waiting.arguments[0]
    first.vanishes()
    assert not job.stopped.is_set()  # type: ignore[attr-defined]
    second.vanishes()
    assert job.stopped.is_set()  # type: ignore[attr-defined]
    trees.run_all()


def test_nor_is_one_that_has_taken_too_long(tmp_path: Path) -> None:
    trees = Threads()
    server = Server(planted(tmp_path), in_tree_thread=trees, recursive=True)
    peer = server.greeted()
    peer.says(b"tree")
    (waiting,) = trees.waiting
    waiting.result.errback(TimeoutError(110, "the disk does not answer"))
    assert codes(peer.transport.lines()) == [b"unavailable"]
    assert waiting.arguments[0].stopped.is_set()  # type: ignore[attr-defined]
    trees.run_all()


# --- the program ---


def test_the_program_serves_subfolders_where_it_is_told_to(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    with ServerProcess(planted(tmp_path / "served"), "-r") as server, server.greeted() as client:
        server.log_until("Serving .*served and its subfolders at ")
        assert client.ask(b"tree a/") == b"TREE 2"
        assert [client.line(), client.line()] == rows("a/b/two", "a/one")
        assert client.ask(b"get a/b/two") == b"FILE 4 %s a/b/two" % TIME
        assert (client.line(), client.line()) == (b"two", b"END " + sha256(b"two\n"))
