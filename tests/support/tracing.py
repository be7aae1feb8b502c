"""strace, with a server that runs or a program that it starts: to count calls to the system, or to let some fail."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import ServerProcess

_INJECTED = b"(INJECTED)"
"""What strace writes behind a call to which it has done something."""


def _need_strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("there is no strace here")


@contextmanager
def traced(server: ServerProcess, *options: str) -> Iterator[None]:
    """Trace a server as the options of strace have it; the test is skipped where that can't be."""
    _need_strace()
    command = ["strace", "-f", *options, "-p", str(server.process.pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        if b"attached" not in said:
            pytest.skip(f"processes can't be traced here: {said.decode()}")
        try:
            yield
        finally:
            tracer.terminate()
            tracer.communicate()


class Injection:
    """Calls to the system that fail, as strace's option `inject` has it, and how many of them did."""

    def __init__(self, folder: Path, calls: str, what: str, *paths: Path) -> None:
        """Let `calls` fail, joined by commas, as `what` says; with `paths`, those about one of them alone."""
        self._record = folder / "calls"
        self.options = ["-o", str(self._record), f"--trace={calls}", f"--inject={calls}:{what}"]
        for path in paths:
            self.options += ["-P", str(path)]

    @property
    def count(self) -> int:
        """How many calls have failed, when strace has ended."""
        return self._record.read_bytes().count(_INJECTED)

    def around(self, command: Sequence[str]) -> list[str]:
        """The command that runs another one so; the test is skipped where that can't be."""
        _need_strace()
        under_strace = ["strace", "-f", "--seccomp-bpf", *self.options]
        tried = subprocess.run([*under_strace, "true"], capture_output=True, check=False)
        if tried.returncode:
            pytest.skip(f"processes can't be traced here: {tried.stderr.decode()}")
        return [*under_strace, *command]
