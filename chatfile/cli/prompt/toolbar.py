"""The line at the bottom of the window while a download is under way. Nothing is written here: the width is given."""

from __future__ import annotations

from chatfile import wire
from chatfile.cli.format import cell_width, format_duration, format_rate, format_size, percentage, truncate
from chatfile.cli.meter import TotalMeter, TransferMeter
from chatfile.cli.progress import Progress
from chatfile.downloads import Step

_GAP = "  "
_SHORTEST_NAME = 20
"""Columns of the screen that a name keeps while there is anything else to leave out."""
_LONGEST = 100 * 3600
"""Seconds left, above which it is no forecast."""


def toolbar(progress: Progress, waiting: int, width: int) -> str:
    """Return the text that fits `width` columns: the file's name, its progress, and how many lines wait."""
    meter = progress.current
    if meter is None:
        return ""
    for each in (meter, progress.total):
        if each is not None:
            each.measure()
    name = wire.printable(meter.name)
    parts = [(weight, text) for weight, text in _parts(meter, progress.total, waiting) if text]
    room = min(cell_width(name), _SHORTEST_NAME)
    while parts and room + _columns(parts) > width:
        parts.remove(max(parts))
    return truncate(name, width - _columns(parts)) + "".join(_GAP + text for _, text in parts)


def _columns(parts: list[tuple[int, str]]) -> int:
    return sum(len(_GAP) + cell_width(text) for _, text in parts)


def _parts(meter: TransferMeter, total: TotalMeter | None, waiting: int) -> list[tuple[int, str]]:
    """Return what there is to tell, each with a weight: the heaviest goes first where there is no room."""
    step, rate = meter.step or Step.CHECKING, meter.rate
    is_moving = step is Step.RECEIVING
    percent = f"{percentage(meter.at, meter.size)} %"
    resumed = f"resumed at {percentage(meter.resumed_from, meter.size)} %"
    return [
        (0, "" if is_moving else step.value),
        (0, percent if is_moving or (meter.at and step is not Step.VERIFYING) else ""),
        (4, f"{format_size(meter.at)} of {format_size(meter.size)}" if is_moving else ""),
        (2, format_rate(rate) if is_moving and rate is not None else ""),
        (1, _left(meter) if is_moving else ""),
        (3, _of_all(total)),
        (5, resumed if meter.resumed_from else ""),
        (6, f"{waiting} waiting" if waiting else ""),
        (7, "Ctrl-C stops it"),
    ]


def _left(meter: TransferMeter) -> str:
    seconds = meter.seconds_left
    if seconds is None:
        return ""
    return f"{format_duration(seconds)} left" if seconds < _LONGEST else "hardly moving"


def _of_all(total: TotalMeter | None) -> str:
    if total is None:
        return ""
    share = f", {percentage(total.at, total.size)} % of all" if total.size and total.is_exact else ""
    return f"file {total.done + 1} of {total.files}{share}"
