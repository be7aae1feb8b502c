"""The client library on real sockets and a real folder, against servers that lie, stall, flood and break off.

Whatever they say: it ends, with the right error, and the final name is absent or holds the whole verified file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from chatfile import errors
from chatfile.client import ChatFileClient, connect
from chatfile.downloads import Download, download
from tests.support.hostile import GREET, Do, Hear, HostileServer, Send, SendForEver, Step
from tests.support.processes import PATIENCE
from tests.support.trees import tree

Hostile = Callable[..., HostileServer]
CONTENT = bytes(range(256)) * 300
SIZE = len(CONTENT)
TIME = b"2026-11-22T12:00:00Z"
HEADER = b"FILE %d %s a\n" % (SIZE, TIME)
END = b"END %s\n" % hashlib.sha256(CONTENT).hexdigest().encode()
NEVER = 0.15
"""Seconds for which the client waits for a server of which nothing is to come."""


@dataclass(frozen=True)
class Case:
    """What a server does, what the client makes of it, and which names are in the folder then."""

    name: str
    steps: Sequence[Step]
    outcome: type
    left: tuple[str, ...] = ()
    timeout: float = PATIENCE


PART = (".a.note", ".a.part")
SIZES = (b"", b"-1", b"+5", b"1e9", b"0x10", b"5 x", b"5.0", b"1_000", b"\xd9\xa3", b"%d" % 2**63, b"9" * 99)
NAMES = (b"b", b"../a", b"/a", b"./a", b"a/", b"A", b" a", b"a ", b"a\0", b".a.part", b"")
TIMES = (b"-", b"0", b"2026-13-01T00:00:00Z", b"2026-11-22T12:00:00", b"0000-00-00T00:00:00Z")


def cases(*made: Case) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", made, ids=lambda case: case.name.replace(" ", "-"))


async def attempt(server: HostileServer, case_timeout: float, ask: Callable[[ChatFileClient], Awaitable[Any]]) -> Any:
    """The result of `ask` on a new connection, or its error."""
    try:
        client = await connect(f"tcp:127.0.0.1:{server.port}", timeout=case_timeout)
    except errors.ChatFileError as error:
        return error
    try:
        return await ask(client)
    except errors.ChatFileError as error:
        return error
    finally:
        client.abort()
        await client.closed


def in_time(doing: Any) -> Deferred[Any]:
    from twisted.internet import reactor

    return Deferred.fromCoroutine(doing).addTimeout(PATIENCE, reactor)


def get(server: HostileServer, folder: Path, timeout: float = PATIENCE, **options: Any) -> Deferred[Any]:
    return in_time(attempt(server, timeout, lambda client: download(client, "a", str(folder), **options)))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The folder of downloads; beside it is something that nobody may touch."""
    (tmp_path / "mine").write_bytes(b"mine")
    folder = tmp_path / "downloads"
    yield folder
    beside = {name: what for name, what in tree(tmp_path).items() if not name.startswith("downloads")}
    assert beside == {"mine": b"mine"}


def check(folder: Path, left: Iterable[str]) -> None:
    assert sorted(tree(folder) if folder.exists() else ()) == sorted(left)
    assert not (folder / "a").exists() or (folder / "a").read_bytes() == CONTENT


def greeting(name: str, *steps: Step, outcome: type = errors.ProtocolViolation, **more: Any) -> Case:
    return Case(name, list(steps), outcome, **more)


@cases(
    greeting("nothing", Do.CLOSE, outcome=errors.NoGreeting),
    greeting("a reset", Do.RESET, outcome=errors.NoGreeting),
    greeting("never", Do.STALL, outcome=errors.NoGreeting, timeout=NEVER),
    greeting("half of it", Send(b"WELCOME Cli"), Do.STALL, outcome=errors.NoGreeting, timeout=NEVER),
    greeting("half of it and a close", Send(b"WELCOME Cli"), Do.CLOSE, outcome=errors.NoGreeting),
    greeting("no answer to the name", GREET[0], Do.STALL, outcome=errors.ServerSilent, timeout=NEVER),
    greeting("no answer and a close", GREET[0], Hear(), Do.CLOSE, outcome=errors.ServerClosed),
    greeting("another name", GREET[0], Hear(), Send(b"Client02 ACK\n")),
    greeting("endless", SendForEver(bytes(65536))),
    greeting("endless ESC", SendForEver(b"\x1b[2J" * 1000)),
    greeting("endless LF", SendForEver(b"\n" * 65536)),
    greeting("http", Send(b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n"), Do.CLOSE),
    greeting("ssh", Send(b"SSH-2.0-OpenSSH_10.0\r\n"), Do.STALL),
    greeting("tls", Send(b"\x15\x03\x01\x00\x02\x02\x46\n"), Do.CLOSE),
    greeting("binary", Send(bytes(range(256))), Do.CLOSE),
    greeting("a name with a path", Send(b"WELCOME ../../x chatfile/2\n"), Do.STALL),
    greeting("a name that is a command", Send(b"WELCOME exit chatfile/1\n"), Do.STALL),
    greeting("full", Send(b"ERROR full No seat.\n"), Do.CLOSE, outcome=errors.Full),
    greeting("unavailable", Send(b"ERROR unavailable Later.\n"), Do.CLOSE, outcome=errors.Unavailable),
    greeting("full and a reset", Send(b"ERROR full No seat.\n"), Do.RESET, outcome=errors.Full),
    greeting("full and more", Send(b"ERROR full No seat.\n" * 1000), Do.STALL, outcome=errors.Full),
    greeting("full for ever", SendForEver(b"ERROR full No seat.\n" * 1000), outcome=errors.Full),
    greeting("an error of no code", Send(b"ERROR\n"), Do.STALL),
    greeting("an error of its own", Send(b"ERROR surprise It is.\n"), Do.STALL, outcome=errors.Refusal),
)
@pytest_twisted.ensureDeferred
async def test_a_wrong_greeting_ends_it(hostile: Hostile, folder: Path, case: Case) -> None:
    assert type(await get(hostile(case.steps), folder, case.timeout)) is case.outcome
    check(folder, ())


def reply(name: str, said: bytes, *then: Step, outcome: type = errors.ProtocolViolation, **more: Any) -> Case:
    """The reply to `get a`."""
    return Case(name, [*GREET, Hear(b"get a"), Send(said), *(then or [Do.STALL])], outcome, **more)


def behind(name: str, said: bytes, *then: Step, **more: Any) -> Case:
    """What comes behind the bytes: they are kept, and not taken for the file."""
    return reply(name, HEADER + CONTENT + said, *then, left=PART, **more)


def header(size: bytes = b"8", time: bytes = TIME, name: bytes = b"a") -> Case:
    """A header that no honest server sends."""
    said = b"FILE %s %s %s" % (size, time, name)
    return reply(repr(said)[2:60], said + b"\n", SendForEver(CONTENT))


@cases(
    *(header(size=size) for size in SIZES),
    *(header(name=name) for name in NAMES),
    *(header(time=time) for time in TIMES),
    reply("LIST", b"LIST 0\n"),
    reply("an ACK", b"get a ACK\n"),
    reply("END", END),
    reply("a line without end", b"", SendForEver(b"FILE " * 1000)),
    reply("more than any disk", b"FILE %d %s a\n" % (2**63 - 1, TIME), outcome=errors.LocalFileError),
    reply("more, and it comes", b"FILE %d %s a\n" % (2**60, TIME), SendForEver(CONTENT), outcome=errors.LocalFileError),
    reply("a refusal", b"ERROR no-such-file No.\n", outcome=errors.NoSuchFile),
    reply("refusals for ever", b"", SendForEver(b"ERROR no-such-file No.\n" * 999), outcome=errors.NoSuchFile),
    reply("changed", b"ERROR changed It has.\n", outcome=errors.Changed),
    reply("a farewell", b"ERROR shutdown Bye.\n", Do.RESET, outcome=errors.Shutdown),
    reply("nothing", b"", outcome=errors.ServerSilent, timeout=NEVER),
    reply("half a header", HEADER[:9], outcome=errors.ServerSilent, timeout=NEVER),
    reply("a header and no more", HEADER, outcome=errors.ServerSilent, timeout=NEVER),
    reply("half a header and a close", HEADER[:9], Do.CLOSE, outcome=errors.ServerClosed),
)  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_a_wrong_reply_leaves_no_file(hostile: Hostile, folder: Path, case: Case) -> None:
    assert type(await get(hostile(case.steps), folder, case.timeout)) is case.outcome
    check(folder, ())


def short(count: int, how: Do, **more: Any) -> Case:
    kept = PART if count else ()
    return reply(f"{count} bytes, {how.name}", HEADER + CONTENT[:count], how, left=kept, **more)


@cases(
    *(short(count, Do.CLOSE, outcome=errors.TransferBroken) for count in (0, 1, 65536, SIZE - 1)),
    short(SIZE, Do.CLOSE, outcome=errors.ServerClosed),
    short(SIZE, Do.RESET, outcome=errors.ServerClosed),
    *(short(count, Do.STALL, outcome=errors.ServerSilent, timeout=NEVER) for count in (1, 65536, SIZE)),
    behind("half an END", END[:20], Do.CLOSE, outcome=errors.ServerClosed),
    behind("an END without LF", END[:-1], Do.CLOSE, outcome=errors.ServerClosed),
    behind("a byte more", b"x" + END),
    behind("an LF more", b"\n" + END),
    behind("a file more", HEADER),
    behind("bytes for ever", b"", SendForEver(CONTENT)),
    behind("an empty END", b"END \n"),
    behind("a short digest", END[:-2] + b"\n"),
    behind("a long digest", END[:-1] + b"0\n"),
    behind("no hex", b"END %s\n" % (b"g" * 64)),
    behind("changed", b"ERROR changed It has.\n", outcome=errors.Changed),
    reply("an error among them", HEADER + b"ERROR changed .\n", Do.CLOSE, outcome=errors.TransferBroken, left=PART),
    reply("a wrong digest", HEADER + CONTENT + b"END %s\n" % (b"0" * 64), outcome=errors.DigestMismatch),
    reply("wrong bytes", HEADER + CONTENT[::-1] + END, outcome=errors.DigestMismatch),
    reply("a byte less", HEADER + CONTENT[:-1] + b"?" + END, outcome=errors.DigestMismatch),
)  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_what_is_not_the_whole_file_never_has_its_name(hostile: Hostile, folder: Path, case: Case) -> None:
    assert type(await get(hostile(case.steps), folder, case.timeout)) is case.outcome
    check(folder, case.left)


@cases(
    reply("an upper-case digest", HEADER + CONTENT + END.upper(), outcome=Download, left=("a",)),
    reply("no digest", HEADER + CONTENT + b"END -\n", outcome=Download, left=("a",)),
    reply("CR before LF", HEADER.replace(b"\n", b"\r\n") + CONTENT + END, outcome=Download, left=("a",)),
    reply("and a farewell", HEADER + CONTENT + END + b"ERROR shutdown Bye.\n", outcome=Download, left=("a",)),
    reply("and a reset", HEADER + CONTENT + END, Hear(b"exit"), Do.RESET, outcome=Download, left=("a",)),
)
@pytest_twisted.ensureDeferred
async def test_what_is_whole_is_taken_however_odd(hostile: Hostile, folder: Path, case: Case) -> None:
    assert type(await get(hostile(case.steps), folder, case.timeout)) is case.outcome
    check(folder, case.left)


# --- a server that changes its mind between two connections ---

KEPT = 1000
REST = SIZE - KEPT
SAME = b"FILE %d %s a\n" % (REST, TIME)
LATER = b"FILE %d 2026-11-22T12:00:01Z a\n" % REST
BROKEN_OFF = [*GREET, Hear(b"get a"), Send(HEADER + CONTENT[:KEPT]), Do.CLOSE]
ANEW = [Hear(b"get a"), Send(HEADER + CONTENT + END), Do.STALL]


def resumed(name: str, said: bytes, *then: Step, outcome: type, left: tuple[str, ...]) -> Case:
    """The reply to `resume 1000 a`."""
    return Case(name, [*GREET, Hear(b"resume 1000 a"), Send(said), *(then or [Do.STALL])], outcome, left)


def another(name: str, said: bytes) -> Case:
    """It is another file now, which is fetched from its beginning."""
    return resumed(name, said, *ANEW, outcome=Download, left=("a",))


@cases(
    resumed("the same", SAME + CONTENT[KEPT:] + END, outcome=Download, left=("a",)),
    another("shorter", b"ERROR bad-offset It is.\n"),
    another("as long as what is here", b"FILE 0 %s a\n" % TIME + END),
    another("longer", b"FILE %d %s a\n" % (REST + 1, TIME) + CONTENT[KEPT:] + b"x" + END),
    another("the whole of it again", HEADER + CONTENT + END),
    another("younger", LATER + CONTENT[KEPT:] + END),
    another("younger, and changing", LATER + CONTENT[KEPT:] + b"ERROR changed It is.\n"),
    another("the same, with other bytes", SAME + bytes(REST) + END),
    another("the same, with another digest", SAME + CONTENT[KEPT:] + END.replace(b"a", b"b")),
    resumed("the same, with other bytes, and again", SAME + bytes(REST) + END,
            Hear(b"get a"), Send(HEADER + bytes(SIZE) + END), Do.STALL, outcome=errors.DigestMismatch, left=()),
    resumed("gone", b"ERROR no-such-file No.\n", outcome=errors.NoSuchFile, left=PART),
    resumed("another name", b"FILE %d %s b\n" % (REST, TIME), outcome=errors.ProtocolViolation, left=PART),
    resumed("short", SAME + b"x", Do.CLOSE, outcome=errors.TransferBroken, left=PART),
    resumed("huge", b"FILE %d %s a\n" % (2**64 - KEPT, TIME), outcome=errors.ProtocolViolation, left=PART),
)  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_what_is_resumed_is_never_spliced_from_two_files(hostile: Hostile, folder: Path, case: Case) -> None:
    server = hostile(BROKEN_OFF, case.steps)
    assert type(await get(server, folder)) is errors.TransferBroken
    assert type(await get(server, folder)) is case.outcome
    check(folder, case.left)
