"""Many runs of `chatfile-client` at once. A run may be interrupted when its part file has so many bytes."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.support.forked import Forked
from tests.support.processes import PATIENCE, client_command

PART = "client_downloads/.a.part"


@dataclass(frozen=True)
class Job:
    """One run of the client in `folder`, and how it is to be disturbed."""

    folder: str
    arguments: Sequence[str]
    stdin: str = ""
    signal: int = 0
    at: int = 0
    """The size of the part file from which on the signal is sent."""
    as_nobody: bool = False
    """Whether root becomes another user first."""
    dies_at: int = 0
    """The number, from 1 on, of the change to the folder of downloads before which it is killed; 0: never."""


@dataclass(frozen=True)
class Ended:
    """How a run ended: its status, negative for a signal, and what it said."""

    status: int
    stdout: str
    stderr: str


def run_all(jobs: Sequence[Job]) -> list[Ended]:
    """All of them at once, to their ends; what does not come to one in time is killed."""
    running = [(_start(job), job) for job in jobs]
    waiting = {process: job for process, job in running if job.signal}
    deadline = time.monotonic() + PATIENCE
    while [process for process, _ in running if process.poll() is None]:
        for process in [process for process, job in waiting.items() if _is_due(job)]:
            process.send_signal(waiting.pop(process).signal)
        if time.monotonic() > deadline:
            for process, _ in running:
                process.kill()
        threading.Event().wait(0.002)
    return [
        Ended(process.wait(), *(_stream(job, name).read_text() for name in ("out", "err"))) for process, job in running
    ]


def _stream(job: Job, name: str) -> Path:
    return Path(job.folder).with_suffix(f".{name}")


def _start(job: Job) -> Forked:
    _stream(job, "in").write_text(job.stdin)
    with ExitStack() as stack:
        ways = {"in": "rb", "out": "wb", "err": "wb"}
        streams = [stack.enter_context(open(_stream(job, name), mode)).fileno() for name, mode in ways.items()]
        command = client_command(*job.arguments)
        return Forked(command, Path(job.folder), streams, as_nobody=job.as_nobody, dies_at=job.dies_at)


def _is_due(job: Job) -> bool:
    try:
        return Path(job.folder, PART).stat().st_size >= job.at
    except FileNotFoundError:
        return False
