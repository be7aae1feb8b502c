"""Bars on a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TextIO

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from chatfile import wire
from chatfile.cli import units
from chatfile.cli.gauges import Gauge, Overall
from chatfile.cli.redrawing import MARGIN, Redrawn
from chatfile.downloads import Step

_PERCENT, _SIZE, _RATE, _LEFT = 5, 7, 9, 9
_WITH_SIZE, _WITH_RATE, _WITH_LEFT = 64, 44, 32
"""From how many columns on the terminal has room for them."""
_SHORTEST_BAR, _LONGEST_BAR = 6, 40
_SHORTEST_NAME = 12


class Lines:
    """A line for the download under way, and one for all of several."""

    interval = 0.1

    def __init__(self, stream: TextIO) -> None:
        """On the terminal `stream`."""
        self._place = Redrawn(stream)

    def draw(self, current: Gauge | None, overall: Overall | None) -> None:
        """See `Display`."""
        gauges = [gauge for gauge in (current, overall) if gauge is not None]
        self._place.draw(table(gauges, self._place.width))

    def clear(self) -> None:
        """See `Display`."""
        self._place.clear()


@dataclass(frozen=True)
class Layout:
    """How many columns of the terminal there are for what."""

    name: int
    bar: int
    has_size: bool
    has_rate: bool
    has_left: bool


def layout(width: int, longest_name: int) -> Layout:
    """The best use of `width` columns."""
    has_size, has_rate, has_left = width >= _WITH_SIZE, width >= _WITH_RATE, width >= _WITH_LEFT
    taken = has_size * (_SIZE + 1) + has_rate * (_RATE + 1) + has_left * (_LEFT + 1)
    rest = width - MARGIN - _PERCENT - 1 - taken
    name = min(longest_name, max(_SHORTEST_NAME, rest * 3 // 5))
    bar = min(rest - name - 1, _LONGEST_BAR)
    if bar < _SHORTEST_BAR:
        return Layout(max(min(longest_name, rest), 1), 0, has_size, has_rate, has_left)
    return Layout(name, bar, has_size, has_rate, has_left)


def table(gauges: list[Gauge], width: int) -> Table:
    """The gauges, one a line, in `width` columns."""
    names = [Text(wire.printable(gauge.name)) for gauge in gauges]
    plan = layout(width, max(name.cell_len for name in names))
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=plan.name, no_wrap=True, overflow="ellipsis")
    if plan.bar:
        grid.add_column(width=plan.bar)
    for wide in (_PERCENT, plan.has_size * _SIZE, plan.has_rate * _RATE, plan.has_left * _LEFT):
        if wide:
            grid.add_column(width=wide, justify="right", no_wrap=True)
    for name, gauge in zip(names, gauges, strict=True):
        grid.add_row(name, *_cells(gauge, plan))
    return grid


def _cells(gauge: Gauge, plan: Layout) -> list[Text | ProgressBar]:
    is_moving = gauge.step in (Step.RECEIVING, Step.VERIFYING)
    percent = f"{units.percentage(gauge.at, gauge.size)} %" if gauge.size and gauge.step is not None else ""
    rate = units.rate(gauge.rate) if gauge.rate is not None and is_moving else ""
    cells: list[Text | ProgressBar] = []
    if plan.bar:
        cells.append(ProgressBar(total=max(gauge.size, 1), completed=gauge.at, width=plan.bar))
    cells.append(Text(percent, "bold"))
    if plan.has_size:
        cells.append(Text(units.size(gauge.size) if gauge.size else ""))
    if plan.has_rate:
        cells.append(Text(rate, "green"))
    if plan.has_left:
        cells.append(Text(what_is_next(gauge), "cyan"))
    return cells


def what_is_next(gauge: Gauge) -> str:
    """The time that it will still take, or what is done instead of receiving."""
    if gauge.step in (Step.CHECKING, Step.VERIFYING):
        return str(gauge.step.value)
    if gauge.seconds_left is not None:
        return units.duration(gauge.seconds_left)
    return "waiting" if gauge.step is None or gauge.rate == 0 else ""
