"""Standard output that another program has left non-blocking, and a reader that takes its time."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import termios
from collections.abc import Iterator

import pytest

from tests.support.processes import PATIENCE, ServerProcess, client_command, wait_until

CONTENT = os.urandom(500_000)
NAMES = [f"{number:04}{'x' * 200}" for number in range(500)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    served = tmp_path_factory.mktemp("work") / "served"
    served.mkdir()
    for name in NAMES:
        (served / name).touch()
    (served / "big").write_bytes(CONTENT)
    with ServerProcess(served) as server:
        yield server


def read_late(server: ServerProcess, *arguments: str) -> tuple[int, bytes, bytes]:
    """What a client writes to a non-blocking pipe that is read when it is full; with its status and errors."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    command = client_command("-q", "-s", f"127.0.0.1:{server.port}", *arguments)
    with open(reader, "rb") as stream, subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE) as client:
        os.close(writer)
        wait_until(lambda: is_full(reader) or client.poll() is not None)
        written = stream.read()
        _, errors = client.communicate(timeout=PATIENCE)
        return client.returncode, written, errors


def is_full(pipe: int) -> bool:
    """To the last page."""
    (waiting,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))
    return bool(waiting > 60_000)


@pytest.mark.slow
def test_a_file_goes_out_whole(server: ServerProcess) -> None:
    assert read_late(server, "get", "big", "-o", "-") == (0, CONTENT, b"")


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_list_goes_out_whole(server: ServerProcess, options: tuple[str, ...]) -> None:
    status, written, errors = read_late(server, *options, "list")
    assert (status, errors) == (0, b"")
    assert len(written.splitlines()) == len(NAMES) + 1
