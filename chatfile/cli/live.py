"""Lines at the end of a terminal that are drawn again and again in their place, and the bars of downloads in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TextIO

from chatfile import wire
from chatfile.cli.format import cell_width, format_duration, format_rate, format_size, percentage, truncate
from chatfile.cli.meter import Meter, TotalMeter, TransferMeter
from chatfile.cli.streams import is_free
from chatfile.cli.terminal import is_coloured, window_size
from chatfile.downloads import Step

Line = Sequence[tuple[str, str]]
"""Pieces of text, all escaped, each with its style: parameters of the sequence SGR, such as "1;32"; empty for none."""
_MARGIN = 3
"""Columns that stay free at the end of a line: what the terminal shows of a Ctrl-C must not begin another."""
_SHORTEST_BAR, _LONGEST_BAR = 6, 40
_SHORTEST_NAME = 12
_ERASE_LINE, _UP = "\x1b[2K", "\x1b[1A"
_PLAIN_SIGNS = str.maketrans("━╸…", "--.")
"""What stands for our own signs where the locale doesn't have them."""


class LiveRegion:
    """The last lines on a terminal, which are drawn again and again."""

    def __init__(self, stream: TextIO) -> None:
        """Draw on the terminal `stream`; nothing is shown yet."""
        self._stream = stream
        self._shown: list[int] = []  # the columns that each line takes

    @property
    def width(self) -> int:
        """Return how many columns of the screen a line can have at present."""
        return max(window_size(self._stream).columns - _MARGIN, 1)

    def draw(self, lines: Sequence[Line]) -> None:
        """Show `lines` in place of what was shown before, as many as the window has; those that are too wide are cut.

        Nothing is done where earlier output is still being written: the terminal may stand still (Ctrl-S).
        """
        if not is_free(self._stream):
            return
        height, erased = window_size(self._stream).lines, self._erased()
        if len(lines) > height:
            lines = [*lines[: height - 1], [("…", "")]]
        fitting = [list(self._cut(line)) for line in lines]
        self._shown = [sum(cell_width(text) for text, _ in line) for line in fitting]
        self._write(erased + "\n".join(map(_styled, fitting)))

    def leave(self) -> None:
        """Leave what is shown on the terminal; the next lines come below it."""
        if self._shown:
            self._shown = []
            self._write("\n")

    def clear(self) -> None:
        """Erase what is shown."""
        if self._shown:
            erased, self._shown = self._erased(), []
            self._write(erased)

    def _erased(self) -> str:
        """Return what erases the lines that are shown: where the window has become narrower, it has wrapped them."""
        size = window_size(self._stream)
        rows = sum(max(-(-columns // size.columns), 1) for columns in self._shown)
        return f"\r{_ERASE_LINE}" + f"{_UP}{_ERASE_LINE}" * (min(rows, size.lines) - 1) if rows else ""

    def _cut(self, line: Line) -> Iterable[tuple[str, str]]:
        left = self.width
        encoding = self._stream.encoding or "utf-8"
        for text, style in line:
            if not encoding.lower().startswith("utf"):
                text = text.translate(_PLAIN_SIGNS).encode(encoding, "replace").decode(encoding)  # noqa: PLW2901
            fitting = truncate(text, left)
            left -= cell_width(fitting)
            yield fitting, style

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _styled(line: Line) -> str:
    if not is_coloured():
        return "".join(text for text, _ in line)
    return "".join(f"\x1b[{style}m{text}\x1b[0m" if style else text for text, style in line)


class Bars:
    """Draws on a terminal a line for the download under way, and one for all of several."""

    interval = 0.1

    def __init__(self, stream: TextIO) -> None:
        """Draw on the terminal `stream`."""
        self._region = LiveRegion(stream)
        self.clear = self._region.clear

    def draw(self, current: TransferMeter | None, total: TotalMeter | None) -> None:
        """Show the meters of the download under way, and of all of several, as they are now. Raises OSError."""
        self._region.draw(bars([meter for meter in (current, total) if meter is not None], self._region.width))


def bars(meters: Sequence[Meter], width: int) -> list[Line]:
    """Return a line for each meter, with as much about it as fits into `width` columns."""
    names = [wire.printable(meter.name) for meter in meters]
    shown = [(columns, style, cell) for least, columns, style, cell in _CELLS if width >= least]
    rest = width - sum(columns + 1 for columns, _, _ in shown)
    longest = max(map(cell_width, names), default=0)
    name_columns = min(longest, max(_SHORTEST_NAME, rest * 3 // 5))
    bar_columns = min(rest - name_columns - 1, _LONGEST_BAR)
    if bar_columns < _SHORTEST_BAR:
        name_columns, bar_columns = max(min(longest, rest), 1), 0
    lines: list[Line] = []
    for name, meter in zip(names, meters, strict=True):
        fitting = truncate(name, name_columns)
        cells = [(f" {cell(meter):>{columns}}", style) for columns, style, cell in shown]
        lines.append([(fitting + " " * (name_columns - cell_width(fitting)), ""), *_bar(meter, bar_columns), *cells])
    return lines


def _bar(meter: Meter, columns: int) -> Line:
    halves = min(2 * columns * meter.at // max(meter.size, 1), 2 * columns)
    done = "━" * (halves // 2) + "╸" * (halves % 2)
    rest = ("━" if is_coloured() else " ") * (columns - len(done))
    return [(" ", ""), (done, "32" if not rest else "35"), (rest, "2")] if columns else []


def _percent(meter: Meter) -> str:
    has_begun = meter.size and meter.step is not None
    return f"{percentage(meter.at, meter.size)} %" if has_begun else ""


def _size(meter: Meter) -> str:
    return format_size(meter.size) if meter.size else ""


def _rate(meter: Meter) -> str:
    rate = meter.rate if meter.step in (Step.RECEIVING, Step.VERIFYING) else None
    return "" if rate is None else format_rate(rate)


def what_is_next(meter: Meter) -> str:
    """Return the time left, or the word for what is done instead of receiving; empty where there is neither."""
    if meter.step in (Step.CHECKING, Step.VERIFYING):
        return str(meter.step.value)
    left = meter.seconds_left
    if left is not None:
        return format_duration(left)
    return "waiting" if meter.step is None or meter.rate == 0 else ""


_CELLS = ((0, 5, "1", _percent), (61, 7, "", _size), (41, 9, "32", _rate), (29, 9, "36", what_is_next))
"""The cells of a line: the columns that there need to be for it, its own columns, its style, and what returns it."""
