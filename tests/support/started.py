"""Our server started in any way, and talked to over a UNIX socket: what it prints may go nowhere."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.processes import PATIENCE, wait_until


def program(name: str) -> str:
    """The path of a program of the environment that the tests run in."""
    return str(Path(sys.executable).parent / name)


def said(path: Path, *lines: bytes) -> list[bytes]:
    """What a server says to these lines, from its greeting to its goodbye; nothing where there is no server."""
    with socket.socket(socket.AF_UNIX) as sock, suppress(FileNotFoundError, ConnectionRefusedError):
        sock.settimeout(PATIENCE)
        sock.connect(str(path))
        sock.sendall(b"".join(line + b"\n" for line in (*lines, b"exit")))
        with sock.makefile("rb") as stream:
            return stream.read().splitlines()
    return []


class Started:
    """A command of ours with the port to serve at behind it, in a folder of its own; ended with the test."""

    def __init__(self, folder: Path, *command: str, **how: Any) -> None:
        self.path = folder / "socket"
        arguments = [*command, "-p", f"unix:{self.path}"]
        self.process = subprocess.Popen(arguments, cwd=folder, stderr=subprocess.PIPE, **how)

    def __enter__(self) -> Started:
        try:
            wait_until(lambda: self.process.poll() is not None or bool(said(self.path)))
        except BaseException:
            self.__exit__()
            raise
        return self

    def says(self, *lines: bytes) -> list[bytes]:
        """The replies, without greeting and goodbye."""
        return said(self.path, *lines)[1:-1]

    def ended(self) -> tuple[int, bytes]:
        """Tell it to end; its status, and what it said on standard error."""
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, errors

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def is_at_rest(pid: int) -> bool:
    """Whether a process computes next to nothing for a moment."""
    before = _cpu_seconds(pid)
    threading.Event().wait(0.2)
    return _cpu_seconds(pid) - before < 0.1


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
