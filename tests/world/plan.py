"""What is drawn before a world begins: how its server is started, how bad things are, and who comes."""

from __future__ import annotations

import random
from dataclasses import dataclass

from chatfile.server import Timeouts
from tests.world.disk import DiskFaults

LIMITS = Timeouts(idle=6, line=4, stall=5, flush=1)
DISK_TIMEOUT = 3.0
DRAIN = 0.5
PATIENCE = 5.0
"""Seconds that a client waits for a server that says nothing."""
LOCKED_OUT = LIMITS.idle + LIMITS.stall + LIMITS.flush + 1.0
"""Seconds that nobody has a connection for in silence."""
LATEST_END = 7.0
NAMES = ("a", "b c", "d")
CALM = "still"
"""A file that nothing ever happens to."""
SIZES = (0, 300, 900, 900, 2500, 5000)
SMALL = 1000
"""Bytes up to which a file is small, at both ends."""
FEW_UNSEATED = 2
"""Connections that are kept without a seat where these are few."""
PIECE = 1024
"""Bytes of a file that are sent, and hashed, at a time."""


@dataclass(frozen=True)
class Plan:
    """The circumstances of one world."""

    seats: int
    places: int
    per_address: int
    unseated: int
    rate: int
    limit_rate: int
    """Bytes a second that clients read at most."""
    history: int
    latency: float
    faults_end: float
    """Seconds until nothing gets worse any more: from then on, everything has to come to a good end."""
    cuts: int
    changes: int
    server_disk: DiskFaults
    client_disk: DiskFaults
    actors: tuple[str, ...]
    drains: bool
    restarts: bool

    @property
    def evicts(self) -> bool:
        """Whether a client that was refused may be reset before it has heard so, for the sake of the next ones."""
        return self.unseated == FEW_UNSEATED


KINDS = ("talker", "talker", "downloader", "downloader", "single", "mirrorer", "rude", "rude", "rude", "neighbour")


def draw(choose: random.Random) -> Plan:
    """Most worlds are bad in a few ways only: what is bad in every way hides its faults behind each other."""
    return Plan(
        seats=choose.choice((1, 2, 3, 3)),
        places=choose.choice((0, 0, 2)),
        per_address=choose.choice((0, 0, 0, 1)),
        unseated=choose.choice((64, 64, 64, FEW_UNSEATED)),
        rate=choose.choice((0, 0, 0, 0, 5000)),
        limit_rate=choose.choice((0, 0, 0, 20_000)),
        history=choose.choice((1, 3, 1000)),
        latency=choose.choice((0.002, 0.02, 0.2)),
        faults_end=choose.uniform(1.0, LATEST_END),
        cuts=choose.choice((0, 0, 1, 3)),
        changes=choose.choice((0, 0, 2, 6)),
        server_disk=_disk_faults(choose, calm=CALM),
        client_disk=_disk_faults(choose, calm=""),
        actors=tuple(choose.choices(KINDS, k=choose.randint(1, 4))),
        drains=choose.random() < 0.3,
        restarts=choose.random() < 0.7,
    )


def _disk_faults(choose: random.Random, *, calm: str) -> DiskFaults:
    kind = choose.choice(("calm", "calm", "calm", "some files hang", "slow", "failing", "slow and failing"))
    if kind == "some files hang":
        return DiskFaults(calm, slow=frozenset(choose.sample(NAMES, 2)), slowness=0.7)
    return DiskFaults(calm, slowness=0.1 * ("slow" in kind), failing=0.1 * ("failing" in kind))
