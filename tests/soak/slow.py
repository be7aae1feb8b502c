"""Readers that are slow but move: they are never cut, and what they read is right."""

from __future__ import annotations

import hashlib
import time
from random import Random

from tests.soak.stage import RawTurn, Stage
from tests.support.processes import RawClient

NAME = "million.bin"
TIMES_THE_LIMIT = 1.5
"""How long the whole file takes, in units of the time after which somebody who takes nothing is cut."""


def _read_slowly(stage: Stage, client: RawClient, pieces: int) -> None:
    """The file in so many pieces, evenly spread."""
    known = stage.files[NAME]
    assert client.ask(f"get {NAME}".encode()).startswith(f"FILE {known.size} ".encode())
    sha256 = hashlib.sha256()
    for _ in range(pieces):
        time.sleep(TIMES_THE_LIMIT * stage.limits.stall / pieces)
        sha256.update(client.read(known.size // pieces))
    sha256.update(client.read(known.size % pieces))
    assert sha256.hexdigest() == known.sha256, "a slow reader was cut, or got something else"
    assert client.line() == f"END {known.sha256}".encode()
    for what, times in {"requests": 1, "bytes": known.size, "digests verified": 1}.items():
        stage.tally.count(what, times)


def sipping(stage: Stage, _: Random) -> None:
    """Little and often, by a small buffer."""
    with stage.seated(receive_buffer=16384) as client:
        _read_slowly(stage, client, 250)


def gulping(stage: Stage, _: Random) -> None:
    """Much, and then nothing for a third of what is granted."""
    with stage.seated(receive_buffer=65536) as client:
        _read_slowly(stage, client, 8)


SLOW: list[RawTurn] = [sipping, gulping]
