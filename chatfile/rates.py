"""Rates in bytes a second: how they are written, how one is kept to, and how one is shared. Pure: the time is given."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import inf

_RATE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([KMG]?)", re.IGNORECASE)
_UNITS = {"": 1, "K": 1_000, "M": 1_000_000, "G": 1_000_000_000}
_FASTEST = 10**12


def parse_rate(text: str) -> int:
    """Return the bytes a second that `text` means, such as `500K` or `1.5M`; 0 is for no limit.

    K, M and G are powers of ten, as the rates of lines are. Raises ValueError, with a sentence for people.
    """
    match = _RATE.fullmatch(text)
    exact = float(match[1]) * _UNITS[match[2].upper()] if match else -1.0
    if not (exact == 0 or 1 <= exact <= _FASTEST):
        raise ValueError(
            f"{text!r} is not a number of bytes a second, such as 500000, 500K, 1.5M (K, M and G are thousands, "
            "millions and billions), or 0 for no limit"
        )
    return round(exact)


class TokenBucket:
    """Counts the bytes that may be moved at a rate: they come with time, from none at the beginning, and are spent."""

    __slots__ = ("_at", "granted", "level", "rate")
    SLICE = 0.02
    """Seconds that bytes are saved up for, so that few calls move many of them."""
    _LEAST = 256
    """Bytes that are saved up for at a low rate, unless that takes longer than half a second."""
    BURST = 0.2
    """Seconds of which bytes are kept, beside a slice, that nobody has spent: as much as a busy process is late."""

    def __init__(self, now: float, rate: float) -> None:
        """Begin empty, at `now` in seconds, with so many bytes a second."""
        self._at = now
        self.rate = rate
        self.level = 0.0
        """Bytes that may be moved; below 0, as many have been moved too early."""
        self.granted = 0.0
        """Bytes that there were ever, spent or not."""

    @property
    def slice(self) -> float:
        """Return how many bytes are worth a call."""
        return max(self.rate * self.SLICE, min(self.rate / 2, self._LEAST), 1)

    def refill(self, now: float) -> None:
        """Add what has come since the last time."""
        came = self.rate * (now - self._at)
        self._at = now
        self.granted += came
        self.level = min(self.level + came, self.rate * self.BURST + self.slice)

    def change_rate(self, now: float, rate: float) -> None:
        """Go on with another rate, from `now` on."""
        self.refill(now)
        self.rate = rate

    def spend(self, count: int) -> None:
        """Take out `count` bytes, which have been moved."""
        self.level -= count

    def seconds_until(self, level: float) -> float:
        """Return how long it takes until there are so many bytes; 0 if there are."""
        return max(level - self.level, 0) / self.rate


def fair_shares(total: float, per_group: float, wants: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return the shares of members of groups in a rate, in bytes a second; `wants` are what they can make use of.

    The sum is at most `total`, that of a group at most `per_group`. Groups have equal shares of the whole, and members
    equal shares of what their group has, but for those that want less: the others have the rest of it. What nobody
    wants is shared out as well, for a want is a guess.
    """
    limits = [min(per_group, sum(group)) for group in wants]
    groups = _fill_up(total, limits, [per_group] * len(wants))
    return [_fill_up(share, group, [inf] * len(group)) for share, group in zip(groups, wants, strict=True)]


def _fill_up(amount: float, wants: Sequence[float], limits: Sequence[float]) -> list[float]:
    """Share out what is wanted, then what is left, up to `limits`."""
    first = _fill(amount, wants)
    room = [limit - share for limit, share in zip(limits, first, strict=True)]
    return [share + more for share, more in zip(first, _fill(amount - sum(first), room), strict=True)]


def _fill(amount: float, limits: Sequence[float]) -> list[float]:
    """Share out `amount` equally, where nobody gets more than its limit."""
    shares = [0.0] * len(limits)
    left = max(amount, 0)
    for count, at in zip(range(len(limits), 0, -1), sorted(range(len(limits)), key=limits.__getitem__), strict=True):
        shares[at] = min(limits[at], left / count)
        left = max(left - shares[at], 0)
    return shares
