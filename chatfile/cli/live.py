"""What is drawn again and again: lines at the end of a terminal, the bars of downloads, the toolbar of the prompt."""

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


_GAP = "  "
_SHORTEST_IN_TOOLBAR = 20
"""Columns of the screen that a name keeps while there is anything else to leave out."""
_LONGEST = 100 * 3600
"""Seconds left, above which it is no forecast."""


def toolbar(meter: TransferMeter, total: TotalMeter | None, waiting: int, width: int) -> str:
    """Return the text that fits `width` columns: the file's name, its progress, and how many lines wait."""
    name = wire.printable(meter.name)
    parts = [(weight, text) for weight, text in _parts(meter, total, waiting) if text]
    room = min(cell_width(name), _SHORTEST_IN_TOOLBAR)
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
