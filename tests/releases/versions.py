"""Programs of two versions: clients that meet the other's server, or are interrupted, and servers that are compared."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from pathlib import Path
from typing import NamedTuple, TypeAlias

from tests.support.processes import PATIENCE, ServerProcess, client_command, wait_until

Environment: TypeAlias = dict[str, str]
"""What the programs of one version are started with."""
ENOUGH = 100_000
"""Bytes of a file that a client has got when it is ended."""
_VISIT = re.compile(rb"(?m)^(Client\d+ unix) \S+ (?:(-)|\S+) ")


class Pair(NamedTuple):
    """Whose client meets whose server, and what the other one's client is started with."""

    client: Environment
    server: Environment
    other_client: Environment


def end_amid(number: signal.Signals, part: Path, work: Path, *arguments: object, environment: Environment) -> None:
    """Start a client, and end it by a signal when the part file at `part` has some bytes."""
    command = client_command("--limit-rate=500K", *arguments)
    with subprocess.Popen(command, cwd=work, stdout=subprocess.DEVNULL, env={**os.environ, **environment}) as process:
        try:
            wait_until(lambda: part.exists() and part.stat().st_size > ENOUGH)
        finally:
            process.send_signal(number)


class OneSeat:
    """A server with one seat: who has it knows that all before have gone, so that no answer hangs on chance."""

    def __init__(self, folder: Path, path: Path, environment: Environment) -> None:
        options = ("--recursive", "--max-clients=1", "--waiting=1", "--history=9")
        self.address = f"unix:{path}"
        self._path = path
        self._process = ServerProcess(folder, *options, port=self.address, environment=environment)

    def answers(self, data: bytes) -> bytes:
        """What a client that sends this is told, from its greeting to its end."""
        with self.taken() as client, client.makefile("rb") as stream:
            _send_all(client, data)
            return _without_times(stream.read())

    def answers_in_line(self, data: bytes) -> bytes:
        """The same of a client that finds the seat taken, and has its turn, if it waits for that."""
        with self.taken() as holder, self._connected() as client, client.makefile("rb") as stream:
            refusal = stream.readline()
            _send_all(client, data)
            position = stream.readline()  # or the end; in either case it was heard
            holder.close()
            return _without_times(refusal + position + stream.read())

    def __enter__(self) -> OneSeat:
        return self

    def __exit__(self, *what: object) -> None:
        self._process.__exit__(*what)

    def _connected(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE)
        client.connect(str(self._path))
        return client

    def taken(self) -> socket.socket:
        """A client that has the seat; the one before may be about to go."""
        while (client := self._connected()).recv(1, socket.MSG_PEEK) != b"W":
            client.close()
        return client


def _send_all(client: socket.socket, data: bytes) -> None:
    try:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it has closed already; what it said is still to be read


def _without_times(said: bytes) -> bytes:
    """Rows of `status` tell when somebody came and went."""
    return _VISIT.sub(rb"\1 TIME \2 ", said)
