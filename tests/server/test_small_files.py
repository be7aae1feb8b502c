"""Small files: read in one call in a thread, several in one where requests wait, and answered as all others are."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from chatfile.repository import OpenFile, Repository
from chatfile.server import small_files
from chatfile.server.small_files import SMALL, FileReader, ReadAhead
from tests.support.changes import CHANGES, CONTENT, Change
from tests.support.serving import Peer, Server, sha256
from tests.support.transports import FullTransport, Threads

REQUESTS = (
    [b"get tiny", b"get empty", b"get missing", b"get .hidden", b"get folder", b"get most", b"get more", b"get tiny"],
    [b"hash tiny", b"hash empty", b"hash missing", b"hash more", b"HASH most", b"get tiny"],
    [b"get tiny", b"resume 2 tiny", b"resume 4 tiny", b"resume 5 tiny", b"resume 9 more", b"get more"],
    [b"get tiny", b"get", b"get tiny\r", b"get ../x", b"hello", b"get tiny", b"get tiny", b"list", b"hash tiny"],
    [b"get tiny", b"get \xff", b"get tiny", b"get " + b"x" * 5000, b"get tiny", b"get tiny", b"exit", b"get tiny"],
)


@pytest.fixture(autouse=True)
def busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long it takes to read is no matter here."""
    monkeypatch.setattr(ReadAhead, "SECONDS", math.inf)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    contents = {"tiny": b"tiny", "empty": b"", "most": bytes(SMALL), "more": b"x" * (SMALL + 1), ".hidden": b"no"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, (1e9, 1e9))
    (tmp_path / "folder").mkdir()
    return tmp_path


def _answers(folder: Path, lines: list[bytes], *, pieces: int, hashing: bool = True) -> bytes:
    peer = Server(folder, hashing=hashing).greeted()
    data = b"".join(line + b"\n" for line in lines)
    size = -(-len(data) // pieces)
    for at in range(0, len(data), size):
        peer.sends(data[at : at + size])
    return peer.transport.value()


@pytest.mark.parametrize("lines", REQUESTS)
@pytest.mark.parametrize("hashing", [True, False], ids=["hashing", "not hashing"])
def test_answers_do_not_depend_on_how_a_file_is_read_or_what_comes_together(
    folder: Path, monkeypatch: pytest.MonkeyPatch, lines: list[bytes], hashing: bool
) -> None:
    together = _answers(folder, lines, pieces=1, hashing=hashing)
    in_pieces = _answers(folder, lines, pieces=7, hashing=hashing)
    monkeypatch.setattr(small_files, "SMALL", -1)
    assert together == in_pieces == _answers(folder, lines, pieces=1, hashing=hashing)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("line", [b"get a", b"resume 1500 a", b"hash a"])
def test_a_file_that_changes_between_open_and_read_has_the_same_answer_as_a_large_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Change, line: bytes, logged_errors: list[str]
) -> None:
    outcomes = []
    for size in (SMALL, -1):
        monkeypatch.setattr(small_files, "SMALL", size)
        (tmp_path / str(size)).mkdir()
        with monkeypatch.context() as patched:
            outcomes.append(_answers_amid(tmp_path / str(size), change, line, patched))
    assert outcomes[0] == outcomes[1]
    logged_errors.clear()


def _answers_amid(folder: Path, change: Change, line: bytes, patched: pytest.MonkeyPatch) -> tuple[bytes, bool]:
    really, path = Repository.open, folder / "a"

    def open_and_change(repository: Repository, name: str) -> OpenFile:
        opened = really(repository, name)
        if not path.with_name("done").exists():
            path.with_name("done").touch()
            change.act(path)
            if path.is_file():
                os.utime(path, (2e9, 2e9))  # both runs have one time
        return opened

    path.write_bytes(CONTENT)
    os.utime(path, (1e9, 1e9))
    patched.setattr(Repository, "open", open_and_change)
    peer = Server(folder).greeted()
    peer.sends(line + b"\nhello\n")
    return peer.transport.value(), peer.transport.aborted


# --- how many calls ---


@pytest.mark.parametrize("word", [b"get", b"hash"])
def test_a_small_file_takes_one_call_in_a_thread(folder: Path, word: bytes) -> None:
    threads = Threads()
    peer = Server(folder, in_thread=threads).greeted()
    peer.sends(word + b" tiny\n")
    assert threads.run() == 1
    assert sha256(b"tiny") in peer.transport.value()
    assert not threads.waiting


@pytest.mark.parametrize("word", [b"get", b"hash"])
def test_small_files_that_are_asked_for_together_take_few_calls(folder: Path, word: bytes) -> None:
    threads = Threads()
    peer = Server(folder, in_thread=threads).greeted()
    peer.sends((word + b" tiny\n") * 64)
    calls = 0
    while threads.waiting:
        calls += threads.run()
    assert peer.transport.value().count(sha256(b"tiny")) == 64
    assert calls < 64 / 4


def test_a_call_reads_no_more_than_it_may(folder: Path) -> None:
    threads = Threads()
    server = Server(folder, in_thread=threads)
    peer = server.greeted()
    peer.sends(b"get most\n" * 32)
    threads.run()
    assert server.admission.records()[0].bytes <= ReadAhead.BYTES


def test_what_is_read_ahead_waits_for_a_client_that_does_not_read(folder: Path) -> None:
    server, transport = Server(folder), FullTransport()
    peer = server.greeted(transport)
    peer.sends(b"get most\n" * 32)
    for _ in range(32):
        transport.drain()
        assert server.admission.records()[0].bytes <= (server.admission.records()[0].files + 1) * SMALL
    assert server.admission.records()[0].files == 32


# --- a call that does not return ---


def test_a_file_that_hangs_keeps_those_before_it_waiting_for_a_moment_only(folder: Path) -> None:
    threads = Threads()
    server = Server(folder, in_thread=threads)
    peer = server.greeted()
    peer.sends(b"get tiny\nget empty\nget tiny\n")
    hanging, threads.waiting = threads.waiting, []
    server.pass_time(ReadAhead.PATIENCE + 0.1)
    threads.run_all()
    assert peer.transport.value().count(b"END") == 3
    threads.waiting = hanging
    threads.run_all()
    assert peer.says(b"hello")[-1] == b"hello ACK"


def test_what_a_call_has_read_by_then_is_used_although_it_hangs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = Threads()
    names = ["tiny", "empty", "more"]
    ahead = ReadAhead(FileReader(Repository(str(folder)), None), names, threads, Server(folder).clock)
    monkeypatch.setattr(ReadAhead, "SECONDS", 0.0)
    ahead._read_on()
    taken: list[object] = []
    Deferred.fromCoroutine(ahead.take()).addCallback(taken.append)
    assert [getattr(each, "content", None) for each in taken] == [b"tiny"]
    assert not threads.waiting


# --- an end in the middle ---


def _amid_a_run(folder: Path) -> tuple[Server, Peer, Threads]:
    """A client that was sent some of the files that it asked for in one go: the next one is not small."""
    threads = Threads()
    server = Server(folder, in_thread=threads)
    peer = server.greeted()
    peer.sends(b"get tiny\nget more\nget tiny\nget tiny\n")
    threads.run()
    return server, peer, threads


def test_a_drain_finishes_the_file_under_way_and_refuses_those_behind_it(folder: Path) -> None:
    server, peer, threads = _amid_a_run(folder)
    server.factory.drain(30)
    threads.run_all()
    assert peer.transport.value().count(b"END ") == 2
    assert peer.transport.value().splitlines()[-1].startswith(b"ERROR shutdown ")
    assert peer.is_closing()


def test_nothing_is_read_for_a_client_that_has_gone(folder: Path) -> None:
    server, peer, threads = _amid_a_run(folder)
    peer.vanishes()
    threads.run_all()
    assert server.admission.records()[0].files == 1


def test_a_peer_that_half_closes_gets_everything_that_it_asked_for(folder: Path) -> None:
    peer = Server(folder).greeted()
    peer.sends(b"get tiny\nget more\nhash tiny\nget tiny")
    peer.protocol.readConnectionLost()
    assert peer.transport.value().count(b"END ") == 3
    assert peer.is_closing()


def test_a_fault_of_our_own_amid_several_requests_closes_and_answers_no_more(
    folder: Path, monkeypatch: pytest.MonkeyPatch, logged_errors: list[str]
) -> None:
    peer = Server(folder).greeted()
    monkeypatch.setattr(ReadAhead, "_read_on", lambda _: 1 / 0)
    peer.sends(b"get tiny\nget tiny\n")
    assert [line.split()[:2] for line in peer.transport.lines()] == [[b"ERROR", b"internal"]]
    assert peer.is_closing()
    logged_errors.clear()
