"""Standard input, output and error: who reads them, what is in them, and what is not there at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chatfile.cli.exits import ExitCode
from chatfile.cli.view import View
from chatfile.wire import Digest, FileRow, exact
from tests.support.processes import PATIENCE, ServerProcess, client_command, run_client, wait_until
from tests.support.started import program

NAMES = [
    *("soft\u00adhyphen", "right\u200fto", "\ufeffmark", "\u202egpj.exe", "é", "日本 語"),
    *("back\\slash", "\\first", "a\\nb", "last\\", " space", "*star", "two  spaces", "'\"", "-"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    served = tmp_path_factory.mktemp("work") / "served"
    served.mkdir()
    for name in NAMES:
        (served / name).write_text(name)
    with ServerProcess(served, "--max-clients=20") as server:
        yield server


# --- a reader that goes ---


def gone(_: int) -> None:
    """As `true`: it reads nothing at all."""


def after_a_line(reader: int) -> None:
    """As `head -1`."""
    os.read(reader, 65536)


def status(folder: Path, read: Callable[[int], None], *arguments: object, stdin: bytes = b"") -> tuple[int, bytes]:
    """Of the client, whose reader goes after `read`; and what it said on standard error."""
    reader, writer = os.pipe()
    try:
        with subprocess.Popen(
            client_command(*arguments), cwd=folder, stdin=subprocess.PIPE, stdout=writer, stderr=subprocess.PIPE
        ) as process:
            os.close(writer)
            threading.Thread(target=lambda: (read(reader), os.close(reader)), daemon=True).start()
            _, said = process.communicate(stdin, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, said


COMMANDS = [
    *("list", "--json list", "status", "help", "hash é", "send x", "get é", "--json get é", "get é -o -", "get é 日本"),
    *("watch --interval=0.1", "--json watch --interval=0.1", "--json get missing", ""),
    *("--help", "get --help", "--version", "--completion bash"),
]


@pytest.mark.slow
@pytest.mark.parametrize("read", [gone, after_a_line])
@pytest.mark.parametrize("command", [*COMMANDS[:1], *(pytest.param(c, marks=pytest.mark.slow) for c in COMMANDS[1:])])
def test_a_reader_that_goes_ends_it_always_in_the_same_way(
    server: ServerProcess, tmp_path: Path, command: str, read: Callable[[int], None]
) -> None:
    server_option = ("-s", f"127.0.0.1:{server.port}")
    code, said = status(tmp_path, read, *server_option, *command.split(), stdin=b"list\nstatus\n")
    assert (code, b"Traceback" in said, b"Exception" in said) == (ExitCode.UNREAD, False, False), said


@pytest.mark.slow
@pytest.mark.parametrize("is_ignored", [True, False])
def test_whoever_started_it_may_ignore_sigpipe(server: ServerProcess, tmp_path: Path, is_ignored: bool) -> None:
    command = client_command("-s", f"127.0.0.1:{server.port}", "list")
    piped = 'trap "" PIPE; ' if is_ignored else ""
    script = piped + '{ "$@"; echo $? >code; } | head -1 >/dev/null'
    subprocess.run(["sh", "-c", script, "sh", *command], cwd=tmp_path, check=True, timeout=PATIENCE)
    wait_until(lambda: bool((tmp_path / "code").read_text()))
    assert (tmp_path / "code").read_text() == "141\n"


@pytest.mark.parametrize(
    ("command", "code"), [("get missing", 5), pytest.param("get missing -o -", 5, marks=pytest.mark.slow)]
)
def test_a_failure_is_told_by_its_code_where_nothing_was_to_be_read(
    server: ServerProcess, tmp_path: Path, command: str, code: int
) -> None:
    assert status(tmp_path, gone, "-s", f"127.0.0.1:{server.port}", *command.split())[0] == code


@pytest.mark.slow
def test_whoever_does_not_read_complaints_gets_the_same_code(server: ServerProcess, tmp_path: Path) -> None:
    address = f"127.0.0.1:{server.port}"
    for arguments, code in (
        (("-s", address, "get", "missing", "é"), 5),
        (("nonsense",), 2),
        (("-s", "a..b", "list"), 2),
    ):
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "wb") as unread:
            done = subprocess.run(
                client_command(*arguments), cwd=tmp_path, stdout=subprocess.PIPE, stderr=unread, timeout=PATIENCE,
                check=False,
            )  # fmt: skip
        assert done.returncode == code


@pytest.mark.slow
@pytest.mark.parametrize("script", ["chatfile-server", "twistd"])
def test_the_server_s_help_ends_in_the_same_way(tmp_path: Path, script: str) -> None:
    more = ["chatfile"] if script == "twistd" else []
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as unread:
        done = subprocess.run(
            [program(script), *more, "--help"], cwd=tmp_path, stdout=unread, stderr=subprocess.PIPE, timeout=PATIENCE,
            check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (141, b"")


# --- names ---


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="there is no sha256sum here")
@pytest.mark.parametrize(
    "locale",
    [
        {},
        *(
            pytest.param({"LC_ALL": each, "PYTHONUTF8": "0"}, marks=pytest.mark.slow)
            for each in ("C", "en_US.ISO8859-1")
        ),
    ],
)
def test_sha256sum_checks_what_hash_says_of_any_name(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locale: dict[str, str]
) -> None:
    for variable, value in locale.items():
        monkeypatch.setenv(variable, value)
    lines = "".join(f"hash {name}\n" for name in NAMES).encode()
    sums = run_client(tmp_path, "-s", f"127.0.0.1:{server.port}", stdin=lines).stdout
    served = Path(os.readlink(f"/proc/{server.process.pid}/cwd")) / "served"
    checked = subprocess.run(["sha256sum", "-c", "--strict"], cwd=served, input=sums, capture_output=True, check=False)
    assert (checked.returncode, len(sums.splitlines())) == (0, len(NAMES)), checked


@pytest.mark.slow
def test_rows_and_paths_on_a_pipe_have_names_to_the_letter(server: ServerProcess, tmp_path: Path) -> None:
    address = f"127.0.0.1:{server.port}"
    listed = run_client(tmp_path, "-s", address, "list").stdout.decode()
    assert sorted(row.split("Z  ", 1)[1] for row in listed.splitlines()) == sorted(NAMES)
    saved = run_client(tmp_path, "-q", "-s", address, "get", "--", *NAMES).stdout.decode()
    assert [path.removeprefix("client_downloads/") for path in saved.splitlines()] == NAMES


EVIL = "a\u00ad\u200f\ufeffé\tb"


@pytest.mark.parametrize(("is_terminal", "shown"), [(False, EVIL), (True, "a\\xad\\u200f\\ufeffé\\tb")])
def test_results_are_exact_on_a_pipe_and_escaped_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_terminal: bool, shown: str
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    view = View(as_json=False, quiet=True)
    view.files([FileRow(1, 0, EVIL)])
    view.digest(Digest("0" * 64, 1, 0, EVIL))
    view.ack("", EVIL)
    view.help([EVIL])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ", 2)[-1] for line in lines[:2]] == [shown, shown]
    assert lines[2:] == [shown, shown]


def test_not_even_a_pipe_is_shown_what_ends_a_line() -> None:
    assert exact("a\n\r\x1b\x9b\u2028\u2029\x85b") == "a\\n\\r\\x1b\\x9b\\u2028\\u2029\\x85b"


# --- input ---


@pytest.mark.slow
@pytest.mark.parametrize("first", [b"\xef\xbb\xbf", b""])
def test_a_byte_order_mark_is_no_part_of_the_first_line(server: ServerProcess, tmp_path: Path, first: bytes) -> None:
    done = run_client(tmp_path, "-s", f"127.0.0.1:{server.port}", stdin=first + "hash é\n\ufeffx\n".encode())
    assert [line.split()[-1] for line in done.stdout.decode().splitlines()] == ["é", "ACK"]
    assert done.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_lines_of_another_encoding_are_one_complaint(server: ServerProcess, tmp_path: Path, encoding: str) -> None:
    done = run_client(tmp_path, "-s", f"127.0.0.1:{server.port}", stdin="\ufefflist\nstatus\n".encode(encoding))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, b"", 1)


@pytest.mark.slow
def test_a_line_is_carried_out_before_the_next_one_comes(server: ServerProcess, tmp_path: Path) -> None:
    command = client_command("-s", f"127.0.0.1:{server.port}")
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for piece in (b"\xef", b"\xbb\xbf", b"hello\n"):
            process.stdin.write(piece)
            process.stdin.flush()
        assert process.stdout.readline() == b"hello ACK\n"
        process.stdin.close()
        assert process.wait(PATIENCE) == 0


# --- what is closed ---

PREPARED = "import os, sys; from chatfile.cli.streams import prepare; prepare(); os._exit(os.open('/dev/null', 0))"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_no_file_of_ours_takes_the_place_of_a_stream_that_is_closed(closed: str) -> None:
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", PREPARED]
    assert subprocess.run(command, timeout=PATIENCE, check=False).returncode > 2


WITHOUT_DESCRIPTORS = """
import resource, sys
from chatfile.cli import streams
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
streams.forget_output()
print("what can't be written")
"""


def test_an_output_is_forgotten_without_a_descriptor_to_spare() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_DESCRIPTORS], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
