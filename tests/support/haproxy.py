"""HAProxy as a process in front of our server, on a free port of the loopback interface, ended with the test."""

from __future__ import annotations

import csv
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import PATIENCE, wait_until

HAPROXY = shutil.which("haproxy", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
needs_haproxy = pytest.mark.skipif(HAPROXY is None, reason="there is no haproxy here")

_GLOBAL = """
global
    stats socket {admin} mode 600 level admin
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
"""


class HAProxy:
    """HAProxy with the sections of a configuration that it is given, of which one says `bind fd@${FRONTEND}`.

    It is handed the socket of its `port`, at which clients can connect from the start.
    """

    def __init__(self, folder: Path, sections: str) -> None:
        assert HAPROXY is not None
        folder.mkdir(exist_ok=True)
        self._admin = folder / "admin"
        configuration = folder / "haproxy.cfg"
        configuration.write_text(_GLOBAL.format(admin=self._admin) + sections)
        with socket.create_server(("127.0.0.1", 0)) as frontend, (folder / "log").open("wb") as log:
            self.port: int = frontend.getsockname()[1]
            self.process = subprocess.Popen(
                [HAPROXY, "-db", "-f", configuration], stdout=log, stderr=log, pass_fds=[frontend.fileno()],
                env={**os.environ, "FRONTEND": str(frontend.fileno())},
            )  # fmt: skip
        try:
            wait_until(lambda: self.process.poll() is not None or self._admin.exists())
            assert self.process.poll() is None, (folder / "log").read_text()
        except AssertionError:
            self.end()
            raise

    def ask(self, command: str) -> str:
        """The answer to a command of its administrator, such as `show stat` or `set server nodes/a state drain`."""
        with socket.socket(socket.AF_UNIX) as admin, admin.makefile("r") as answer:
            admin.settimeout(PATIENCE)
            admin.connect(str(self._admin))
            admin.sendall(command.encode() + b"\n")
            return answer.read().strip()

    def stat(self, server: str) -> dict[str, str]:
        """What it knows of a server, such as `nodes/a`: `status`, `check_status`, `stot` and other columns."""
        rows = csv.DictReader(self.ask("show stat").removeprefix("# ").splitlines())
        return next(row for row in rows if f"{row['pxname']}/{row['svname']}" == server)

    def end(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        self._admin.unlink(missing_ok=True)

    def __enter__(self) -> HAProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
