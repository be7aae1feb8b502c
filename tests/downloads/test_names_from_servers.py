"""What a server may make a client ask for and save: nothing that none may list, and nothing of the client's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from chatfile import errors, wire
from chatfile.cli.patterns import select
from chatfile.partfile.spelling import is_hidden, is_unfinished
from tests.support.hostile import GREET, Do, Hear, HostileServer, Send
from tests.support.linked import CONTENT, Link, names, outcome, serving_a
from tests.support.processes import run_client
from tests.support.serving import Server
from tests.support.talking import Talk, result_of
from tests.support.trees import tree

Hostile = Callable[..., HostileServer]
TIME = b"2026-11-22T12:00:00Z"
NOT_SERVABLE = [
    ".bash_profile",
    ".x.part",
    ".big.note",
    "..",
    ".",
    "../x",
    "a/b",
    "/a",
    "a\tb",
    "a\u2028b",
    "a\u2029b",
    "\x85",
]
"""Names that no server may list."""
NEITHER = [name for name in NOT_SERVABLE if name not in ("a/b", "\x85")]
"""Those that can be asked for, and are no paths either."""
HIDDEN = [".a", "\u200b.bash_profile", "\ufeff.profile", "\uff0ebashrc", "\u200c\u200d.x.part", "\u00ad.a"]
"""Those, and others that some file systems take for one that begins with a dot."""
OPEN = ["a", "a.b", "-rf", "…and more", "a\u200bb", "\u200ba", "日本語", "~"]


def row(name: str) -> bytes:
    return b"1 %s %s\n" % (TIME, name.encode())


@pytest.mark.parametrize("name", NOT_SERVABLE)
def test_a_row_that_no_server_may_list_ends_it(talk: Talk, name: str) -> None:
    listing = talk.client.listing()
    talk.server_says(b"LIST 3\n" + row("a") + row(name) + row("z"))
    talk.closes()
    assert isinstance(result_of(listing), errors.ProtocolViolation)


@pytest.mark.parametrize("name", NEITHER)
def test_a_file_that_no_server_may_list_is_not_taken(talk: Talk, sink: int, name: str) -> None:
    reply = talk.client.get(name, sink)
    talk.server_says(b"FILE 1 %s %s\nxEND -\n" % (TIME, name.encode()))
    talk.closes()
    assert isinstance(result_of(reply), errors.ProtocolViolation)


@pytest.mark.parametrize("name", NEITHER)
def test_nor_is_its_digest(talk: Talk, name: str) -> None:
    reply = talk.client.hash(name)
    talk.server_says(b"HASH - 1 %s %s\n" % (TIME, name.encode()))
    talk.closes()
    assert isinstance(result_of(reply), errors.ProtocolViolation)


@pytest.mark.parametrize("name", [*NOT_SERVABLE, "", "a\0", "\udcff"])
def test_it_is_not_asked_for(tmp_path: Path, name: str) -> None:
    link = Link(serving_a(tmp_path), tmp_path / "downloads")
    assert isinstance(outcome(link.get(name)), errors.BadName)
    assert link.requests == [b"Client01"]
    assert not (tmp_path / "downloads").exists()


@pytest.mark.parametrize("pattern", ["*", ".*", "?*", "[.]*", "*a*", "[!a]*", "\u200b*", "*.x.part"])
def test_no_pattern_matches_what_is_hidden_here_or_elsewhere(pattern: str) -> None:
    rows = [wire.FileRow(1, 0, name) for name in HIDDEN]
    assert [row.name for row in select((pattern,), rows)] == [pattern]
    with pytest.raises(errors.NoMatch):
        select(pattern, rows)


def test_patterns_match_all_else(tmp_path: Path) -> None:
    rows = [wire.FileRow(1, 0, name) for name in (*HIDDEN, *OPEN)]
    assert sorted(row.name for row in select(("*",), rows)) == sorted(OPEN)
    assert [is_hidden(name) for name in (*HIDDEN, *OPEN)] == [True] * len(HIDDEN) + [False] * len(OPEN)


OURS = [
    ".big.part",
    ".big.note",
    ".BIG.PART",
    ".x.Note",
    ".\uff50.\uff50art",
    ".a.pa\u200brt",
    "\u200b.big.part",
    ".big.part.",
]


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("force", [False, True])
def test_the_names_of_unfinished_downloads_are_nobodys_target(tmp_path: Path, name: str, force: bool) -> None:
    link = Link(serving_a(tmp_path), tmp_path / "downloads")
    assert is_unfinished(name)
    assert isinstance(outcome(link.get(save_as=name, force=force)), errors.LocalFileError)
    assert (link.requests, (tmp_path / "downloads").exists()) == ([b"Client01"], False)


@pytest.mark.parametrize("name", ["big.part", ".profile", ".note.txt", ".partial", ".b\u00e4r"])
def test_other_names_are_for_whoever_chooses_them(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "downloads"
    assert outcome(Link(serving_a(tmp_path), folder).get(save_as=name)).verified
    assert names(folder) == [name]


# --- the program ---

LISTING = [Hear(b"list"), Send(b"LIST 3\n" + row(".bash_profile") + row("big") + row(".big.part")), Do.STALL]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["get *", "get big *", "get big x", "list", "hash big"])
@pytest_twisted.ensureDeferred
async def test_a_server_that_lists_them_is_left(hostile: Hostile, tmp_path: Path, command: str) -> None:
    server = hostile([*GREET, *LISTING])
    address = f"127.0.0.1:{server.port}"
    done = await deferToThread(run_client, tmp_path, "-s", address, *command.split())
    assert done.returncode == 6
    assert not (tmp_path / "client_downloads").exists() or tree(tmp_path / "client_downloads") == {}
    assert not any(line.startswith(b"get") for each in server.connections for line in each.heard)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [["get", ".x"], ["get", ".*"], ["get", "a\tb"], ["get", "a\u2028b"], ["hash", ".x"]]
)
def test_names_that_no_server_has_are_a_matter_of_usage(arguments: list[str], tmp_path: Path) -> None:
    done = run_client(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, b"")


# --- what is kept, and servers that can't prove that it is theirs ---


def planted(tmp_path: Path, *, hashing: bool) -> Server:
    """A server of `a`, and in the folder of downloads a beginning that has its size and time, but not its bytes."""
    (tmp_path / "served").mkdir()
    server = Server(tmp_path / "served", hashing=hashing, limit=100)
    server.put("a", CONTENT)
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / ".a.part").write_bytes(CONTENT[:500][::-1])
    mtime = int((server.folder / "a").stat().st_mtime)
    (tmp_path / "downloads" / ".a.note").write_bytes(b"[%d, %d]" % (len(CONTENT), mtime))
    return server


def test_a_mixture_is_never_a_download_though_the_server_does_not_hash(tmp_path: Path) -> None:
    link = Link(planted(tmp_path, hashing=False), tmp_path / "downloads")
    saved = outcome(link.get())
    assert (saved.resumed_from, saved.verified, saved.size) == (0, False, len(CONTENT))
    assert ((tmp_path / "downloads" / "a").read_bytes(), names(tmp_path / "downloads")) == (CONTENT, ["a"])


def test_one_is_found_where_it_hashes(tmp_path: Path) -> None:
    server = planted(tmp_path, hashing=True)
    saved = outcome(Link(server, tmp_path / "downloads").get())
    assert (saved.resumed_from, saved.verified) == (0, True)
    assert ((tmp_path / "downloads" / "a").read_bytes(), names(tmp_path / "downloads")) == (CONTENT, ["a"])
