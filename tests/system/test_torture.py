"""Every call to the system fails once: whatever it was, nothing is wrong, nothing leaks and nothing hangs."""

from __future__ import annotations

import errno
import hashlib
import itertools
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from chatfile import downloads, errors, fdio, repository
from chatfile.digests import digests, versions
from chatfile.downloads import Download, download
from chatfile.partfile import names, opening, part
from chatfile.receiving import incoming_file, splicing
from chatfile.sending import copying, memory, sender, zerocopy
from tests.support.joined import InMemory, Joined, OverTcp
from tests.support.serving import OLD
from tests.support.torture import NOTHING, SHORT, Fault, Seam, done_but_refused, refused

PARTFILE = (part, opening, names)
TRANSFER = (digests, sender, copying, zerocopy, memory, incoming_file, splicing, fdio)
PIECE = 32 * 1024
SMALLER = [
    (copying.CopyingSender, "PIECE", 2 * PIECE),
    (zerocopy.ZeroCopySender, "TURN", PIECE),
    (zerocopy.ZeroCopySender, "PIECE", PIECE),
    (digests.Digests, "CHUNK", 2 * PIECE),
    (versions, "MIN_AGE", math.inf),
    (splicing.SplicingReceiver, "SLICE", 4 * PIECE),
    (incoming_file.TailHasher, "SLICE", 4 * PIECE),
    (incoming_file.TailHasher, "CHUNK", PIECE),
    (splicing.Splice, "PIECE", PIECE),
    (splicing.Splice, "PATIENCE", 0),
]
"""Several pieces make a file, so that a call fails first, in the middle and last; and no digest is kept."""

CONTENT = bytes(range(251)) * 700
SERVED = {"whole": CONTENT, "begun": CONTENT[::-1], "old": CONTENT[1:], "damaged": CONTENT[2:], "empty": b""}
BEGUN = {
    ".begun.part": SERVED["begun"][:100_000],
    ".begun.note": b"[%d, %d]" % (len(SERVED["begun"]), OLD),
    ".damaged.part": bytes(100_000),
    ".damaged.note": b"[%d, %d]" % (len(SERVED["damaged"]), OLD),
}
MINE = b"mine"
OTHERS = {"stranger": MINE, ".other.part": MINE, ".other.note": MINE}
"""What nobody has asked for."""
PRESENT = {"old": MINE, **BEGUN, **OTHERS}
ALLOWED = {name: {content, PRESENT.get(name, content)} for name, content in {**SERVED, **OTHERS}.items()}

Step = Callable[[Joined, str], Deferred[Any]]


def fetch(name: str, *, force: bool = False) -> Step:
    async def ask(joined: Joined, folder: str) -> Download:
        try:
            return await download(joined.client, name, folder, force=force, in_thread=joined.in_thread)
        except errors.DigestMismatch:
            assert name == "damaged"
            return await download(joined.client, name, folder, force=force, in_thread=joined.in_thread)

    return lambda joined, folder: Deferred.fromCoroutine(ask(joined, folder))


CONVERSATION: dict[str, Step] = {
    "list": lambda joined, _: joined.client.listing(),
    "hash": lambda joined, _: joined.client.hash("begun"),
    "whole": fetch("whole"),
    "begun": fetch("begun"),
    "damaged": fetch("damaged"),
    "old": fetch("old", force=True),
    "empty": fetch("empty"),
}


def no_links(*_: object, **__: object) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


@dataclass(frozen=True)
class Way:
    """How the two are joined, whose calls fail in which steps, some that must be among them, and what is missing."""

    join: Callable[[Path], Joined]
    modules: tuple[ModuleType, ...]
    steps: tuple[str, ...]
    makes: set[str]
    missing: tuple[Any, ...] = ()


WAYS = {
    "in memory": Way(
        InMemory,
        (*TRANSFER, repository, downloads, *PARTFILE),
        tuple(CONVERSATION),
        {"scandir", "entry's stat", "set_blocking", "pread", "write", "preadv", "flock", "link", "replace", "read"},
    ),
    "over tcp": Way(OverTcp, TRANSFER, ("whole", "begun"), {"sendfile", "splice", "pipe", "poll", "lseek", "preadv"}),
    "from a cold disk": Way(OverTcp, (memory,), ("whole",), {"posix_fadvise", "preadv"}, (memory, "_NOWAIT", None)),
    "without links": Way(InMemory, PARTFILE, ("whole",), {"link", "rename"}, (os, "link", no_links)),
}


class Torture:
    """One session, long and full of failures, and what was wrong in it."""

    def __init__(self, seam: Seam, joined: Joined, folder: Path) -> None:
        self.seam = seam
        self.wrong: list[str] = []
        self.failed: list[str] = []
        """The calls for which something was not had at once."""
        self._joined, self._folder = joined, folder
        self._other = joined.server.greeted()
        joined.connect()
        self._open = 0

    def strike_each(self, faults: list[Fault], steps: tuple[str, ...]) -> None:
        """Let each call of these steps fail once in each of the ways in which it can."""
        for fault, step in itertools.product(faults, steps):
            for after in itertools.count():
                if not self._strike(fault, step, after):
                    break

    def _strike(self, fault: Fault, step: str, after: int) -> bool:
        """Let one call fail; the result is whether there was one."""
        self._told = f"{step}, {fault}, {after} before,"
        lay_out(self._folder, PRESENT)
        self._open = self._open or open_descriptors()
        self.seam.strike(fault, after)
        failure = self._ask(step)
        self.seam.rest()
        self._look_around()
        if failure is not None:
            self.failed.append(f"{self._told} {self.seam.struck}")
            self._expect(is_honest(failure.value), repr(failure.value))
            again = self._ask(step)
            self._expect(again is None, f"{again} the second time, behind {failure.value!r}")
            self._look_around()
        return bool(self.seam.struck)

    def _expect(self, is_so: bool, otherwise: str) -> None:
        if not is_so:
            self.wrong.append(f"{self._told} {self.seam.struck}: {otherwise}")

    def _ask(self, step: str) -> Failure | None:
        """Have what was asked for, or why not."""
        result = self._joined.result_of(CONVERSATION[step](self._joined, str(self._folder)))
        if isinstance(result, Failure):
            return result
        self._expect(is_right(step, result), repr(result))
        self._expect(step not in SERVED or (self._folder / step).read_bytes() == SERVED[step], "it is not whole")
        return None

    def _look_around(self) -> None:
        """At the files, the session, the other client and what is left behind."""
        present = contents(self._folder)
        self._expect(OTHERS.keys() | {"old"} <= present.keys(), "a file is gone")
        for name, content in present.items():
            self._expect(content in ALLOWED.get(name, {content}), f"{name} is not what it should be")
        if not self._joined.client.is_receiving:
            self._joined.disconnect()
            self._joined.connect()
        said = self._joined.result_of(self._joined.client.send("and on"))
        self._expect(said == "and on ACK", "the session does not go on")
        self._expect(self._other.says(b"and me") == [b"and me ACK"], "another client is not answered")
        self._expect(len(self._joined.server.connected()) == 2, "a seat is taken")
        self._expect(open_descriptors() == self._open, "a descriptor is left")

    def end(self) -> None:
        """Everybody goes."""
        self._joined.disconnect()
        self._other.vanishes()
        self._joined.close()
        self._joined.server.factory.drain(0)  # what was not told yet is told now
        self._expect(not self._joined.server.clock.getDelayedCalls(), "a call is delayed")


def is_right(step: str, result: Any) -> bool:
    if step == "list":
        return [row.name for row in result] == sorted(SERVED)
    if step == "hash":
        return bool(result.sha256 == hashlib.sha256(SERVED["begun"]).hexdigest())
    return bool(result.verified)


def is_honest(error: BaseException) -> bool:
    if isinstance(error, errors.Refusal):
        return error.code in ("unavailable", "changed", "no-such-file")
    return isinstance(error, errors.LocalFileError | errors.ServerClosed)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def lay_out(folder: Path, files: dict[str, bytes]) -> None:
    """Let `folder` hold these files and no others."""
    there = contents(folder)
    for name in there.keys() - files.keys():
        (folder / name).unlink()
    for name, content in files.items():
        if there.get(name) != content:
            (folder / name).write_bytes(content)
            os.utime(folder / name, (OLD, OLD))


LONG = ("over tcp", "without links")


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in WAYS])
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


@pytest.fixture
def torture(way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Torture]:
    for setting in (*SMALLER, *([way.missing] if way.missing else [])):
        monkeypatch.setattr(*setting)
    seam = Seam()
    seam.install(monkeypatch, *way.modules)
    served, folder = tmp_path / "served", tmp_path / "downloads"
    served.mkdir()
    folder.mkdir()
    lay_out(served, SERVED)
    one = Torture(seam, way.join(served), folder)
    yield one
    one.end()
    assert one.wrong == []


@pytest.fixture
def tracebacks(logged_errors: list[str]) -> Iterator[list[str]]:
    """Those that are logged; that a file can't be read is told without one."""
    found: list[str] = []

    def observe(event: LogEvent) -> None:
        if event["log_level"] is LogLevel.critical:
            found.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)
    logged_errors.clear()


FAULTS = [
    refused(errno.EIO),
    refused(errno.EMFILE, "open", "dup", "pipe", "scandir"),
    refused(errno.ENOSPC, "open", "write", "splice", "makedirs", "link", "replace"),
    refused(errno.EACCES, "open", "stat", "entry's stat", "unlink", "link", "replace", "makedirs", "utime"),
    refused(errno.ENOENT, "open", "stat", "unlink", "link", "replace"),
    refused(errno.EINVAL, "sendfile", "fcntl"),
    refused(errno.EAGAIN, "splice"),
    refused(errno.ECONNRESET, "splice", "sendfile"),
    refused(errno.EINTR, "close"),
    done_but_refused(errno.EIO, "unlink", "link", "rename", "replace", "ftruncate", "makedirs"),
    NOTHING,
]
BORNE = [
    refused(errno.EINVAL, "splice", "posix_fadvise"),
    refused(errno.EAGAIN, "sendfile", "flock"),
    refused(errno.EPERM, "utime", "link", "posix_fadvise"),
    refused(errno.EMFILE, "pipe"),
    refused(errno.ENOMEM, "poll"),
    SHORT,
]
"""There is another way."""


@pytest.mark.parametrize(
    "steps", [("whole", "begun"), pytest.param(tuple(CONVERSATION), marks=pytest.mark.slow)], ids=len
)
def test_each_call_fails_once(torture: Torture, way: Way, steps: tuple[str, ...], tracebacks: list[str]) -> None:
    torture.strike_each(FAULTS, tuple(step for step in way.steps if step in steps))
    assert (torture.wrong, tracebacks) == ([], [])
    assert way.makes <= torture.seam.seen or steps != tuple(CONVERSATION)


def test_what_there_is_another_way_for_is_no_failure(torture: Torture, way: Way, tracebacks: list[str]) -> None:
    torture.strike_each(BORNE, way.steps)
    assert (torture.failed, torture.wrong, tracebacks) == ([], [], [])
