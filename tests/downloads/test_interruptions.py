"""A download that is interrupted or killed at any moment, and then asked for again: whole in the end, or not there."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from tests.support.clients_at_once import Ended, Job, run_all
from tests.support.faulty_path import FaultyPath, StallAfter
from tests.support.processes import ServerProcess
from tests.support.trees import tree

pytestmark = pytest.mark.slow

Paths = Callable[..., FaultyPath]
CONTENT = os.urandom(300_000)
SIZE = len(CONTENT)
MTIME = 1_795_348_800
BEFORE = len("WELCOME Client01 chatfile/1\nClient01 ACK\nFILE 300000 2026-11-22T12:00:00Z a\n")
END = len("END \n") + 64
CUTS = [41, BEFORE - 1, *(BEFORE + at for at in (0, 1, 65_536, 150_000, SIZE - 1, SIZE, SIZE + END - 1))]
"""Bytes of what the server says behind which nothing comes, from the end of its greeting on."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One for each test: nobody reads its log meanwhile, and of so many clients it would fill the pipe."""
    served = tmp_path_factory.mktemp("work") / "served"
    served.mkdir()
    (served / "a").write_bytes(CONTENT)
    os.utime(served / "a", (MTIME, MTIME))
    with ServerProcess(served, "--max-clients=200") as server:
        yield server


def job(folder: Path, port: int, *options: str, **disturbed: int) -> Job:
    folder.mkdir(exist_ok=True)
    return Job(str(folder), ["-q", "-s", f"127.0.0.1:{port}", "get", "a", *options], **disturbed)


def check_interrupted(folder: Path) -> None:
    """The final name is absent or whole, and nothing is there that is not of this download."""
    found = tree(folder)
    assert found.pop("client_downloads/a", CONTENT) == CONTENT
    assert found.keys() <= {"client_downloads", "client_downloads/.a.part", "client_downloads/.a.note"}


def check_complete(folder: Path, ended: Ended) -> None:
    assert (ended.status, ended.stderr) == (0, "")
    assert tree(folder) == {"client_downloads": "d", "client_downloads/a": CONTENT}


@pytest_twisted.ensureDeferred
async def test_an_interruption_after_any_byte_leaves_what_can_be_completed(
    server: ServerProcess, faulty_path: Paths, tmp_path: Path
) -> None:
    jobs = [
        job(
            tmp_path / f"{number.name}-{cut}",
            faulty_path(server.port, down=[StallAfter(cut)]).port,
            signal=number,
            at=min(max(cut - BEFORE, 0), SIZE),
        )
        for number in SIGNALS
        for cut in CUTS
    ]
    ends = await deferToThread(run_all, jobs)
    assert {ended.status for ended in ends} == {130, -signal.SIGTERM, -signal.SIGKILL}
    folders = [Path(each.folder) for each in jobs]
    for folder in folders:
        check_interrupted(folder)
    again = await deferToThread(run_all, [job(folder, server.port) for folder in folders])
    for folder, ended in zip(folders, again, strict=True):
        check_complete(folder, ended)


STATES: list[dict[str, bytes]] = [
    {},
    {".a.part": CONTENT[:1000], ".a.note": json.dumps([SIZE, MTIME]).encode()},
    {"a": b"old"},
]
"""What is in the folder before."""
CHANGES = 16
"""More than a download makes in its folder."""


def prepared(folder: Path, state: dict[str, bytes]) -> Path:
    (folder / "client_downloads").mkdir(parents=True)
    for name, content in state.items():
        (folder / "client_downloads" / name).write_bytes(content)
    return folder


def forced(at: int) -> list[str]:
    return ["--force"] if "a" in STATES[at] else []


def test_a_death_before_any_change_to_the_folder_leaves_what_can_be_completed(
    server: ServerProcess, tmp_path: Path
) -> None:
    cases = [(tmp_path / f"{at}-{number}", at, number) for at in range(len(STATES)) for number in range(1, CHANGES)]
    jobs = [job(prepared(folder, STATES[at]), server.port, *forced(at), dies_at=number) for folder, at, number in cases]
    ends = run_all(jobs)
    for at in range(len(STATES)):
        statuses = [ended.status for ended, case in zip(ends, cases, strict=True) if case[1] == at]
        assert statuses == sorted(statuses)
        assert 6 <= statuses.count(-signal.SIGKILL) < len(statuses)
    for folder, at, _ in cases:
        assert tree(folder).get("client_downloads/a") in (STATES[at].get("a"), CONTENT)
    run_all([job(folder, server.port, *forced(at)) for folder, at, _ in cases])
    for folder, _, _ in cases:
        assert tree(folder) == {"client_downloads": "d", "client_downloads/a": CONTENT}
