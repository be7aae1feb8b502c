"""A region of the terminal that is drawn again and again in its place, and bars in it. Importing it loads rich."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
_SHORTEST_BAR, _LONGEST_BAR = 6, 40
_SHORTEST_NAME = 12


class _Console(Console):
    """A console that does not hide the cursor: whatever ends the program, the terminal is as it was."""

    def show_cursor(self, show: bool = True) -> bool:  # noqa: ARG002 -- as Console has it
        """Do nothing, and return that the cursor was left as it is."""
        return False


class LiveRegion:
    """The last lines on a terminal, which are drawn again and again."""

    def __init__(self, stream: TextIO) -> None:
        """Draw on the terminal `stream`; nothing is shown yet."""
        self._stream = stream
        self._console = _Console(file=stream, force_terminal=True, force_interactive=True, highlight=False)
        self._live: Live | None = None

    @property
    def width(self) -> int:
        """Return how many columns the terminal has at present."""
        return self._console.width

    def draw(self, what: RenderableType) -> None:
        """Show `what` in place of what was shown before.

        Nothing is done where earlier output is still being written: the terminal may stand still (Ctrl-S).
        """
        if not is_free(self._stream):
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
            self._live.start()
        self._live.update(what, refresh=True)

    def draw_lines(self, lines: Iterable[tuple[str, str]]) -> None:
        """Show lines, each with its style (rich's); those that are too wide are cut."""
        self.draw(Group(*(Text(line, style, no_wrap=True, overflow="ellipsis") for line, style in lines)))

    def leave(self) -> None:
        """Leave what is shown on the terminal; the next lines come below it."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def clear(self) -> None:
        """Erase what is shown."""
        if self._live is not None:
            self._live.transient = True
        self.leave()


def bars(meters: Sequence[Meter], width: int) -> Table:
    """Return a line for each meter, with as much about it as fits into `width` columns."""
    names = [Text(wire.printable(meter.name)) for meter in meters]
    shown = [(columns, cell) for least, columns, cell in _CELLS if width >= least]
    rest = width - MARGIN - sum(columns + 1 for columns, _ in shown)
    longest = max(name.cell_len for name in names)
    name_columns = min(longest, max(_SHORTEST_NAME, rest * 3 // 5))
    bar_columns = min(rest - name_columns - 1, _LONGEST_BAR)
    if bar_columns < _SHORTEST_BAR:
        name_columns, bar_columns = max(min(longest, rest), 1), 0
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=name_columns, no_wrap=True, overflow="ellipsis")
    if bar_columns:
        grid.add_column(width=bar_columns)
    for columns, _ in shown:
        grid.add_column(width=columns, justify="right", no_wrap=True)
    for name, meter in zip(names, meters, strict=True):
        bar = ProgressBar(total=max(meter.size, 1), completed=meter.at, width=bar_columns)
        grid.add_row(name, *([bar] if bar_columns else []), *(cell(meter) for _, cell in shown))
    return grid


def _percent(meter: Meter) -> Text:
    has_begun = meter.size and meter.step is not None
    return Text(f"{percentage(meter.at, meter.size)} %" if has_begun else "", "bold")


def _size(meter: Meter) -> Text:
    return Text(format_size(meter.size) if meter.size else "")


def _rate(meter: Meter) -> Text:
    rate = meter.rate if meter.step in (Step.RECEIVING, Step.VERIFYING) else None
    return Text("" if rate is None else format_rate(rate), "green")


def _left(meter: Meter) -> Text:
    return Text(what_is_next(meter), "cyan")


_CELLS = ((0, 5, _percent), (64, 7, _size), (44, 9, _rate), (32, 9, _left))
"""The cells of a line: the columns that the terminal needs to have for it, its own columns, and what returns it."""


def what_is_next(meter: Meter) -> str:
    """Return the time left, or the word for what is done instead of receiving; empty where there is neither."""
    if meter.step in (Step.CHECKING, Step.VERIFYING):
        return str(meter.step.value)
    left = meter.seconds_left
    if left is not None:
        return format_duration(left)
    return "waiting" if meter.step is None or meter.rate == 0 else ""
