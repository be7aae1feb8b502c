"""The times that the server grants, and how they are held against what a client saw."""

from __future__ import annotations

import time
from dataclasses import dataclass

SLACK = 15.0
"""Seconds that a busy machine may add."""
ROUNDING = 0.05


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, as the server's options have them."""

    idle: float
    line: float
    stall: float
    flush: float

    @property
    def options(self) -> list[str]:
        return [
            f"--idle-timeout={self.idle}",
            f"--line-timeout={self.line}",
            f"--stall-timeout={self.stall}",
            f"--flush-timeout={self.flush}",
        ]


USUAL = Limits(idle=40.0, line=10.0, stall=10.0, flush=5.0)
BRIEF = Limits(idle=8.0, line=3.0, stall=3.0, flush=0.5)
"""For a run of seconds.

Good clients have to keep them as well, and are in one process with all others, on a machine that may be busy.
"""


def check_in_time(began: float, limit: float) -> None:
    """What began then on the monotonic clock has ended now: neither before its limit nor long behind it."""
    took = time.monotonic() - began
    assert took >= limit - ROUNDING, f"ended after {took:.2f} s instead of {limit:g}"
    check_not_late(began, limit)


def check_not_late(began: float, limit: float) -> None:
    """The same, where it may end sooner."""
    took = time.monotonic() - began
    assert took <= 1.1 * limit + SLACK, f"ended after {took:.2f} s instead of {limit:g}"
