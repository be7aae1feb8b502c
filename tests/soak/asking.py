"""Who asks one line at a time, and how long the answers take beside everyone else."""

from __future__ import annotations

import time
from random import Random
from statistics import quantiles

from tests.soak.limits import check_not_late
from tests.soak.stage import Stage

LINES = 20
PAUSE = 0.1
"""Seconds between them."""


def asking(stage: Stage, _: Random) -> None:
    """Each line is answered, and soon."""
    with stage.seated() as client:
        for number in range(LINES):
            began = time.monotonic()
            assert client.ask(b"%d" % number) == b"%d ACK" % number
            check_not_late(began, 0)
            stage.tally.delays.append(time.monotonic() - began)
            time.sleep(PAUSE)
    stage.tally.count("requests", LINES)


def p99(delays: list[float]) -> float:
    """Of so many seconds as there are, in which nearly everybody is answered."""
    return quantiles(delays, n=100, method="inclusive")[-1] if len(delays) > 1 else max(delays, default=0.0)
