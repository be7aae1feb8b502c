"""Where the actors meet: the servers' ports and limits, the files, the counts, and the way in."""

from __future__ import annotations

import itertools
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.threads import deferToThread

from chatfile import errors, tls
from chatfile.client import ChatFileClient, connect
from tests.soak.files import Known
from tests.soak.limits import Limits
from tests.soak.tally import Tally
from tests.support.processes import PATIENCE, RawClient

CONNECTIONS_A_SECOND = 50
"""Each leaves a port in TIME_WAIT for a minute: of 28,000 that is a ninth at most, however long it goes on."""


class NoSeat(Exception):
    """The server was full, or could let nobody in for now, and said so."""


class Stage:
    """What every actor has at hand."""

    def __init__(
        self,
        ports: Sequence[int],
        seats: int,
        limits: Limits,
        files: dict[str, Known],
        scratch: Path,
        *,
        refusals: Sequence[type[errors.Refusal]] = (errors.Full,),
        cafile: Path | None = None,
    ) -> None:
        """`refusals` are those that newcomers may meet; with a `cafile`, everyone speaks TLS."""
        self.ports = ports
        """Of servers that are one, which newcomers take in turn."""
        self.kills = 0
        """How many servers were killed so far, with whoever was there."""
        self.seats = seats
        self.limits = limits
        self.files = files
        self.scratch = scratch
        self.tally = Tally()
        self._refusals = tuple(refusals)
        self._cafile = cafile
        self._context = None if cafile is None else ssl.create_default_context(cafile=cafile)
        self._turns = itertools.count()
        self._door = threading.Lock()
        self._opens = 0.0

    @property
    def port(self) -> int:
        """Whose turn it is."""
        ports = self.ports
        return ports[next(self._turns) % len(ports)]

    @property
    def options(self) -> list[str]:
        """By which the program finds the server; it comes again where there is no seat."""
        address = f"127.0.0.1:{self.port}"
        where = ["-s", address] if self._cafile is None else ["-s", f"tls:{address}", f"--cafile={self._cafile}"]
        return [*where, f"--wait={PATIENCE}"]

    def bare(self, port: int = 0, **options: Any) -> RawClient:
        """A raw connection without TLS, greeted or not; to that port, if it matters."""
        self._wait_at_the_door()
        self.tally.count("connections")
        client = RawClient(port or self.port, **options)
        client.socket.settimeout(self.limits.idle + PATIENCE)
        return client

    def connect(self, **options: Any) -> RawClient:
        """The same, over TLS where that is spoken."""
        return self.bare(context=self._context, **options)

    def seated(self, **options: Any) -> RawClient:
        """A raw client that has read its greeting. Raises `NoSeat`."""
        client = self.connect(**options)
        try:
            self.greeted(client)
        except BaseException:
            client.close()
            raise
        return client

    def let_in(self, port: int) -> tuple[RawClient, str]:
        """A raw client that comes to that port until there is a seat, and its name."""
        deadline = time.monotonic() + PATIENCE
        while True:
            client = self.connect(port=port)
            try:
                return client, self.greeted(client)
            except NoSeat:
                client.close()
                assert time.monotonic() < deadline, "nobody is let in"

    def greeted(self, client: RawClient) -> str:
        """The name that a new client is told; or else that there is no seat, and nothing more. Raises `NoSeat`."""
        line = client.line()
        if self.is_refusal(line):
            assert client.rest() == b"", "a refused client was told more"
            self.tally.count("refused")
            raise NoSeat
        return self.welcomed(line)

    def is_refusal(self, line: bytes) -> bool:
        """Whether it says that there is no seat, or that the engine that counts them is away."""
        return any(line.startswith(f"ERROR {refusal.code} ".encode()) for refusal in self._refusals)

    def welcomed(self, line: bytes) -> str:
        """The name in a greeting, which nobody had before."""
        word, name, version = line.decode().split()
        assert (word, version) == ("WELCOME", "chatfile/1"), line
        self.tally.admit(name)
        return name

    async def client(self) -> ChatFileClient:
        """A connection of the library. Raises `NoSeat`."""
        await deferToThread(self._wait_at_the_door)
        self.tally.count("connections")
        try:
            client = await connect(self._endpoint(), timeout=PATIENCE)
        except self._refusals:
            self.tally.count("refused")
            raise NoSeat from None
        self.tally.admit(client.name)
        return client

    def _endpoint(self) -> str | IStreamClientEndpoint:
        if self._cafile is None:
            return f"tcp:127.0.0.1:{self.port}"
        return tls.client_endpoint("127.0.0.1", self.port, cafile=str(self._cafile))

    def any_file(self, rng: Random) -> str:
        """One of those that stay as they are; the big one not so often."""
        return rng.choice([*self.files, *list(self.files)[:-1]])

    def _wait_at_the_door(self) -> None:
        with self._door:
            time.sleep(max(0.0, self._opens - time.monotonic()))
            self._opens = time.monotonic() + 1 / CONNECTIONS_A_SECOND


RawTurn = Callable[[Stage, Random], None]
"""What an actor with a raw connection does once; it blocks, and is called in a thread."""
