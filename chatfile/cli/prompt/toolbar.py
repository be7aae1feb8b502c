"""The line at the bottom of the window while a download is under way. Pure: the width is given."""

from __future__ import annotations

from prompt_toolkit.utils import get_cwidth

from chatfile import wire
from chatfile.cli import tables, units
from chatfile.cli.gauges import Gauge, Overall
from chatfile.cli.progress import Progress
from chatfile.downloads import Step

_GAP = "  "
_SHORTEST_NAME = 20
"""Columns of the screen that a name keeps while there is anything else to leave out."""
_LONGEST = 100 * 3600
"""Seconds left, above which it is no forecast."""


class Unseen:
    """A display that draws nothing itself: the prompt does."""

    interval = 0.25

    def draw(self, current: Gauge | None, overall: Overall | None) -> None:
        """See `Display`."""

    def clear(self) -> None:
        """See `Display`."""


def toolbar(progress: Progress, waiting: int, width: int) -> str:
    """Name and progress, and how many lines wait behind it, as much of it as fits."""
    gauge = progress.current
    if gauge is None:
        return ""
    name = wire.printable(gauge.name)
    parts = [(weight, text) for weight, text in _parts(gauge, progress.overall, waiting) if text]
    room = min(get_cwidth(name), _SHORTEST_NAME)
    while parts and room + _columns(parts) > width:
        parts.remove(max(parts))
    return tables.cut(name, width - _columns(parts)) + "".join(_GAP + text for _, text in parts)


def _columns(parts: list[tuple[int, str]]) -> int:
    return sum(len(_GAP) + get_cwidth(text) for _, text in parts)


def _parts(gauge: Gauge, overall: Overall | None, waiting: int) -> list[tuple[int, str]]:
    """Each with a weight: the heaviest goes first where there is no room."""
    step = gauge.step or Step.CHECKING
    moving = step is Step.RECEIVING
    return [
        (0, "" if moving else step.value),
        (0, _percent(gauge) if step is not Step.VERIFYING and (moving or gauge.at) else ""),
        (4, f"{units.size(gauge.at)} of {units.size(gauge.size)}" if moving else ""),
        (2, units.rate(gauge.rate) if moving and gauge.rate is not None else ""),
        (1, _left(gauge) if moving else ""),
        (3, _of_all(overall)),
        (5, f"resumed at {units.percentage(gauge.resumed_from, gauge.size)} %" if gauge.resumed_from else ""),
        (6, f"{waiting} waiting" if waiting else ""),
        (7, "Ctrl-C stops it"),
    ]


def _percent(gauge: Gauge) -> str:
    return f"{units.percentage(gauge.at, gauge.size)} %"


def _left(gauge: Gauge) -> str:
    if gauge.seconds_left is None:
        return ""
    return f"{units.duration(gauge.seconds_left)} left" if gauge.seconds_left < _LONGEST else "hardly moving"


def _of_all(overall: Overall | None) -> str:
    if overall is None:
        return ""
    share = f", {units.percentage(overall.at, overall.size)} % of all" if overall.size else ""
    return f"file {overall.done + 1} of {overall.files}{share}"
