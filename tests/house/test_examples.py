"""The clients in other languages, which are proof of the protocol: each with a real server, and with hostile ones."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread

from tests.support import ROOT
from tests.support.hostile import Do, Hear, HostileServer, Send, Step
from tests.support.processes import PATIENCE, ServerProcess, unmeasured
from tests.support.trees import plant, tree

pytestmark = pytest.mark.slow

SLOW = pytest.mark.slow
EXAMPLES = ROOT / "tests" / "examples"
NEEDS = {
    "sh": ("nc", "sha256sum"),
    "c": ("cc", "sha256sum"),
    "js": ("node",),
    "micropython": ("micropython",),
    "py": (),
}
LONGEST = {"sh": 100, "c": 99, "js": 59, "py": 79}
INTERPRETERS = {
    "sh": ["sh"],
    "js": ["node"],
    "micropython": ["micropython", "-X", "heapsize=40k"],
    "py": [sys.executable],
}
"""That for boards is tried with as much memory as small ones have, and by the Python at hand, which is always there."""
OF_MICROPYTHON = {
    *("hashlib.sha256", "os.getenv", "os.remove", "os.rename", "os.stat", "socket.SOCK_STREAM", "socket.getaddrinfo"),
    *("socket.socket", "sys.argv", "sys.exit", "sys.stderr"),
}
"""What it has of its modules, with a network."""
FILES = {
    "empty": b"",
    " spaces  in it ": bytes(range(256)),
    "grüße 文件 🐦.txt": b"\n\nEND 0\nERROR changed That.",
    "-n 100% \\n $(exit) `exit` 'q\" *": b"quoted",
    "large": os.urandom(3_000_001),
}
Hostile = Callable[..., HostileServer]
Fetch = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="module", params=NEEDS)
def fetch(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Fetch:
    """Run one of the clients in a folder."""
    language, folder = request.param, tmp_path_factory.mktemp("built")
    for tool in NEEDS[language]:
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool} here")
    program = built(language, folder)

    def run(work: Path, port: int, *names: str, timeout: int = 60) -> subprocess.CompletedProcess[bytes]:
        command, env = [*program, "127.0.0.1", str(port), *names], unmeasured() | {"TIMEOUT": str(timeout)}
        return subprocess.run(command, cwd=work, env=env, capture_output=True, timeout=PATIENCE, check=False)

    return run


def built(language: str, folder: Path) -> list[str]:
    source, program = str(EXAMPLES / f"fetch.{language.replace('micropython', 'py')}"), str(folder / "fetch")
    if language != "c":
        return [*INTERPRETERS[language], source]
    subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-o", program, source], check=True)
    return [program]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("work") / "served"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    with ServerProcess(folder) as server:
        yield server


@pytest.mark.parametrize("language", LONGEST)
def test_a_client_is_short(language: str) -> None:
    lines = (EXAMPLES / f"fetch.{language}").read_text().splitlines()
    assert len(lines) <= LONGEST[language]
    assert max(map(len, lines)) <= 120


def test_the_client_for_boards_asks_for_nothing_that_they_lack() -> None:
    nodes = list(ast.walk(ast.parse((EXAMPLES / "fetch.py").read_text())))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    used = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    assert {name for name in used if name.split(".")[0] in imported and name.count(".") == 1} == OF_MICROPYTHON


def statuses(fetch: Fetch, work: Path, port: int, calls: Iterable[tuple[str, ...]]) -> list[int]:
    with ThreadPoolExecutor(2) as pool:
        return [done.returncode for done in pool.map(lambda names: fetch(work, port, *names), calls)]


def test_every_file_is_fetched_and_nothing_else_is_left(fetch: Fetch, server: ServerProcess, tmp_path: Path) -> None:
    assert statuses(fetch, tmp_path, server.port, [(name,) for name in FILES]) == [0] * len(FILES)
    assert tree(tmp_path) == FILES


@SLOW
def test_a_hundred_megabytes_come_in_seconds(fetch: Fetch, tmp_path: Path) -> None:
    content = os.urandom(1_000_000) * 100
    served = tmp_path / "served"
    served.mkdir()
    (served / "huge").write_bytes(content)
    with ServerProcess(served) as server:
        assert fetch(tmp_path, server.port, "huge", "here").returncode == 0  # or it is past our patience
    assert (tmp_path / "here").read_bytes() == content


def test_what_is_there_is_left_as_it_is(
    fetch: Fetch, server: ServerProcess, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    boards_have_no_links = request.node.callspec.params["fetch"] in ("micropython", "py")
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("mine" if boards_have_no_links else "nowhere")
    before = tree(tmp_path)
    calls = [("empty", output) for output in ("mine", "link", "no/such")]
    assert statuses(fetch, tmp_path, server.port, calls) == [8, 8, 8]
    assert tree(tmp_path) == before


def test_what_is_no_name_is_not_asked_for(fetch: Fetch, server: ServerProcess, tmp_path: Path) -> None:
    calls = [("",), ("../empty",), ("empty\nexit",), ("empty", "a", "b")]
    assert statuses(fetch, tmp_path, server.port, calls) == [2, 2, 2, 2]
    assert tree(tmp_path) == {}


def test_no_server_is_no_greeting(fetch: Fetch, tmp_path: Path) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        done = fetch(tmp_path, deaf.getsockname()[1], "a")
    assert (done.returncode, bool(done.stderr), tree(tmp_path)) == (3, True, {})


CONTENT = bytes(range(256)) * 2
TIME = b"2026-11-22T12:00:00Z"
HEADER = b"FILE 512 %s a\n" % TIME
END = b"END %s\n" % hashlib.sha256(CONTENT).hexdigest().encode()
FILE = HEADER + CONTENT + END
ESCAPES = "\x1b[2J\x1b]52;c;eA==\x07 \x9b31m \u202etxt\u2066 \r \x7f".encode()
GREETING, ACK = b"WELCOME Client01 chatfile/1\n", b"Client01 ACK\n"
SILENT = {"silence", "no greeting", "half a greeting", "silence within"}
"""Cases in which a client may have to wait until it gives up: nc says nothing of a server's end before its own."""
# What a server says from the greeting on, and the status that the client has to end with.
GREETINGS: dict[str, tuple[bytes, int]] = {
    "silence": (b"", 3),
    "no greeting": (b"", 3),
    "full": (b"ERROR full %s\n" % ESCAPES, 4),
    "going down": (b"ERROR shutdown The server is going down.\n", 6),
    "a web server": (b"HTTP/1.1 400 Bad Request\r\n\r\n", 6),
    "another protocol": (b"WELCOME Client01 chatfile/2\n" + ACK + FILE, 6),
    "half a greeting": (GREETING[:-1], 3),
    "no acknowledgement": (GREETING + FILE, 6),
    "another acknowledgement": (GREETING + b"Client02 ACK\n" + FILE, 6),
}
# The same from the acknowledgement on.
REPLIES: dict[str, tuple[bytes | Send, int]] = {
    "whole": (FILE, 0),
    "in one-byte pieces": (Send(FILE, piece=1), 0),
    "more behind it": (FILE + FILE, 0),
    "refused": (b"ERROR no-such-file %s\n" % ESCAPES, 5),
    "refused with a code of tomorrow": (b"ERROR constructor No.\n", 5),
    "no reply": (b"", 6),
    "a line without an end": (b"FILE" + b" " * 20_000 + b"512 %s a\n" % TIME + CONTENT + END, 6),
    "another reply": (FILE.replace(b"FILE", b"HASH"), 6),
    "no name": (FILE.replace(b" a\n", b"\n"), 6),
    "another file": (FILE.replace(b"Z a\n", b"Z b\n"), 6),
    "a path": (FILE.replace(b"Z a\n", b"Z ../a\n"), 6),
    "a name with something before it": (FILE.replace(b"Z a\n", b"Z b a\n"), 6),
    "no time": (FILE.replace(TIME + b" ", b""), 6),
    **{
        f"size {size}": (FILE.replace(b"512", size.encode()), 6) for size in ("-1", "0x10", "5e2", "9" * 20, "", "512.")
    },
    "nothing behind the header": (HEADER, 6),
    "silence within": (FILE[:-99], 6),
    "short": (FILE[:-99], 6),
    "short, and an end": (HEADER + CONTENT[:99] + END, 6),
    "endless": (FILE.replace(b"512", b"9" * 15), 6),
    "long, and an end": (HEADER + CONTENT + b"x" + END, 6),
    "changed": (HEADER + CONTENT + b"ERROR changed It has.\n", 6),
    "no end": (HEADER + CONTENT, 6),
    "half an end": (HEADER + CONTENT + END[:-1], 6),
    "damaged": (FILE.replace(b"\x01\x02", b"\x01\x01"), 7),
    "half a digest": (HEADER + CONTENT + END[:40] + b"\n", 7),
    "no digest": (HEADER + CONTENT + b"END -\n", 7),
}


def script(name: str) -> list[Step]:
    end = Do.STALL if name.startswith("silence") else Do.CLOSE
    if name in GREETINGS:
        return [Send(GREETINGS[name][0]), end]
    said = REPLIES[name][0]
    reply = said if isinstance(said, Send) else Send(said)
    return [Send(GREETING), Hear(b"Client01"), Send(ACK), Hear(b"get a"), reply, end]


def deviation(done: subprocess.CompletedProcess[bytes], work: Path, status: int) -> str:
    """In which way it did not end as it should."""
    left = {} if status else {"a": CONTENT}
    is_plain = re.fullmatch(rb"([ -~]+\n)*", done.stderr) and bool(done.stderr) == bool(status) and not done.stdout
    return "" if done.returncode == status and tree(work) == left and is_plain else f"{done}, {tree(work)}"


def test_what_comes_to_be_meanwhile_is_left_as_it_is(fetch: Fetch, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
        listening.settimeout(PATIENCE)
        done = pool.submit(fetch, tmp_path, listening.getsockname()[1], "a")
        with listening.accept()[0] as connection:
            connection.sendall(GREETING)
            connection.recv(4096)
            (tmp_path / "a").write_bytes(b"mine")
            connection.sendall(ACK + FILE)
            assert done.result().returncode == 8
    assert tree(tmp_path) == {"a": b"mine"}


STATUSES = {name: status for name, (_, status) in (GREETINGS | REPLIES).items()}
FEW = ["full", "refused", "short", "damaged"]


@pytest.mark.parametrize("cases", [pytest.param(FEW, id="few"), pytest.param([*STATUSES], id="all", marks=SLOW)])
@pytest_twisted.ensureDeferred
async def test_whatever_a_server_says_only_a_whole_and_verified_file_is_kept(
    fetch: Fetch, cases: Sequence[str], hostile: Hostile, tmp_path: Path
) -> None:
    async def wrong(case: str) -> str:
        work = tmp_path / case
        work.mkdir()
        port, timeout = hostile(script(case)).port, 2 if case in SILENT else 60
        return deviation(await deferToThread(fetch, work, port, "a", timeout=timeout), work, STATUSES[case])

    ways = await gatherResults([Deferred.fromCoroutine(wrong(case)) for case in cases])
    assert {case: way for case, way in zip(cases, ways, strict=True) if way} == {}


# --- one that walks a tree ---

TREE = {"a/b/two": b"2", "a/one": b"1", "grüße/文 件": b"\n\nEND 0\n", "top": b"", "a-": os.urandom(1_000_000)}


def walk(work: Path, port: int, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, str(EXAMPLES / "walk.py"), "127.0.0.1", str(port), *arguments]
    env = unmeasured() | {"TIMEOUT": "5"}
    return subprocess.run(command, cwd=work, env=env, capture_output=True, timeout=PATIENCE, check=False)


def files_in(folder: Path) -> dict[str, bytes]:
    return {path: content for path, content in tree(folder).items() if isinstance(content, bytes)}


def test_a_tree_is_walked_and_every_file_is_verified(tmp_path: Path) -> None:
    for path, content in TREE.items():
        plant(tmp_path, f"served/{path}", content)
    with ServerProcess(tmp_path / "served", "--recursive") as server:
        calls = [("all",), ("some", "a"), ("few", "a/b"), ("all",), ("none", "b"), ("none", "top")]
        assert [walk(tmp_path, server.port, *names).returncode for names in calls] == [0, 0, 0, 8, 5, 5]
    with ServerProcess(tmp_path / "served") as server:
        assert walk(tmp_path, server.port, "none").returncode == 5
    assert files_in(tmp_path / "all") == TREE
    assert files_in(tmp_path / "some") == {"b/two": b"2", "one": b"1"}
    assert {path.name for path in tmp_path.iterdir()} == {"served", "all", "some", "few"}


ASKED = [Send(GREETING), Hear(b"Client01"), Send(ACK), Hear(b"tree a/")]
ROWS = {
    **{
        path: (b"TREE 1\n5 %s %s\n" % (TIME, path.encode()), 6)
        for path in ("../x", "/x", "a/../x", "a//x", "a/.x", "b/x")
    },
    "twice": (b"TREE 2\n5 %s a/x\n5 %s a/x\n" % (TIME, TIME) + FILE.replace(b" a\n", b" a/x\n") * 2, 8),
    "damaged": (b"TREE 1\n5 %s a/x\n" % TIME + FILE.replace(b" a\n", b" a/x\n").replace(b"\x01\x02", b"\x01\x01"), 7),
    "another file": (b"TREE 1\n5 %s a/x\n" % TIME + FILE, 6),
    "fewer rows": (b"TREE 2\n5 %s a/x\n" % TIME, 6),
    "no header": (b"LIST 0\n", 6),
    "refused": (b"ERROR no-such-file %s\n" % ESCAPES, 5),
}


@pytest_twisted.ensureDeferred
async def test_whatever_a_server_says_only_a_whole_tree_is_kept(hostile: Hostile, tmp_path: Path) -> None:
    for name, (said, status) in ROWS.items():
        port = hostile([*ASKED, Send(said), Do.CLOSE if name == "fewer rows" else Do.STALL]).port
        done = await deferToThread(walk, tmp_path, port, "here", "a")
        assert (name, done.returncode, tree(tmp_path)) == (name, status, {}), done.stderr
        assert done.stderr.isascii()
