"""strace, attached to a server that runs: to count its calls to the system, or to let some of them fail."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.processes import ServerProcess


@contextmanager
def traced(server: ServerProcess, *options: str) -> Iterator[None]:
    """Trace a server as the options of strace have it; the test is skipped where that can't be."""
    if shutil.which("strace") is None:
        pytest.skip("there is no strace here")
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
