"""Listings: one for all who ask before it begins, never older than its question, and shared by all who read it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from chatfile import errors
from chatfile.repository import Repository
from chatfile.server import Listings
from chatfile.server.listings import Listing
from tests.support.flooding import MIB, Memory
from tests.support.processes import ServerProcess
from tests.support.transports import Threads


class Asked:
    """A folder, and what came of those who asked for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.threads = Threads()
        self.listings = Listings(Repository(str(folder), is_recursive=True), self.threads, self.threads)

    def ask(self) -> tuple[Deferred[Listing], list[Any]]:
        seen: list[Any] = []
        asking = self.listings.ask()
        asking.addBoth(lambda result: seen.append(result.type if isinstance(result, Failure) else result))
        return asking, seen

    def put(self, *names: str) -> None:
        for name in names:
            (self.folder / name).touch()
            os.utime(self.folder / name, (0, 0))


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked(tmp_path)


def names(seen: list[Any]) -> list[bytes]:
    (listing,) = seen
    rows = b"".join(listing.pieces).splitlines()
    assert listing.count == len(rows)
    return [row.split(b" ", 2)[2] for row in rows]


def test_all_who_ask_before_it_begins_get_the_same_one(asked: Asked) -> None:
    asked.put("a")
    answers = [asked.ask()[1] for _ in range(3)]
    assert asked.threads.run() == 1
    assert [names(seen) for seen in answers] == [[b"a"]] * 3
    assert answers[0] == answers[1] == answers[2]


def test_an_answer_is_never_older_than_its_question(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    late: list[list[Any]] = []

    def scandir(folder: int) -> Any:
        if not late:
            late.append(asked.ask()[1])
        found = really(folder)
        asked.put("b")
        return found

    asked.put("a")
    really = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    _, early = asked.ask()
    asked.threads.run()
    assert (len(early), late) == (1, [[]])
    asked.put("c")
    asked.threads.run()
    assert names(late[0]) == [b"a", b"b", b"c"]


def test_one_that_nobody_waits_for_is_not_read(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr("chatfile.repository._entry", lambda entry, _: read.append(entry.name))
    asked.put("a", "b")
    for _ in range(3):
        asking, seen = asked.ask()
        asking.cancel()
        assert seen == [CancelledError]
    asked.threads.run()
    assert read == []


def test_one_of_many_may_go_and_the_others_are_answered(asked: Asked) -> None:
    asked.put("a")
    (gone, _), (_, stays) = asked.ask(), asked.ask()
    gone.cancel()
    asked.threads.run()
    assert names(stays) == [b"a"]


def test_a_folder_that_can_not_be_read_is_told_to_all(asked: Asked) -> None:
    answers = [asked.ask()[1] for _ in range(2)]
    asked.folder.rmdir()
    asked.threads.run()
    assert answers == [[errors.Unavailable]] * 2


def test_what_is_the_same_as_before_is_kept_once(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatfile.server.listings._ROWS", 2)
    asked.put(*"abcdefg")
    first, second, third = asked.ask()[1], [], []
    asked.threads.run()
    second = asked.ask()[1]
    asked.threads.run()
    os.utime(asked.folder / "c", (1, 1))
    third = asked.ask()[1]
    asked.threads.run()
    assert [id(piece) for piece in first[0].pieces] == [id(piece) for piece in second[0].pieces]
    same = [old is new for old, new in zip(first[0].pieces, third[0].pieces, strict=True)]
    assert same == [True, False, True, True]


@pytest.mark.slow
def test_twenty_stalled_readers_of_a_long_list_hold_one_copy(tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(20_000):
        (many / f"{number:0200}").touch()
    with ServerProcess(many, "--max-clients=21") as server, server.greeted() as first:
        first.send(b"list\n")
        for _ in range(20_001):
            first.line()
        memory = Memory(server.process.pid)
        for _ in range(20):
            client = server.connect(receive_buffer=4096)
            client.line()
            assert client.ask(b"list").startswith(b"LIST ")
        assert memory.grown() < 4 * 20_000 * 230 + 8 * MIB
