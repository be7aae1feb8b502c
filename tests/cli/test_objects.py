"""What `chatfile-client --json` writes: objects whose keys stay, on the stream where they belong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from chatfile import errors
from chatfile.cli.arguments import ClientConfig
from chatfile.cli.commands import HashFiles
from chatfile.cli.executor import execute
from chatfile.cli.exits import ExitCode, error_word
from chatfile.cli.meter import TotalMeter, TransferMeter
from chatfile.cli.progress import ProgressEvents
from chatfile.cli.session import Session
from chatfile.cli.view import View
from chatfile.downloads import Stage, Step
from tests.support.clients_at_once import Ended, Job, run_all
from tests.support.processes import PATIENCE, ServerProcess, client_command
from tests.support.serving import sha256
from tests.support.talking import Talk, result_of

CONTENT = b"content"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    served = tmp_path_factory.mktemp("work") / "served"
    served.mkdir()
    (served / "a").write_bytes(CONTENT)
    (served / "b").write_bytes(b"")
    with ServerProcess(served, "--max-clients=20") as server:
        yield server


def objects(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def results(text: str) -> list[dict[str, object]]:
    """Without the progress, which is told where it is slow."""
    return [each for each in objects(text) if each.get("event") != "progress"]


@pytest.fixture(scope="module")
def ends(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """What the program said where, at once: to start it takes long."""
    there = ["-s", f"127.0.0.1:{server.port}", "--json"]
    arguments = {
        "several": [*there, "get", "a", "missing", "b"],
        "another": [*there, "get", "a"],
        "copied": [*there, "get", "a", "-o", "-"],
        "plain": [*there[:2], "get", "b"],
        "hashed": [*there, "hash", "missing"],
        "nobody": ["-s", "127.0.0.1:1", "--json", "list"],
    }
    folders = {name: tmp_path_factory.mktemp(name) for name in arguments}
    before = {"several": ("b", b""), "another": ("a", b"ANOTHER"), "plain": ("b", b"")}
    for name, (file, content) in before.items():
        (folders[name] / "client_downloads").mkdir()
        (folders[name] / "client_downloads" / file).write_bytes(content)
    jobs = [Job(str(folders[name]), arguments[name]) for name in arguments]
    return dict(zip(arguments, run_all(jobs), strict=True))


def test_each_file_is_a_result_or_an_error(ends: dict[str, Ended]) -> None:
    came, missing, already = results(ends["several"].stdout)
    assert isinstance(came.pop("seconds"), float)
    assert came == {
        "name": "a", "path": "client_downloads/a", "size": 7, "sha256": sha256(CONTENT).decode(), "verified": True,
        "resumed_from": 0, "already": False,
    }  # fmt: skip
    assert missing == {
        "event": "error", "code": "no-such-file", "exit": 5, "name": "missing",
        "message": 'There is no file "missing" here; "list" shows what there is.',
    }  # fmt: skip
    assert (already["name"], already["already"], ends["several"].status) == ("b", True, 5)


def test_what_is_there_already_is_no_failure(ends: dict[str, Ended]) -> None:
    plain = ends["plain"]
    assert (plain.status, plain.stdout, "already complete" in plain.stderr) == (0, "client_downloads/b\n", True)


def test_what_is_there_and_differs_is_one(ends: dict[str, Ended]) -> None:
    (failure,) = results(ends["another"].stdout)
    assert (ends["another"].status, failure["code"], failure["exit"]) == (8, "target-exists", 8)


def test_objects_make_room_for_a_file_on_standard_output(ends: dict[str, Ended]) -> None:
    (came,) = results(ends["copied"].stderr)
    assert (ends["copied"].status, ends["copied"].stdout.encode()) == (0, CONTENT)
    assert (came["path"], came["verified"]) == ("-", True)


def test_a_failure_without_a_file_is_an_object_too(ends: dict[str, Ended]) -> None:
    (failure,) = results(ends["nobody"].stdout)
    assert (ends["nobody"].status, failure["code"], failure["exit"]) == (3, "no-connection", 3)
    assert len(ends["nobody"].stderr.splitlines()) == 1


def test_the_failure_of_a_digest_names_its_file(ends: dict[str, Ended]) -> None:
    (failure,) = results(ends["hashed"].stdout)
    assert (ends["hashed"].status, failure["code"], failure["name"]) == (5, "no-such-file", "missing")


def test_the_failures_of_piped_lines_name_their_files(server: ServerProcess, tmp_path: Path) -> None:
    command = client_command("-s", f"127.0.0.1:{server.port}", "--json", "-d", str(tmp_path))
    lines = b"get missing\nresume 7 missing\nhash missing\nget\n"
    done = subprocess.run(command, input=lines, capture_output=True, timeout=PATIENCE, check=False)
    failures = objects(done.stdout.decode())
    assert [failure.get("name") for failure in failures] == ["missing", "missing", "missing", None]
    assert done.returncode == 5


def test_a_single_command_starts_without_what_only_terminals_need(server: ServerProcess, tmp_path: Path) -> None:
    program = """
import sys
from chatfile.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code
print(sorted({name.split(".")[0] for name in sys.modules} & {"wcwidth", "prompt_toolkit"}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, "-s", f"127.0.0.1:{server.port}", "status"],
        cwd=tmp_path, capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == [b"[]"], done.stderr


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (errors.NoSuchFile(name="a"), "no-such-file"),
        (errors.Full.for_address(limit=1), "full"),
        (errors.TargetExists(path="a"), "target-exists"),
        (errors.NoConnection(), "no-connection"),
    ],
)
def test_every_error_has_a_word(error: errors.ChatFileError, word: str) -> None:
    assert error_word(error) == word


def test_progress_is_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    total = TotalMeter([600, 1000], clock.seconds)
    total.begin(1)
    meter = TransferMeter("b", clock.seconds, total)
    meter.stage(Stage(Step.RECEIVING, 100, 1000))
    clock.advance(2)
    meter.advance(300)
    meter.measure()
    ProgressEvents(View(as_json=True, quiet=False)).draw(meter, total)
    (event,) = objects(capsys.readouterr().out)
    assert event == {
        "event": "progress", "name": "b", "step": "receiving", "bytes": 400, "size": 1000, "rate": 150.0,
        "seconds_left": 4.0, "resumed_from": 100,
        "overall": {"files_done": 1, "files": 2, "bytes": 1000, "size": 1600},
    }  # fmt: skip


def test_before_anything_came_there_is_little_to_tell(capsys: pytest.CaptureFixture[str]) -> None:
    events = ProgressEvents(View(as_json=True, quiet=False))
    events.draw(None, TotalMeter([1], Clock().seconds))
    events.draw(TransferMeter("a", Clock().seconds), None)
    (event,) = objects(capsys.readouterr().out)
    assert (event["step"], event["rate"], event["seconds_left"]) == ("waiting", None, None)


def test_the_digest_of_a_big_file_is_waited_for(talk: Talk, capsys: pytest.CaptureFixture[str]) -> None:
    session = Session(talk.client, ClientConfig(), View(as_json=False, quiet=True))
    hashing = Deferred.fromCoroutine(execute(session, HashFiles(("a",))))
    talk.server_says(b"LIST 1\n4000000000 2026-11-22T12:00:00Z a\n")
    assert talk.transport.value() == b"list\nhash a\n"
    talk.clock.advance(200)
    talk.server_says(b"HASH %s 4000000000 2026-11-22T12:00:00Z a\n" % sha256(b""))
    assert result_of(hashing) is ExitCode.DONE
    assert capsys.readouterr().out.endswith("  a\n")


@pytest.mark.parametrize("listing", [b"LIST 0\n", b"ERROR unavailable No.\n"])
def test_the_digest_is_asked_for_whatever_the_listing_says(
    talk: Talk, listing: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    session = Session(talk.client, ClientConfig(), View(as_json=False, quiet=True))
    hashing = Deferred.fromCoroutine(execute(session, HashFiles(("a",))))
    talk.server_says(listing + b"HASH - 4 2026-11-22T12:00:00Z a\n")
    assert result_of(hashing) is ExitCode.DONE
    assert capsys.readouterr().out == "-  a\n"
