"""`chatfile-client get` with several names: over connections that break, to the exit code of the first failure."""

from __future__ import annotations

import hashlib
import json
import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest_twisted
from twisted.internet.threads import deferToThread

from tests.support.clients_at_once import Ended, Job, run_all
from tests.support.hostile import GREET, Do, Hear, HostileServer, Send, Step
from tests.support.trees import tree

Hostile = Callable[..., HostileServer]
CONTENT = bytes(range(64, 96)) * 16
HALF = len(CONTENT) // 2
TIME = b"2026-11-22T12:00:00Z"
END = b"END %s\n" % hashlib.sha256(CONTENT).hexdigest().encode()
NOTE = b"[512, 1795348800]"
LISTED: list[Step] = [
    *GREET,
    Hear(b"list"),
    Send(b"LIST 3\n" + b"".join(b"512 %s %s\n" % (TIME, name) for name in (b"a", b"b", b"c"))),
]
BYE: list[Step] = [Hear(b"exit"), Send(b"BYE Client01\n"), Do.CLOSE]
MISSING = Send(b"ERROR no-such-file No.\n")


def whole(name: bytes, content: bytes = CONTENT) -> list[Step]:
    return [Hear(b"get " + name), Send(b"FILE 512 %s %s\n" % (TIME, name) + content + END)]


def broken(name: bytes) -> list[Step]:
    return [Hear(b"get " + name), Send(b"FILE 512 %s %s\n" % (TIME, name) + CONTENT[:HALF]), Do.CLOSE]


def resumed(name: bytes, said: bytes = CONTENT[HALF:] + END) -> list[Step]:
    return [Hear(b"resume %d %s" % (HALF, name)), Send(b"FILE %d %s %s\n" % (HALF, TIME, name) + said)]


@dataclass(frozen=True)
class Case:
    """What is asked for, the script of each connection that there must be, and how it ends.

    `said` is a pattern of all that goes to standard error, `shown` what tells of each object on standard output.
    """

    name: str
    command: str
    scripts: Sequence[list[Step]]
    code: int
    left: dict[str, bytes] = field(default_factory=dict)
    said: str = "(?s).*"
    shown: list[tuple[object, ...]] | None = None
    signal: int = 0


ALL = {"a": CONTENT, "b": CONTENT, "c": CONTENT}
HALF_OF_B = {".b.part": CONTENT[:HALF], ".b.note": NOTE}
FULL: list[Step] = [Send(b"ERROR full No seat.\n"), Do.CLOSE]
ALONE: list[Step] = [Send(b"ERROR unavailable Nobody knows.\n"), Do.CLOSE]
CASES = [
    Case(
        "one connection is enough", "get a b", [[*LISTED, *whole(b"a"), *whole(b"b"), *BYE]],
        0, {"a": CONTENT, "b": CONTENT},
    ),
    Case(
        "a pattern stands for the names that match", "get [ab] c b x*",
        [[*LISTED, *whole(b"a"), *whole(b"b"), *whole(b"c"), Hear(b"get x*"), MISSING, *BYE]],
        5, ALL,
    ),
    Case(
        "a break is resumed", "get a b c",
        [[*LISTED, *whole(b"a"), *broken(b"b")], [*GREET, *resumed(b"b"), *whole(b"c"), *BYE]],
        0, ALL,
    ),
    Case(
        "a goodbye of the server is a break", "get a b",
        [[*LISTED, *whole(b"a"), Send(b"ERROR shutdown Bye.\n"), Do.CLOSE], [*GREET, *whole(b"b"), *BYE]],
        0, {"a": CONTENT, "b": CONTENT},
    ),
    Case(
        "a second break of one file stays a failure", "get a b c",
        [[*LISTED, *whole(b"a"), *broken(b"b")], [*GREET, *resumed(b"b", b""), Do.CLOSE], [*GREET, *whole(b"c"), *BYE]],
        6, {"a": CONTENT, "c": CONTENT} | HALF_OF_B,
    ),
    Case(
        "a failure before a break that was mended", "get x b c",
        [[*LISTED, Hear(b"get x"), MISSING, *broken(b"b")], [*GREET, *resumed(b"b"), *whole(b"c"), *BYE]],
        5, {"b": CONTENT, "c": CONTENT},
    ),
    Case(
        "no server to come back to", "get a b c",
        [[*LISTED, *whole(b"a"), *broken(b"b")], [Send(b"HTTP/1.1 400 Bad\r\n\r\n"), Do.CLOSE]],
        6, {"a": CONTENT} | HALF_OF_B,
    ),
    Case(
        "a server that lies is left", "get a b c",
        [[*LISTED, *whole(b"a"), Hear(b"get b"), Send(b"FILE 512 %s z\n" % TIME), Do.STALL]],
        6, {"a": CONTENT},
    ),
    Case(
        "who could not be asked for is named", "--json get a b c",
        [[*LISTED, *whole(b"a"), *broken(b"b")], [Send(b"HTTP/1.1 400 Bad\r\n\r\n"), Do.CLOSE]],
        6, {"a": CONTENT} | HALF_OF_B,
        shown=[(None, None, "a"), ("error", "protocol-violation", None), ("error", "transfer-broken", "b"),
               ("error", "server-closed", "c")],
    ),
    Case(
        "a full server is waited for, and that is said once", "--json --wait 20 send hi",
        [FULL, ALONE, [*GREET, Hear(b"hi"), Send(b"hi ACK\n"), *BYE]],
        0, said="The server is full; .*\n", shown=[("waiting", "full", None), (None, None, None)],
    ),
    Case(
        "an interruption is one note", "get a", [[*GREET, *broken(b"a")[:-1], Do.STALL]],
        130, {".a.part": CONTENT[:HALF], ".a.note": NOTE}, said="Interrupted.*get it again.*\n", signal=signal.SIGINT,
    ),
    Case(
        "an interruption names its file", "--json get a", [[*GREET, *broken(b"a")[:-1], Do.STALL]],
        130, {".a.part": CONTENT[:HALF], ".a.note": NOTE}, shown=[("error", "interrupted", "a")], signal=signal.SIGINT,
    ),
    Case(
        "damage behind a pipe is told", "get a -o -", [[*GREET, *whole(b"a", CONTENT[::-1]), *BYE]],
        7, said=".*arrived damaged.*standard output.*\n",
    ),
    Case(
        "a single file is resumed as well", "get b",
        [[*GREET, *broken(b"b")], [*GREET, *resumed(b"b"), *BYE]],
        0, {"b": CONTENT},
    ),
    Case(
        "a second break says that something is kept", "get b",
        [[*GREET, *broken(b"b")], [*GREET, Hear(b"resume"), Do.CLOSE]],
        6, HALF_OF_B, said="(?s).*interrupted.*chatfile-client: .*get it again.*",
    ),
    Case(
        "where nothing came, nothing is kept", "--timeout 0.5 get b",
        [[*GREET, Hear(b"get b"), Do.STALL], [*GREET, Hear(b"get b"), Do.STALL]],
        6, said=".*interrupted.*\nchatfile-client: .* sent neither.*\n",
    ),
    Case(
        "what went to standard output is not tried again", "get b -o -", [[*GREET, *broken(b"b")]], 6,
    ),
    Case(
        "a break in the listing", "get a b",
        [[*GREET, Hear(b"list"), Do.CLOSE], [*GREET, *whole(b"a"), *whole(b"b"), *BYE]],
        0, {"a": CONTENT, "b": CONTENT},
    ),
]  # fmt: skip


def deviation(case: Case, server: HostileServer, folder: Path, ended: Ended) -> str:
    """How it ended, where that is not as it should be."""
    left = {name.removeprefix("client_downloads/"): content for name, content in tree(folder).items()}
    left.pop("client_downloads", None)
    is_right = (
        (ended.status, left, len(server.connections)) == (case.code, case.left, len(case.scripts))
        and re.fullmatch(case.said, ended.stderr)
        and (case.shown is None or told(ended) == case.shown)
    )
    return "" if is_right and "Traceback" not in ended.stderr else f"{ended}, {left}, {len(server.connections)}"


def told(ended: Ended) -> list[tuple[object, ...]]:
    objects = [json.loads(line) for line in ended.stdout.splitlines()]
    lasting = [shown for shown in objects if shown.get("event") != "progress"]  # which is shown to whom has to wait
    return [(shown.get("event"), shown.get("code"), shown.get("name")) for shown in lasting]


@pytest_twisted.ensureDeferred
async def test_what_can_be_had_is_had_however_often_the_connection_breaks(hostile: Hostile, tmp_path: Path) -> None:
    servers = [hostile(*case.scripts) for case in CASES]
    folders = [tmp_path / str(number) for number in range(len(CASES))]
    for folder in folders:
        folder.mkdir()
    jobs = [
        Job(str(folder), ["-s", f"127.0.0.1:{server.port}", *case.command.split()], signal=case.signal, at=HALF)
        for case, server, folder in zip(CASES, servers, folders, strict=True)
    ]
    ends = await deferToThread(run_all, jobs)
    wrong = {
        case.name: deviation(case, server, folder, ended)
        for case, server, folder, ended in zip(CASES, servers, folders, ends, strict=True)
    }
    assert {name: how for name, how in wrong.items() if how} == {}
