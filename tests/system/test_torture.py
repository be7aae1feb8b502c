"""Every call to the system fails: once, from then on for ever, or one and then another.

Whatever it was, nothing is wrong, nothing leaks and nothing hangs, and as soon as no call fails any more, all is had.
"""

from __future__ import annotations

import errno
import itertools
import math
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from chatfile import errors, fdio, paths, repository
from chatfile.digests import digests, keeper, store, versions
from chatfile.downloads import manifest
from chatfile.partfile import names, opening, part, present, saving, spelling, together
from chatfile.receiving import incoming_file, splicing
from chatfile.sending import copying, memory, sender, zerocopy
from chatfile.server import small_files
from tests.support import steps
from tests.support.joined import InMemory, Joined, OverTcp
from tests.support.steps import ALLOWED, PRESENT, SERVED, STAYING, STEPS, contents, lay_out
from tests.support.torture import NOTHING, SHORT, Fault, Seam, done_but_refused, refused

PARTFILE = (part, opening, names, saving, present, spelling, together, paths, manifest)
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
    (opening, "_PAUSE", 0),
    (store.DigestStore, "LEAST", 1),
    (keeper.DigestKeeper, "SECONDS", 0),
]
"""Several pieces make a file, so that a call fails first, in the middle and last; no digest is kept, but in a store."""


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
        partial(InMemory, recursive=True),
        (*TRANSFER, repository, small_files, store, *PARTFILE),
        tuple(STEPS),
        {"scandir", "entry's stat", "set_blocking", "pread", "write", "preadv", "flock", "link", "replace", "read"}
        | {"fsync", "utime", "rmdir", "unlink", "pwrite", "ftruncate", "makedirs"},
    ),
    "over tcp": Way(OverTcp, TRANSFER, ("whole", "begun"), {"sendfile", "splice", "pipe", "poll", "lseek", "preadv"}),
    "from a cold disk": Way(OverTcp, (memory,), ("whole",), {"posix_fadvise", "preadv"}, (memory, "_NOWAIT", None)),
    "without links": Way(
        InMemory, PARTFILE, ("whole", "together"), {"link", "rename"}, (os, "link", no_links)
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """All of the first so many calls, and behind these one of so many, at random but always the same."""

    near: int
    one_of: int

    def numbers(self, seed: object) -> Iterator[int]:
        chosen, number = random.Random(str(seed)), 0
        while True:
            yield number
            number += 1 if number < self.near else chosen.randint(1, 2 * self.one_of - 1)


@dataclass(frozen=True)
class Choice:
    """Which of the calls fail: alone, as the first one of a pair, and as the second one."""

    alone: Part
    firsts: Part
    seconds: Part
    one_in: int = 1
    """Of the combinations of a step and a way for its calls to fail alone, one of so many is tried."""


class Torture:
    """One session, long and full of failures, and what was wrong in it."""

    def __init__(self, seam: Seam, joined: Joined, folder: Path, choice: Choice) -> None:
        self.seam = seam
        self.wrong: list[str] = []
        self.failed: list[str] = []
        """The calls for which something was not had at once."""
        self._joined, self._folder, self._choice = joined, folder, choice
        self._other = joined.server.greeted()
        joined.connect()
        self._open = 0

    def strike_each(self, faults: Sequence[Fault], steps: Sequence[str], *, stays: bool = False) -> None:
        """Let each call of these steps fail in each of the ways in which it can: once, or all from then on."""
        for fault, step in itertools.islice(itertools.product(faults, steps), 0, None, self._choice.one_in):
            for after in self._choice.alone.numbers((fault, step)):
                self._strike(step, [(fault, after)], stays=stays)
                if not self.seam.struck:
                    break

    def strike_pairs(self, pair: tuple[Fault, Fault], steps: Sequence[str]) -> None:
        """Let each call of these steps fail once, and then another one, those soonest behind it above all."""
        first, second = pair
        for step in steps:
            for after in self._choice.firsts.numbers(step):
                for between in self._choice.seconds.numbers((step, after)):
                    self._strike(step, [(first, after), (second, between)])
                    if len(self.seam.struck) < 2:
                        break
                if not self.seam.struck:
                    break

    def _strike(self, step: str, faults: list[tuple[Fault, int]], *, stays: bool = False) -> None:
        self._is_left_out = any(str(fault) in LEFT_OUT for fault, _ in faults)
        self._told = f"{step}, {', '.join(f'{fault} behind {after}' for fault, after in faults)}{' on' * stays}"
        lay_out(self._folder, PRESENT)
        self._open = self._open or open_descriptors()
        self.seam.strike(*faults[0], then=faults[1:], stays=stays)
        failure = self._ask(step)
        self._expect(self._other.says(b"and me") == [b"and me ACK"], "another client is not answered meanwhile")
        self.seam.rest()
        self._look_around()
        if failure is None and step == "mirror":
            self._expect(steps.is_noted(contents(self._folder)), "the mirror does not know what it has fetched")
        if failure is not None:
            self.failed.append(f"{self._told} {self._struck()}")
            self._expect(steps.is_honest(failure.value), repr(failure.value))
            again = self._ask(step)
            self._expect(again is None, f"{again} the second time, behind {failure.value!r}")
            self._look_around()

    def _struck(self) -> list[str]:
        return list(dict.fromkeys(self.seam.struck))

    def _expect(self, is_so: bool, otherwise: str) -> None:
        if not is_so:
            self.wrong.append(f"{self._told} {self._struck()}: {otherwise}")

    def _ask(self, step: str) -> Failure | None:
        """Have what was asked for, or why not."""
        result = self._joined.result_of(STEPS[step](self._joined, str(self._folder)))
        if isinstance(result, Failure):
            return result
        if steps.is_right(step, result, contents(self._folder)):
            return None
        self._expect(step in ("tree", "mirror") and self._is_left_out, f"it is not all there: {result!r}")
        return Failure(errors.NoSuchFile(name=step))

    def _look_around(self) -> None:
        """At the files, the session, the other client and what is left behind."""
        present = contents(self._folder)
        self._expect(present.keys() >= STAYING, "a file is gone")
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


LEFT_OUT = {os.strerror(errno.ENOENT), os.strerror(errno.EACCES)}
"""What a server is told of a folder that it leaves out of a tree, as one that is gone or not for it."""


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


ALL = Choice(alone=Part(0, 1), firsts=Part(25, 16), seconds=Part(8, 60))
FEW = Choice(alone=Part(0, 300), firsts=Part(0, 300), seconds=Part(0, 300), one_in=3)
CHOICES = {
    **{name: (name, ALL) for name in WAYS},
    **{f"{name}, few": (name, FEW) for name in ("in memory", "from a cold disk")},
}
QUICK = ("in memory, few", "from a cold disk, few")


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in CHOICES])
def choice(request: pytest.FixtureRequest) -> tuple[str, Choice]:
    return CHOICES[request.param]


@pytest.fixture
def way(choice: tuple[str, Choice]) -> Way:
    return WAYS[choice[0]]


@pytest.fixture
def torture(choice: tuple[str, Choice], way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Torture]:
    for setting in (*SMALLER, *([way.missing] if way.missing else [])):
        monkeypatch.setattr(*setting)
    seam = Seam()
    seam.install(monkeypatch, *way.modules)
    served, folder = tmp_path / "served", tmp_path / "downloads"
    served.mkdir()
    folder.mkdir()
    lay_out(served, SERVED)
    one = Torture(seam, way.join(served), folder, choice[1])
    yield one
    one.end()
    assert not one.wrong, "\n".join(one.wrong)


@pytest.fixture
def tracebacks(logged_errors: list[str]) -> Iterator[list[str]]:
    """Those that are logged; that a file can't be read is told without one."""
    found: list[str] = []

    def observe(event: LogEvent) -> None:
        if event["log_level"] is LogLevel.critical:
            failure = event.get("log_failure")
            found.append(f"{formatEvent(event)} {failure and failure.getTraceback()}")

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)
    logged_errors.clear()


FAULTS = [
    refused(errno.EIO),
    refused(errno.EMFILE, "open", "dup", "pipe", "scandir"),
    refused(errno.ENOSPC, "open", "write", "pwrite", "splice", "makedirs", "link", "replace"),
    refused(errno.EACCES, "open", "stat", "entry's stat", "unlink", "link", "replace", "makedirs", "utime"),
    refused(errno.EINVAL, "sendfile", "fcntl"),
    refused(errno.EAGAIN, "splice"),
    refused(errno.ECONNRESET, "splice", "sendfile"),
    refused(errno.EINTR, "close"),
    done_but_refused(errno.EIO, "unlink", "link", "rename", "replace", "ftruncate", "makedirs"),
    NOTHING,
]
GONE = refused(errno.ENOENT, "open", "stat", "unlink", "link", "replace")
"""A mirror believes it, and forgets what is gone."""
BORNE = [
    refused(errno.EINVAL, "splice", "posix_fadvise"),
    refused(errno.EPERM, "utime", "link", "posix_fadvise"),
    refused(errno.EINVAL, "fsync"),
    refused(errno.ENOLCK, "flock"),
    refused(errno.EMFILE, "pipe"),
    refused(errno.ENOMEM, "poll"),
    SHORT,
]
"""There is another way."""
PASSING = [refused(errno.EAGAIN, "sendfile", "flock")]
"""There is another way if it does not last."""
PAIRS = [
    (refused(errno.EIO), refused(errno.EIO)),
    (refused(errno.ENOSPC, "write", "pwrite", "splice", "link", "replace", "fsync"), refused(errno.EIO)),
    (NOTHING, refused(errno.EIO)),
    (refused(errno.EIO), done_but_refused(errno.EIO, "unlink", "link", "rename", "replace", "ftruncate", "makedirs")),
    (SHORT, refused(errno.EIO)),
]


def strike_each(torture: Torture, steps: Sequence[str], *, stays: bool) -> None:
    torture.strike_each(FAULTS, steps, stays=stays)
    torture.strike_each([GONE], [step for step in steps if step != "mirror"], stays=stays)


def test_each_call_fails_once(torture: Torture, way: Way, tracebacks: list[str]) -> None:
    strike_each(torture, way.steps, stays=False)
    assert not tracebacks, tracebacks[0]
    assert way.makes <= torture.seam.seen


def test_each_call_fails_and_all_behind_it(torture: Torture, way: Way, tracebacks: list[str]) -> None:
    strike_each(torture, way.steps, stays=True)
    assert not tracebacks, tracebacks[0]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: " then ".join(map(str, pair)))
def test_one_call_fails_and_then_another(
    torture: Torture, way: Way, tracebacks: list[str], pair: tuple[Fault, Fault]
) -> None:
    torture.strike_pairs(pair, way.steps)
    assert not tracebacks, tracebacks[0]


def test_what_there_is_another_way_for_is_no_failure(torture: Torture, way: Way, tracebacks: list[str]) -> None:
    for stays in (False, True):
        torture.strike_each(BORNE, way.steps, stays=stays)
    torture.strike_each(PASSING, [step for step in way.steps if step != "digests"])
    assert torture.failed == []
    assert not tracebacks, tracebacks[0]
