"""`--state` and `--prehash`: what is refused, and what a restart costs, in bytes that the real server reads."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from twisted.python.usage import UsageError

from chatfile.options import Options
from tests.service.test_wall_clock import HOUR, stepping
from tests.support.processes import ServerProcess
from tests.support.serving import sha256

CONTENT = os.urandom(3_000_000)
TURN = 100_000
"""Bytes that are read of other things."""


@pytest.fixture
def served(tmp_path: Path) -> Path:
    (tmp_path / "served" / "within").mkdir(parents=True)
    (tmp_path / "served" / "a").write_bytes(CONTENT)
    return tmp_path / "served"


# --- the options ---


def parsed(*arguments: object) -> Options:
    options = Options()
    options.parseOptions([str(each) for each in arguments])
    return options


def refusal(*arguments: object) -> str:
    with pytest.raises(UsageError) as raised:
        parsed(*arguments)
    message = str(raised.value)
    assert "\n" not in message
    return message


def test_without_the_option_there_is_no_such_folder(served: Path) -> None:
    assert parsed("-f", served)["state-folder"] is None


def test_the_folder_is_made_if_it_is_missing_for_the_server_alone(served: Path, tmp_path: Path) -> None:
    assert parsed("-f", served, "--state", tmp_path / "new")["state-folder"] == str(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert parsed("-f", served, "--state", tmp_path / "new")["state-folder"] == str(tmp_path / "new")


@pytest.mark.parametrize("name", ["served", "served/within", "served/new", "", ".", "link", "link/within", "/"])
def test_it_cannot_be_where_files_are_served(served: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to("served")
    before = sorted(tmp_path.rglob("*"))
    state = "" if name == "" else tmp_path / name
    assert refusal("-f", served, "--state", state).startswith("--state: ")
    assert refusal("-f", tmp_path / "link", "--state", state).startswith("--state: ")
    assert sorted(tmp_path.rglob("*")) == before


def test_where_nothing_can_be_kept_is_told(served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for name in ("file", "no/such", "file/in"):
        assert refusal("-f", served, "--state", tmp_path / name).startswith("--state: ")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may do all
    assert refusal("-f", served, "--state", tmp_path / "new").startswith("--state: ")


@pytest.mark.parametrize("option", ["--state=state", "--prehash"])
def test_without_digests_there_is_nothing_to_keep(served: Path, option: str) -> None:
    assert refusal("-f", served, "--no-digest", option).startswith(option.partition("=")[0])


def test_a_default_folder_that_is_created_may_not_hold_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal("--state=server_files/state").startswith("--state: ")
    assert os.listdir("server_files") == []


# --- the server ---


def server(served: Path, *options: str) -> ServerProcess:
    """A server whose clock goes so fast that every file was there for long."""
    ready = "(?i)digests are (known|not kept)" if "--state" in "".join(options) else "Serving"
    return ServerProcess(served, *options, environment=stepping(HOUR), ready=ready)


def read_by(process: ServerProcess) -> int:
    """How many bytes it has read so far, of whatever."""
    counts = Path(f"/proc/{process.process.pid}/io").read_text()
    return int(re.search(r"rchar: (\d+)", counts)[1])  # type: ignore[index]


def download(process: ServerProcess) -> int:
    """Download the file; return how often it was read for that."""
    before = read_by(process)
    with process.greeted() as client:
        assert client.ask(b"get a").startswith(b"FILE %d " % len(CONTENT))
        assert client.read(len(CONTENT)) == CONTENT
        assert client.line() == b"END " + sha256(CONTENT)
    times, rest = divmod(read_by(process) - before, len(CONTENT))
    assert rest < TURN
    return times


pytestmark = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the system does not tell what is read")


def test_the_first_download_after_a_restart_costs_what_the_second_does(served: Path) -> None:
    options = f"--state={served.parent / 'state'}"
    with server(served, options) as first:
        costs = [download(first) for _ in range(2)]
        first.process.terminate()
        first.ended()
    with server(served, options) as second:
        second.log_until("1 digests are known")
        again = [download(second) for _ in range(2)]
    sent = costs[1]
    assert costs[0] == sent + 1, "read once more, to be hashed"
    assert again == [sent, sent]


def test_what_is_hashed_ahead_is_sent_at_once(served: Path) -> None:
    with server(served, "--prehash") as process:
        process.log_until("hashed ahead")
        costs = [download(process) for _ in range(2)]
    assert costs[0] == costs[1]


@pytest.mark.slow
def test_a_second_server_on_one_store_serves_as_well(served: Path) -> None:
    options = f"--state={served.parent / 'state'}"
    with server(served, options) as first, server(served, options) as second:
        second.log_until("another server")
        assert [download(each) for each in (first, second)]
