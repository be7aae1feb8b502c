"""The real programs as subprocesses, on free ports, ended with the test."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from tests.support import forked
from tests.support.leftovers import open_descriptors

PATIENCE = 20.0
"""Seconds after which a test gives up; nothing here should take a tenth of it."""
_OF_THE_INTERPRETER = {signal.SIGPIPE, signal.SIGXFSZ}
"""It ignores them itself, and gives them back to what it starts."""
_BIN = Path(sys.executable).parent
_FAULT = re.compile(r"^.*(?:#error|#critical|Traceback|Unhandled).*$", re.MULTILINE)


def hear_signals() -> None:
    """Let what is started from here on have every signal do what it usually does.

    A shell without job control ignores SIGINT and SIGQUIT for what it starts with `&`, nohup ignores SIGHUP, and what
    is ignored stays so in children; what is handled does not. We go on ignoring it.
    """
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN and number not in _OF_THE_INTERPRETER:
            signal.signal(number, lambda *_: None)


def unmeasured() -> dict[str, str]:
    """The environment of a program that may not write what coverage has seen of it, and would complain of that."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


def wait_until(condition: Callable[[], bool]) -> None:
    """Look again and again until it is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


class ServerProcess:
    """`twistd -n chatfile` on a free port of the loopback interface.

    At its end, unless it has ended itself, everyone goes, and it must be as it was at the start: every seat free, every
    descriptor given back, no fault in its log.
    """

    may_fail = False
    """Whether this test makes it log errors."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        port: str = "tcp:0:interface=127.0.0.1",
        reactor: str = "default",
        environment: Mapping[str, str] | None = None,
        ready: str = "#info\\] Serving ",
        header: bytes = b"",
    ) -> None:
        """`ready` matches the log when it has opened all that it keeps open; `header` comes first, as from a proxy."""
        twistd = [_BIN / "twistd", "-n", "--pidfile=", f"--reactor={reactor}"]
        command = [*twistd, "chatfile", "-p", port, "-f", folder, *options]
        self.log = ""
        self._header = header
        ours, theirs = os.pipe()
        with open(os.devnull, "rb") as nothing, open(theirs, "wb") as log:
            streams = (nothing.fileno(), log.fileno(), log.fileno())
            self.process = forked.start(command, folder.parent, streams, environment)
        self._logged = threading.Condition()
        self._log_reader = threading.Thread(target=self._read_log, args=(ours,), daemon=True)
        self._log_reader.start()
        self.port = int(self.log_until(r"starting on (\d+)")) if port.startswith("tcp") else 0
        self.log_until(ready)
        self._descriptors = self._open()
        self._clients: list[RawClient] = []

    def _read_log(self, descriptor: int) -> None:
        """In a thread: a log that nobody takes would hold the server up."""
        with open(descriptor, "rb") as stream:
            for line in stream:
                with self._logged:
                    self.log += line.decode()
                    self._logged.notify_all()
        with self._logged:
            self._logged.notify_all()

    def log_until(self, pattern: str) -> str:
        """Wait until a line of the log matches; the result is the pattern's first group."""
        deadline = time.monotonic() + PATIENCE
        with self._logged:
            while not (match := re.search(pattern, self.log)):
                assert self._log_reader.is_alive(), self.log
                assert self._logged.wait(deadline - time.monotonic()), self.log
        return match.group(1) if match.groups() else match.group()

    def connect(self, **options: int) -> RawClient:
        """A new client that has said nothing and read nothing."""
        client = RawClient(self.port, **options)
        self._clients.append(client)
        return client

    def greeted(self) -> RawClient:
        """A new client that has read its greeting."""
        client = self.connect()
        assert client.line().startswith(b"WELCOME ")
        return client

    def ended(self) -> int:
        """Wait for the end; the result is the status."""
        status = self.process.wait(PATIENCE)
        self._log_reader.join(PATIENCE)
        return status

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        try:
            if not failed:
                self._check()
        finally:
            self.process.kill()
            self.ended()
        assert failed or self.may_fail or not (faults := _FAULT.findall(self.log)), faults

    def _check(self) -> None:
        for client in self._clients:
            client.close()
        if self.process.poll() is None:
            wait_until(lambda: self._open() <= self._descriptors)
            wait_until(lambda: not self.port or self._connected() <= 1)

    def _open(self) -> set[str]:
        """What it has open, without its pipes: the reactor makes one for its signals when it begins to run."""
        return {what for what in open_descriptors(self.process.pid).values() if not what.startswith("pipe:")}

    def _connected(self) -> int:
        """How many are connected, the one who asks included; everyone who can be, where it is not let in."""
        with RawClient(self.port) as client:
            client.send(self._header + b"status\nexit\n")
            return sum(row.split()[3:4] == [b"-"] for row in client.rest().splitlines()) or sys.maxsize


class RawClient:
    """A plain blocking socket, as `nc` has it."""

    def __init__(
        self, port: int, receive_buffer: int = 0, source: str = "", context: ssl.SSLContext | None = None
    ) -> None:
        """From an address of its own, where it has a `source`; with a `context`, over TLS."""
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        try:
            if source:
                self.socket.bind((source, 0))
            self.socket.connect(("127.0.0.1", port))
            if context is not None:
                self.socket = context.wrap_socket(self.socket, server_hostname="127.0.0.1")
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


def run_client(
    folder: Path, *arguments: object, stdin: bytes = b"", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """`chatfile-client` in `folder`, to its end; `stdin` is what a pipe holds at most."""
    command = client_command(*arguments)
    with ExitStack() as stack:
        pipes = [
            [stack.enter_context(open(end, mode)) for end, mode in zip(os.pipe(), ("rb", "wb"), strict=True)]
            for _ in range(3)
        ]
        (theirs, typed), *shown = pipes
        with typed:
            typed.write(stdin)
        streams = [theirs, *(stream for _, stream in shown)]
        process = forked.start(command, folder, [stream.fileno() for stream in streams], environment)
        for stream in streams:
            stream.close()
        with ThreadPoolExecutor(2) as reading:
            said = reading.map(lambda pipe: pipe[0].read(), shown)
            try:
                status = process.wait(PATIENCE)
            finally:
                process.kill()
        return subprocess.CompletedProcess(command, status, *said)
