"""The line at the bottom of the window while a download is under way. Pure: the width is given."""

from __future__ import annotations

from dataclasses import dataclass

from prompt_toolkit.utils import get_cwidth

from chatfile import wire
from chatfile.cli import tables, units
from chatfile.downloads import Step

_GAP = "  "
_SHORTEST_NAME = 20
"""Columns of the screen that a name keeps while there is anything else to leave out."""
_LONGEST = 100 * 3600
"""Seconds left, above which it is no forecast."""


@dataclass(frozen=True, slots=True)
class FileProgress:
    """How far a download is, in bytes; `size` and `rate` are None where they are not known (yet)."""

    name: str
    step: Step
    at: int
    size: int | None
    rate: float | None
    resumed_at: int = 0
    position: int = 1
    count: int = 1
    overall: float | None = None


def toolbar(progress: FileProgress, waiting: int, width: int) -> str:
    """Name and progress, and how many lines wait behind it, as much of it as fits."""
    name = wire.printable(progress.name)
    parts = [(weight, text) for weight, text in _parts(progress, waiting) if text]
    room = min(get_cwidth(name), _SHORTEST_NAME)
    while parts and room + _columns(parts) > width:
        parts.remove(max(parts))
    return tables.cut(name, width - _columns(parts)) + "".join(_GAP + text for _, text in parts)


def _columns(parts: list[tuple[int, str]]) -> int:
    return sum(len(_GAP) + get_cwidth(text) for _, text in parts)


def _parts(progress: FileProgress, waiting: int) -> list[tuple[int, str]]:
    """Each with a weight: the heaviest goes first where there is no room."""
    moving = progress.step is Step.RECEIVING
    return [
        (0, "" if moving else progress.step.value),
        (0, "" if progress.step is Step.VERIFYING or not (moving or progress.at) else _percent(progress)),
        (4, _sizes(progress) if moving else ""),
        (2, units.rate(progress.rate) if moving and progress.rate is not None else ""),
        (1, _left(progress) if moving else ""),
        (3, _of_all(progress)),
        (5, _resumed(progress)),
        (6, f"{waiting} waiting" if waiting else ""),
        (7, "Ctrl-C stops it"),
    ]


def _percent(progress: FileProgress) -> str:
    return f"{units.percentage(progress.at, progress.size)} %" if progress.size is not None else ""


def _sizes(progress: FileProgress) -> str:
    whole = f" of {units.size(progress.size)}" if progress.size is not None else ""
    return units.size(progress.at) + whole


def _left(progress: FileProgress) -> str:
    if not progress.rate or progress.size is None:
        return ""
    seconds = (progress.size - progress.at) / progress.rate
    return f"{units.duration(seconds)} left" if seconds < _LONGEST else "hardly moving"


def _resumed(progress: FileProgress) -> str:
    if not progress.resumed_at or progress.size is None:
        return ""
    return f"resumed at {units.percentage(progress.resumed_at, progress.size)} %"


def _of_all(progress: FileProgress) -> str:
    if progress.count == 1:
        return ""
    share = "" if progress.overall is None else f", {progress.overall:.0%} of all".replace("%", " %")
    return f"file {progress.position} of {progress.count}{share}"
