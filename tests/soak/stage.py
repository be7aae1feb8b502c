"""Where the actors meet: the server's address and limits, the files, the counts, and the way in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from twisted.internet.threads import deferToThread

from chatfile import errors
from chatfile.client import ChatFileClient, connect
from tests.soak.files import Known
from tests.soak.limits import Limits
from tests.soak.tally import Tally
from tests.support.processes import PATIENCE, RawClient

CONNECTIONS_A_SECOND = 50
"""Each leaves a port in TIME_WAIT for a minute: of 28,000 that is a ninth at most, however long it goes on."""


class NoSeat(Exception):
    """The server was full, and said so."""


class Stage:
    """What every actor has at hand."""

    def __init__(self, port: int, seats: int, limits: Limits, files: dict[str, Known], scratch: Path) -> None:
        self.port = port
        self.seats = seats
        self.limits = limits
        self.files = files
        self.scratch = scratch
        self.tally = Tally()
        self._door = threading.Lock()
        self._opens = 0.0

    def connect(self, **options: int) -> RawClient:
        """A raw connection, greeted or not."""
        self._wait_at_the_door()
        client = RawClient(self.port, **options)
        self.tally.count("connections")
        return client

    def seated(self, **options: int) -> RawClient:
        """A raw client that has read its greeting. Raises `NoSeat`."""
        client = self.connect(**options)
        try:
            self.greeted(client)
        except BaseException:
            client.close()
            raise
        return client

    def greeted(self, client: RawClient) -> None:
        """Read what a new client is told: a name, or that there is no seat and nothing more. Raises `NoSeat`."""
        line = client.line()
        if line.startswith(b"ERROR full "):
            assert client.rest() == b"", "a refused client was told more"
            self.tally.count("refused")
            raise NoSeat
        word, name, version = line.decode().split()
        assert (word, version) == ("WELCOME", "chatfile/1"), line
        self.tally.admit(name)

    async def client(self) -> ChatFileClient:
        """A connection of the library. Raises `NoSeat`."""
        await deferToThread(self._wait_at_the_door)
        self.tally.count("connections")
        try:
            client = await connect(f"tcp:127.0.0.1:{self.port}", timeout=PATIENCE)
        except errors.Full:
            self.tally.count("refused")
            raise NoSeat from None
        self.tally.admit(client.name)
        return client

    def any_file(self, rng: Random) -> str:
        """One of those that stay as they are; the big one not so often."""
        return rng.choice([*self.files, *list(self.files)[:-1]])

    def _wait_at_the_door(self) -> None:
        with self._door:
            time.sleep(max(0.0, self._opens - time.monotonic()))
            self._opens = time.monotonic() + 1 / CONNECTIONS_A_SECOND


RawTurn = Callable[[Stage, Random], None]
"""What an actor with a raw connection does once; it blocks, and is called in a thread."""
