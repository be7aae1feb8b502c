"""`chatfile-client` itself against hostile servers: exit codes, what is shown, and what is touched."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest_twisted
from twisted.internet.threads import deferToThread

from tests.support.clients_at_once import Ended, Job, run_all
from tests.support.hostile import GREET, Do, Hear, HostileServer, Send, SendForEver, Step
from tests.support.trees import tree

Hostile = Callable[..., HostileServer]
CONTENT = bytes(range(256)) * 2
TIME = b"2026-11-22T12:00:00Z"
BYE: list[Step] = [Hear(b"exit"), Send(b"BYE Client01\n"), Do.CLOSE]
SHA256 = hashlib.sha256(CONTENT).hexdigest().encode()
HEADER = b"FILE %d %s a\n" % (len(CONTENT), TIME)
FILE = HEADER + CONTENT + b"END %s\n" % SHA256
ESCAPES = "\x1b[2J\x1b]52;c;eA==\x07 \x9b31m \u202etxt\u2066 \r \x7f".encode()
PLAIN = re.compile(r"[\n -~]*")
"""What may be shown of text that a server made up."""
UNBROKEN = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]*")
"""On a pipe, what it says of names is to the letter."""


@dataclass(frozen=True)
class Case:
    """What is run against which server, and how it ends; `left` is what is new in the folder of downloads."""

    name: str
    command: str
    steps: list[Step]
    code: int
    left: dict[str, bytes] = field(default_factory=dict)
    stdout: str = ""
    stdin: str = ""
    transport: str = ""


def case(name: str, command: str, *said: bytes | Step, code: int, **more: object) -> Case:
    """Behind the greeting the server waits for the command, or as `said` begins, then says its part and stalls."""
    asked = " ".join(word for word in command.removeprefix("send ").split() if not word.startswith("-"))
    steps = [Send(each) if isinstance(each, bytes) else each for each in said]
    heard = [] if steps and isinstance(steps[0], Hear) else [Hear(asked.encode())]
    return Case(name, command, [*GREET, *heard, *steps, Do.STALL], code, **more)  # type: ignore[arg-type]


def trickle(beginning: bytes) -> Send:
    """A line that goes on and on, a byte now and then, and never ends."""
    return Send(beginning + bytes(5000), piece=1, pause=0.1)


NOTE = b"[512, 1795348800]"
SAVED = {"a": CONTENT}
ROWS = b"LIST 2\n1 %s a\n1 %s ../x\n" % (TIME, TIME)
LISTED: list[Step] = [Hear(b"list"), Send(b"LIST 1\n5 %s b\n" % TIME)]
CASES = [
    Case("greeting never", "--timeout=0.5 list", [Do.STALL], 3),
    Case("greeting in a trickle", "--timeout=0.5 list", [trickle(b"WELCOME Client01 chatfile/1")], 3),
    Case("handshake in a trickle", "--timeout=0.5 list", [trickle(b"\x16\3\3\x20")], 3, transport="tls:"),
    Case("greeting endless", "status", [SendForEver(b"\x1b[2J" * 9999)], 6),
    Case("greeting of a web server", "get a", [Send(b"HTTP/1.1 400 Bad\r\n\r\n"), Do.CLOSE], 6),
    Case("full, with escapes", "send hi", [Send(b"ERROR full %s\n" % ESCAPES), Do.CLOSE], 4),
    case("whole", "get a", FILE, *BYE, code=0, left=SAVED, stdout="client_downloads/a\n"),
    case("in one-byte pieces", "get a", Send(FILE, piece=1), *BYE, code=0, left=SAVED, stdout="client_downloads/a\n"),
    case("to standard output", "get -o - a", HEADER[:-2] + b"b\n", code=6),
    case("more behind it", "get a", FILE + b"more\n", code=6, left=SAVED, stdout="client_downloads/a\n"),
    case("more at the end", "get a", FILE, Hear(b"exit"), b"more\n", code=6, left=SAVED, stdout="client_downloads/a\n"),
    case("another file unasked", "get a", FILE * 2, code=6, left=SAVED, stdout="client_downloads/a\n"),
    case("damaged", "get a", FILE.replace(b"\0\1\2", b"\0\1\3"), code=7),
    case("short", "--timeout=0.5 get a", FILE[:-99], Do.CLOSE, code=6,
         left={".a.part": FILE[len(HEADER) : -99], ".a.note": NOTE}),
    case("a stall", "--timeout=0.5 get a", HEADER, code=6),
    case("an error with escapes", "get a", b"ERROR unavailable %s\n" % ESCAPES, code=5),
    case("another file", "get a", FILE.replace(b"Z a\n", b"Z ../mine\n"), code=6),
    case("a row that stalls", "--timeout=0.5 list", b"LIST 1000000\n1 %s x\n" % TIME, code=6),
    case("a row in a trickle", "--timeout=0.5 list", b"LIST 1\n", trickle(b"1 %s " % TIME), code=6),
    case("an END in a trickle", "--timeout=0.5 get a", HEADER + CONTENT, trickle(b"END %s" % SHA256), code=6,
         left={".a.part": CONTENT, ".a.note": NOTE}),
    case("an answer in a trickle", "--timeout=0.5 send hi", trickle(b"hi"), code=6),
    case("rows for ever", "list", b"LIST 1000000\n", SendForEver(b"x" * 8000), code=6),
    case("a row too few", "status", b"STATUS 2\nClient01 unix %s - 0 0\n" % TIME, Do.CLOSE, code=6),
    case("a wrong row", "status", b"STATUS 1\nClient01 unix now - 0 0\n", code=6),
    case("another digest", "hash a", *LISTED, Hear(b"hash a"), b"HASH %s 512 %s b\n" % (SHA256, TIME), code=6),
    case("another message", "send hi", b"ho ACK\n", code=6),
    case("names that are paths", "list", ROWS, code=6),
    case("names with escapes", "list", b"LIST 1\n1 %s %s\n" % (TIME, ESCAPES), code=6),
    case("help with escapes", "help", b"HELP 1\n%s\n" % ESCAPES, *BYE, code=0, stdout=r"\x1b[2J\x1b]52;c;eA==\x07"),
    case("not replaced unverified", "get --force b", *LISTED, Hear(b"get b"), b"FILE 4 %s b\nevilEND -\n" % TIME,
         code=8, left={".b.part": b"evil", ".b.note": b"[4, 1795348800]"}),
    case("a planted part file", "get linked", code=8),
    Case("paths at the prompt", "--timeout=5", [*GREET, *BYE], 2, stdin="get ../x\nget /etc/x\nget a//b\n"),
    Case("an end at the prompt", "", [*GREET, Hear(b"hi"), Send(b"ERROR shutdown \x1bc.\n")], 6, stdin="hi\nho\n"),
    Case("more at the prompt", "", [*GREET, Hear(b"hi"), Send(b"hi ACK\nho\n")], 6, stdin="hi", stdout="hi ACK\n"),
]  # fmt: skip


def prepared(folder: Path) -> Path:
    """Where a client runs: files of somebody else, and links to them where it saves."""
    downloads = folder / "client_downloads"
    downloads.mkdir(parents=True)
    for mine in (folder / "mine", downloads / "b"):
        mine.write_bytes(b"mine")
    for link in ("x", ".linked.part", ".linked.note"):
        (downloads / link).symlink_to("../mine")
    return folder


def deviation(case: Case, folder: Path, before: dict[str, bytes | str], ended: Ended) -> str:
    """In which way it did not end as it should."""
    after = before | {f"client_downloads/{name}": content for name, content in case.left.items()}
    seen = tree(folder)
    if ended.status != case.code or seen != after or not ended.stdout.startswith(case.stdout):
        return f"{ended}, {seen}"
    if len(ended.stderr.splitlines()) > 3 or "Traceback" in ended.stderr or not PLAIN.fullmatch(ended.stderr):
        return ended.stderr
    return "" if UNBROKEN.fullmatch(ended.stdout) else ended.stdout


@pytest_twisted.ensureDeferred
async def test_whatever_a_server_does_the_program_tells_and_touches_nothing_else(
    hostile: Hostile, tmp_path: Path
) -> None:
    folders = [prepared(tmp_path / str(number)) for number in range(len(CASES))]
    before = tree(folders[0])
    jobs = [
        Job(
            str(folder),
            ["-s", f"{case.transport}127.0.0.1:{hostile(case.steps).port}", *case.command.split()],
            stdin=case.stdin,
        )
        for case, folder in zip(CASES, folders, strict=True)
    ]
    ends = await deferToThread(run_all, jobs)
    wrong = {
        case.name: deviation(case, folder, before, ended)
        for case, folder, ended in zip(CASES, folders, ends, strict=True)
    }
    assert {name: why for name, why in wrong.items() if why} == {}
