"""`chatfile-client` on a real disk that is full, limited or forbidden, and in little memory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from tests.support.clients_at_once import Job, run_all
from tests.support.hostile import GREET, Do, Hear, HostileServer, Send, SendForEver
from tests.support.processes import PATIENCE, ServerProcess, client_command, unmeasured
from tests.support.trees import tree

pytestmark = pytest.mark.slow

Hostile = Callable[..., HostileServer]
CONTENT = os.urandom(65_536)
TIME = b"2026-11-22T12:00:00Z"
AGAIN = '; echo $?; ls -A client_downloads; "$@"; echo $?; ls -A client_downloads; cmp client_downloads/a served/a'
# The file itself fits into the tmpfs, but not beside its note: the space ends in the middle of the download.
FULL = """mount -t tmpfs -o size=64k none client_downloads
"$@"; echo $?; ls -A client_downloads; mount -o remount,size=1m client_downloads; (exit 8)"""
LIMITED = '(ulimit -f 64; exec "$@")'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    served = tmp_path_factory.mktemp("work") / "served"
    served.mkdir()
    (served / "a").write_bytes(CONTENT)
    with ServerProcess(served, "--max-clients=20") as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "client_downloads").mkdir()
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "a").write_bytes(CONTENT)
    return tmp_path


def run(command: list[str], folder: Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        command, cwd=folder, env=unmeasured(), capture_output=True, text=True, timeout=PATIENCE, check=False, **options
    )


def can_mount(folder: Path) -> bool:
    return run(["unshare", "-Urm", "mount", "-t", "tmpfs", "none", "client_downloads"], folder).returncode == 0


@pytest.mark.parametrize(("wrapper", "setting"), [(["unshare", "-Urm"], FULL), ([], LIMITED)], ids=["full", "limited"])
def test_a_download_that_found_no_space_is_completed_when_there_is_some(
    server: ServerProcess, folder: Path, wrapper: list[str], setting: str
) -> None:
    if wrapper and not can_mount(folder):
        pytest.skip("nothing can be mounted here")
    client = client_command("-q", "-s", f"127.0.0.1:{server.port}", "get", "a")
    done = run([*wrapper, "sh", "-c", setting + AGAIN, "sh", *client], folder)
    first = ["8", ".a.note", ".a.part"]
    assert done.stdout.splitlines()[-6:] == [*first, "client_downloads/a", "0", "a"]
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith('chatfile-client: "client_downloads/a" can')


@pytest_twisted.ensureDeferred
async def test_the_next_file_does_not_wait_for_the_rest_of_one_that_found_no_space(
    hostile: Hostile, tmp_path: Path
) -> None:
    listed = Send(b"LIST 2\n999999 %s a\n1 %s b\n" % (TIME, TIME))
    lasting = [Hear(b"get a"), Send(b"FILE 999999 %s a\n" % TIME + bytes(200_000)), Do.STALL]
    short = [Hear(b"get b"), Send(b"FILE 1 %s b\n1END -\n" % TIME), Hear(b"exit"), Send(b"BYE Client01\n"), Do.CLOSE]
    server = hostile([*GREET, Hear(b"list"), listed, *lasting], [*GREET, *short])
    client = client_command("-q", "-s", f"127.0.0.1:{server.port}", "get", "a", "b")
    done = await deferToThread(run, ["sh", "-c", LIMITED, "sh", *client], tmp_path)
    assert (done.returncode, done.stdout) == (8, "client_downloads/b\n")


MODES = {0o555: 8, 0o333: 8, 0o000: 8, 0o777: 0}


def test_a_folder_that_may_not_be_written_is_told(server: ServerProcess, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    folders = {mode: tmp_path / f"{mode:o}" for mode in MODES}
    for mode, folder in folders.items():
        (folder / "client_downloads").mkdir(parents=True)
        (folder / "client_downloads").chmod(mode)
    command = ["-q", "-s", f"127.0.0.1:{server.port}", "get", "a"]
    ends = run_all([Job(str(folder), command, as_nobody=True) for folder in folders.values()])
    for (mode, folder), ended in zip(folders.items(), ends, strict=True):
        (folder / "client_downloads").chmod(0o755)
        assert (ended.status, len(ended.stderr.splitlines())) == (MODES[mode], bool(MODES[mode])), ended
        assert tree(folder / "client_downloads") == ({} if MODES[mode] else {"a": CONTENT})


ENDLESS = {
    "a line": ("list", [SendForEver(b"x" * 65_536)], 6),
    "rows": (
        "list",
        [*GREET, Hear(b"list"), Send(b"LIST 1000000\n"), SendForEver(b"1 %s %s\n" % (TIME, b"x" * 8000))],
        6,
    ),
    "errors": ("list", [*GREET, Hear(b"list"), SendForEver(b"ERROR unavailable No.\n" * 3000)], 5),
    "zeros": (
        "get a",
        [*GREET, Hear(b"get a"), Send(b"FILE %d %s a\n" % (2**35, TIME)), SendForEver(bytes(1 << 20))],
        8,
    ),
}
"""What a server sends for ever, behind which request, and how that ends."""
LIMITS = 'ulimit -f 65536; ulimit -v 1000000; exec "$@"'
"""32 MiB of a file, and 1 GB of memory, of which a client takes a quarter at its start and 256 MiB for rows."""


@pytest.mark.parametrize("what", ENDLESS)
@pytest_twisted.ensureDeferred
async def test_what_never_ends_is_left_before_it_takes_all_memory(hostile: Hostile, folder: Path, what: str) -> None:
    request, steps, code = ENDLESS[what]
    command = client_command("-s", f"127.0.0.1:{hostile(steps).port}", "--timeout=10", *request.split())
    done = await deferToThread(run, ["sh", "-c", LIMITS, "sh", *command], folder)
    assert (done.returncode, len(done.stderr.splitlines())) == (code, 1)
