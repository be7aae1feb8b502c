"""Many runs of `chatfile-client`, forked from one process that has imported it: they take no time to start.

A program: it reads jobs from standard input and writes their ends to standard output, both as JSON. A job may be
interrupted when its part file has so many bytes, or killed at the n-th call that changes something in the folder.
"""

from __future__ import annotations

import codecs
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.support.processes import PATIENCE

PART = "client_downloads/.a.part"
_NOBODY = 65534
_CHANGES = {"open", "os.mkdir", "os.truncate", "os.utime", "os.remove", "os.link", "os.rename"}


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
    """Whether root becomes another user first; what is not imported by then, that one may not be able to read."""
    dies_at: int = 0
    """The number, from 1 on, of the change to the folder of downloads before which it is killed; 0: never."""


@dataclass(frozen=True)
class Ended:
    """How a run ended: its status, negative for a signal, and what it said."""

    status: int
    stdout: str
    stderr: str


def run_all(jobs: Sequence[Job]) -> list[Ended]:
    """All of them at once, to their ends; who does not come to one in time is killed."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.clients_at_once"], input=json.dumps([asdict(job) for job in jobs]),
        capture_output=True, text=True, timeout=PATIENCE * 2, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [Ended(*ended) for ended in json.loads(done.stdout)]


def _start(job: Job) -> int:
    """Fork; the result is the process that runs the client."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        _become(job)
        from chatfile.cli import main

        main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        os._exit(status)


def _become(job: Job) -> None:
    folder = Path(job.folder)
    folder.with_suffix(".in").write_text(job.stdin)
    for descriptor, suffix, flags in ((0, ".in", os.O_RDONLY), (1, ".out", os.O_WRONLY), (2, ".err", os.O_WRONLY)):
        os.dup2(os.open(folder.with_suffix(suffix), flags | os.O_CREAT), descriptor)
    os.chdir(folder)
    if job.as_nobody and os.geteuid() == 0:
        for encoding in ("ascii", "idna"):
            codecs.lookup(encoding)
        from twisted.internet import reactor  # noqa: F401

        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
    sys.argv = ["chatfile-client", *job.arguments]
    if job.dies_at:
        _die_at(job.dies_at)


def _die_at(count: int) -> None:
    left = count

    def count_down(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in _CHANGES and "/" not in str(arguments[0]).removeprefix("client_downloads"):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count_down)


def _is_due(job: Job) -> bool:
    try:
        return Path(job.folder, PART).stat().st_size >= job.at
    except FileNotFoundError:
        return False


def _follow(jobs: list[Job]) -> dict[int, int]:
    """Each process and its status, once all have ended."""
    running = {_start(job): job for job in jobs}
    waiting = {pid: job for pid, job in running.items() if job.signal}
    ended: dict[int, int] = dict.fromkeys(running, 0)
    deadline = time.monotonic() + PATIENCE
    while running:
        if time.monotonic() > deadline:
            for pid in running:
                os.kill(pid, signal.SIGKILL)
        for pid in [pid for pid, job in waiting.items() if _is_due(job)]:
            os.kill(pid, waiting.pop(pid).signal)
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid:
            ended[pid] = os.waitstatus_to_exitcode(status)
            waiting.pop(pid, None)
            del running[pid]
        else:
            time.sleep(0.002)
    return ended


def main() -> None:

    import chatfile.cli
    import chatfile.cli.arguments
    import chatfile.cli.piped
    import chatfile.cli.run  # noqa: F401

    assert "twisted.internet.reactor" not in sys.modules, "each run has a reactor of its own"
    jobs = [Job(**job) for job in json.load(sys.stdin)]
    statuses = _follow(jobs).values()
    said = [[Path(job.folder).with_suffix(end).read_text() for end in (".out", ".err")] for job in jobs]
    json.dump([[status, *texts] for status, texts in zip(statuses, said, strict=True)], sys.stdout)


if __name__ == "__main__":
    main()
