"""What stands on a terminal and is drawn anew in its place: bars, and whatever else. Importing it loads rich."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from chatfile import wire
from chatfile.cli.format import format_duration, format_rate, format_size, percentage
from chatfile.cli.meter import Meter
from chatfile.cli.outlets import is_free
from chatfile.downloads import Step

MARGIN = 3
"""Columns that stay free at the end of a line: what the terminal shows of a Ctrl-C must not begin another."""
_PERCENT, _SIZE, _RATE, _LEFT = 5, 7, 9, 9
_WITH_SIZE, _WITH_RATE, _WITH_LEFT = 64, 44, 32
"""From how many columns on the terminal has room for them."""
_SHORTEST_BAR, _LONGEST_BAR = 6, 40
_SHORTEST_NAME = 12


class _Console(Console):
    """A console that leaves the cursor to be seen: whatever ends the program, the terminal is as it was."""

    def show_cursor(self, show: bool = True) -> bool:  # noqa: ARG002 -- as Console has it
        """Leave it as it is."""
        return False


class LiveRegion:
    """The last lines on a terminal, which are drawn again and again."""

    def __init__(self, stream: TextIO) -> None:
        """Show nothing yet; `stream` is the terminal."""
        self._stream = stream
        self._console = _Console(file=stream, force_terminal=True, force_interactive=True, highlight=False)
        self._live: Live | None = None

    @property
    def width(self) -> int:
        """Return how many columns the terminal has now."""
        return self._console.width

    def draw(self, what: RenderableType) -> None:
        """Show it instead of what was shown before; not where that is still being written: it may stand still."""
        if not is_free(self._stream):
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
            self._live.start()
        self._live.update(what, refresh=True)

    def draw_lines(self, lines: Iterable[tuple[str, str]]) -> None:
        """Show lines, each with its style; what is too wide is cut."""
        self.draw(Group(*(Text(line, style, no_wrap=True, overflow="ellipsis") for line, style in lines)))

    def leave(self) -> None:
        """Let what is shown stay, and other lines come below it."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def clear(self) -> None:
        """Take away what is shown."""
        if self._live is not None:
            self._live.transient = True
        self.leave()


@dataclass(frozen=True)
class Layout:
    """How many columns of the terminal there are for what."""

    name: int
    bar: int
    has_size: bool
    has_rate: bool
    has_left: bool


def layout(width: int, longest_name: int) -> Layout:
    """Return the best use of `width` columns."""
    has_size, has_rate, has_left = width >= _WITH_SIZE, width >= _WITH_RATE, width >= _WITH_LEFT
    taken = has_size * (_SIZE + 1) + has_rate * (_RATE + 1) + has_left * (_LEFT + 1)
    rest = width - MARGIN - _PERCENT - 1 - taken
    name = min(longest_name, max(_SHORTEST_NAME, rest * 3 // 5))
    bar = min(rest - name - 1, _LONGEST_BAR)
    if bar < _SHORTEST_BAR:
        return Layout(max(min(longest_name, rest), 1), 0, has_size, has_rate, has_left)
    return Layout(name, bar, has_size, has_rate, has_left)


def bars(meters: Sequence[Meter], width: int) -> Table:
    """Return the meters, one a line, in `width` columns."""
    names = [Text(wire.printable(meter.name)) for meter in meters]
    plan = layout(width, max(name.cell_len for name in names))
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=plan.name, no_wrap=True, overflow="ellipsis")
    if plan.bar:
        grid.add_column(width=plan.bar)
    for wide in (_PERCENT, plan.has_size * _SIZE, plan.has_rate * _RATE, plan.has_left * _LEFT):
        if wide:
            grid.add_column(width=wide, justify="right", no_wrap=True)
    for name, meter in zip(names, meters, strict=True):
        grid.add_row(name, *_cells(meter, plan))
    return grid


def _cells(meter: Meter, plan: Layout) -> list[Text | ProgressBar]:
    is_moving, rate = meter.step in (Step.RECEIVING, Step.VERIFYING), meter.rate
    cells: list[Text | ProgressBar] = []
    if plan.bar:
        cells.append(ProgressBar(total=max(meter.size, 1), completed=meter.at, width=plan.bar))
    has_percent = meter.size and meter.step is not None
    cells.append(Text(f"{percentage(meter.at, meter.size)} %" if has_percent else "", "bold"))
    if plan.has_size:
        cells.append(Text(format_size(meter.size) if meter.size else ""))
    if plan.has_rate:
        cells.append(Text(format_rate(rate) if rate is not None and is_moving else "", "green"))
    if plan.has_left:
        cells.append(Text(what_is_next(meter), "cyan"))
    return cells


def what_is_next(meter: Meter) -> str:
    """Return the time that it will still take, or what is done instead of receiving."""
    if meter.step in (Step.CHECKING, Step.VERIFYING):
        return str(meter.step.value)
    left = meter.seconds_left
    if left is not None:
        return format_duration(left)
    return "waiting" if meter.step is None or meter.rate == 0 else ""
