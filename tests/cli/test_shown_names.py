"""Names and texts from elsewhere, in the log and on a terminal: nothing that controls or reorders it arrives there."""

from __future__ import annotations

import json
import re
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from unicodedata import category

import pytest

from chatfile.cli.arguments import parse_arguments
from chatfile.wire import printable
from tests.support.processes import ServerProcess, client_command, run_client
from tests.support.terminals import Terminal

NAME = "\u202eliv\u2066\u200b\ufeffé😀\U000e0041"
"""The worst that a server may list."""
EVIL = f"\x1b[2J\x1b]52;c;QUFB\x07\x9b31m\b\x7f{NAME}"
"""What a terminal obeys, and no white space, which would end a field."""
TEXT = f"{EVIL}\r\x0b\x85\u2028\u2029\t"
TIME = "2026-11-22T12:00:00Z"
REPLIES = {
    "list": f"LIST 1\n5 {TIME} {NAME}\n",
    "status": f"STATUS 1\n{EVIL} {EVIL} {TIME} - 0 0\n",
    "help": f"HELP 1\n{TEXT}\n",
    "hash missing": f"ERROR no-such-file {TEXT}\n",
    "get missing": f"ERROR {EVIL} {TEXT}\n",
    "hello": f"{TEXT} ACK\n",
}
"""To the request: the last is a violation, which the client quotes."""


def assert_harmless(shown: bytes) -> None:
    text = shown.decode()
    assert [c for c in text if category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in "\n\u200c\u200d"] == []


def assert_unbroken(piped: bytes) -> None:
    """For a program: to the letter, but nothing that no line of the protocol may hold."""
    assert [c for c in piped.decode() if category(c) in ("Cc", "Zl", "Zp") and c not in "\n\t"] == []


# --- a hostile server ---


class _Hostile(socketserver.StreamRequestHandler):
    server: HostileServer

    def handle(self) -> None:
        self.wfile.write(self.server.greeting.encode())
        for line in self.rfile:
            said = line.decode().removesuffix("\n")
            self.wfile.write(REPLIES.get(said, f"{said} ACK\n").encode())


class HostileServer(socketserver.ThreadingTCPServer):
    """A server that speaks the protocol to hurt who shows what it says."""

    daemon_threads = True
    greeting = "WELCOME Client01 chatfile/1\n"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Hostile)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def hostile() -> Iterator[HostileServer]:
    with HostileServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("option", ["-q", "--json"])
def test_what_a_hostile_server_says_is_shown_escaped(hostile: HostileServer, tmp_path: Path, option: str) -> None:
    done = run_client(tmp_path, "-s", hostile.address, option, stdin="\n".join(REPLIES).encode())
    assert_unbroken(done.stdout)
    assert_harmless(done.stderr)
    shown = 6 if option == "--json" else 3  # errors are objects as well
    assert (done.returncode, len(done.stdout.splitlines()), len(done.stderr.splitlines())) == (5, shown, 3)
    assert list(tmp_path.iterdir()) == [tmp_path / "client_downloads"]
    if option == "--json":
        assert json.loads(done.stdout.splitlines()[0])["name"] == NAME


@pytest.mark.parametrize(
    ("greeting", "code"),
    [(f"ERROR full {TEXT}\n", 4), (f"WELCOME {EVIL} chatfile/1\n", 6)],
    ids=["full", "a name"],
)
def test_a_hostile_greeting_is_shown_escaped(hostile: HostileServer, tmp_path: Path, greeting: str, code: int) -> None:
    hostile.greeting = greeting
    done = run_client(tmp_path, "-s", hostile.address, "list")
    assert (done.returncode, done.stdout) == (code, b"")
    assert done.stderr
    assert_harmless(done.stderr)


def test_a_prompt_shows_a_hostile_name_escaped(hostile: HostileServer, tmp_path: Path) -> None:
    hostile.greeting = "WELCOME \u202eliv\u200b chatfile/1\n"
    with Terminal(*client_command("-s", hostile.address), folder=tmp_path, TERM="dumb") as terminal:
        assert_harmless(terminal.see("> ").replace("\r", "").encode())


@pytest.mark.parametrize("arguments", [["--\x1b[2J"], ["\x9b31m"], ["get", "\u202e/"], ["list", "--timeout=\x1b"]])
def test_what_is_complained_of_is_shown_escaped(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(arguments)
    assert_harmless(capsys.readouterr().err.encode())


# --- foreign names ---

NAMES = [
    *("{log_system}", "{x.__class__}", "%s%n", "%(sentence)s", "{", "\u202egpj.exe", "a\u200bb", "\ufeffa", "é"),
    "日本 語",
]
PIPED = "".join(f"get {name}\nhash {name}\n{name}\n" for name in NAMES)
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0"}
"""A locale that has no other characters; Python would not believe in it."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    served = tmp_path_factory.mktemp("work") / "served"
    served.mkdir()
    for name in NAMES:
        (served / name).write_text(name, encoding="utf-8")
    (served.parent / "link").symlink_to(served)
    with ServerProcess(served.parent / "link") as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize(
    ("locale", "arguments", "piped"),
    [
        ({"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}, ["get", *NAMES], ""),
        (ASCII, ["get", *NAMES], ""),
        (ASCII, [], PIPED),
    ],
    ids=["ascii output", "ascii arguments", "ascii names of files"],
)
def test_foreign_names_are_saved_and_told_as_they_are_in_any_locale(
    server: ServerProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    locale: dict[str, str],
    arguments: list[str],
    piped: str,
) -> None:
    for variable, value in locale.items():
        monkeypatch.setenv(variable, value)
    done = run_client(tmp_path, "-s", f"127.0.0.1:{server.port}", *arguments, stdin=piped.encode())
    assert done.returncode == 0, done.stderr
    assert_harmless(done.stderr)
    assert set(NAMES) <= set(done.stdout.decode().replace("client_downloads/", "").splitlines())
    saved = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "client_downloads").iterdir()}
    assert saved == {name: name for name in NAMES}


@pytest.mark.slow
def test_a_message_is_sent_as_it_was_typed_in_any_locale(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in ASCII.items():
        monkeypatch.setenv(variable, value)
    done = run_client(tmp_path, "-s", f"127.0.0.1:{server.port}", "--json", "send", "grüße")
    assert json.loads(done.stdout) == {"message": "grüße", "reply": "grüße ACK"}


def test_the_log_has_names_to_the_letter_and_no_control_characters(server: ServerProcess) -> None:
    with server.greeted() as client:
        client.send("".join(f"get {name}\n{name}\nget x{name}\nhash {name}\n" for name in NAMES).encode())
        client.send(b"get \x1b[2J\n\x1b]0;x\x07\n\xff\nget a\nEND {log_system} %s\nexit\n")
        bye, name = client.rest().splitlines()[-1].decode().split()
    assert (bye, server.log_until(f"({name}) left: exit")) == ("BYE", name)
    for name in NAMES:
        assert re.search(rf" of \d+ bytes of {re.escape(printable(name))} in \d+\.\d+ s\n", server.log)
    assert_harmless(server.log.encode())
    assert "Traceback" not in server.log
