"""Sizes, rates and times as people read them."""

from __future__ import annotations

_STEP = 1000


def size(count: float) -> str:
    """Bytes, with three digits or so: `624 B`, `12.3 MB`."""
    units = ["TB", "GB", "MB", "kB", "B"]
    unit = units.pop()
    while units and count >= _STEP - 0.5:
        count, unit = count / _STEP, units.pop()
    digits = 0 if unit == "B" or count >= _STEP / 10 else 1
    return f"{count:.{digits}f} {unit}"


def rate(count: float) -> str:
    """Bytes a second."""
    return f"{size(count)}/s"


def duration(seconds: float) -> str:
    """As a stopwatch has it: `0:07`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def percentage(part: int, whole: int) -> int:
    """Whole percents, 100 only for all of it; nothing is all of nothing."""
    return part * 100 // whole if whole else 100
