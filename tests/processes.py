"""The real programs as subprocesses, on free ports, ended with the test."""

from __future__ import annotations

import os
import re
import selectors
import socket
import subprocess
import sys
import time
from pathlib import Path

PATIENCE = 20.0
"""Seconds after which a test gives up; nothing here should take a tenth of it."""
_BIN = Path(sys.executable).parent


class ServerProcess:
    """`twistd -n chatfile` on a free port of the loopback interface."""

    def __init__(
        self, folder: Path, *options: str, port: str = "tcp:0:interface=127.0.0.1", reactor: str = "default"
    ) -> None:
        twistd = [_BIN / "twistd", "-n", "--pidfile=", f"--reactor={reactor}"]
        command = [*twistd, "chatfile", "-p", port, "-f", folder, *options]
        self.log = ""
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder.parent)
        self.port = int(self.log_until(r"starting on (\d+)")) if port.startswith("tcp") else 0

    def log_until(self, pattern: str) -> str:
        """Read the log until a line of it matches; the result is the pattern's first group."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + PATIENCE
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while not (match := re.search(pattern, self.log)):
                assert selector.select(deadline - time.monotonic()), self.log
                some = os.read(self.process.stdout.fileno(), 65536)
                assert some, self.log
                self.log += some.decode()
        return match.group(1) if match.groups() else match.group()

    def connect(self, **options: int) -> RawClient:
        """A new client that has said nothing and read nothing."""
        return RawClient(self.port, **options)

    def greeted(self) -> RawClient:
        """A new client that has read its greeting."""
        client = self.connect()
        assert client.line().startswith(b"WELCOME ")
        return client

    def ended(self) -> int:
        """Wait for the end; the result is the status."""
        output, _ = self.process.communicate(timeout=PATIENCE)
        self.log += output.decode()
        return self.process.returncode

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


class RawClient:
    """A plain blocking socket, as `nc` has it."""

    def __init__(self, port: int, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise
        self._stream = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def line(self) -> bytes:
        """The next line without its end; empty at the end of the connection."""
        return self._stream.readline().removesuffix(b"\n")

    def read(self, count: int) -> bytes:
        """Exactly so many bytes, or fewer at the end."""
        return self._stream.read(count)

    def rest(self) -> bytes:
        """Everything until the server closes."""
        return self._stream.read()

    def ask(self, line: bytes) -> bytes:
        """Send a line; the first line of the reply."""
        self.send(line + b"\n")
        return self.line()

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._stream.close()
        self.socket.close()

    def reset(self) -> None:
        """Go without a goodbye: RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def client_command(*arguments: object) -> list[str]:
    return [str(_BIN / "chatfile-client"), *map(str, arguments)]


def run_client(folder: Path, *arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """`chatfile-client` in `folder`, to its end."""
    return subprocess.run(
        client_command(*arguments), cwd=folder, input=stdin, capture_output=True, timeout=PATIENCE, check=False
    )
