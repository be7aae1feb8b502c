"""Sizes, times and counts in words, and tables that fit the window. Nothing is read: clock and width are given."""

from __future__ import annotations

import heapq
import re
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from chatfile import wire

_STEP = 1000
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_GAP = "  "
_ROOMY = 32
"""Columns of the screen that suffice for nearly every name: for a longer one, no other column is left out."""
_LATEST = 10
"""How many of the clients that have left are shown."""
WIDEST = 64
"""Columns up to which a cell widens its column where there is no window to fit: an endless one pads no other row."""


def format_size(count: float) -> str:
    """Return a count of bytes in about three digits: `624 B`, `12.3 MB`."""
    units = ["TB", "GB", "MB", "kB", "B"]
    unit = units.pop()
    while units and count >= _STEP - 0.5:
        count, unit = count / _STEP, units.pop()
    digits = 0 if unit == "B" or count >= _STEP / 10 else 1
    return f"{count:.{digits}f} {unit}"


def format_rate(count: float) -> str:
    """Return a count of bytes a second in about three digits: `12.3 MB/s`."""
    return f"{format_size(count)}/s"


def format_duration(seconds: float) -> str:
    """Return a duration as a stopwatch shows it: `0:07`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def elapsed(seconds: float) -> str:
    """Return how long something took: `0.3 s`, `1:02 min`."""
    return f"{seconds:.1f} s" if seconds < _MINUTE else f"{format_duration(seconds)} min"


def percentage(part: int, whole: int) -> int:
    """Return how many percent `part` is of `whole`, rounded down; 100 where `whole` is 0."""
    return part * 100 // whole if whole else 100


def pluralize(count: int, what: str) -> str:
    """Return a count with its noun: `1 file`, `2 files`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def relative_time(then: int, now: float) -> str:
    """Return `then` in words: `2 min ago` within a day of `now`, else the local date and time.

    Both are in seconds since 1970.
    """
    age = now - then
    if -_MINUTE < age < _MINUTE:
        return "just now" if age < _MINUTE // 6 else f"{age:.0f} s ago"
    if 0 < age < _HOUR:
        return f"{age // _MINUTE:.0f} min ago"
    if 0 < age < _DAY:
        return f"{age // _HOUR:.0f} h ago"
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(then))
    except (OSError, OverflowError, ValueError):
        return wire.format_time(then)  # a year that the system's calendar does not have


def natural_order(name: str) -> tuple[object, ...]:
    """Return the key that sorts names as people expect: data-2 before data-10, upper case as lower case."""
    parts = re.split("([0-9]+)", name.casefold())
    for at in range(1, len(parts), 2):
        parts[at - 1] += "0"  # a number sorts against other text as a digit does
        parts[at] = parts[at].lstrip("0")
    return (*((len(part), part) if at % 2 else part for at, part in enumerate(parts)), name)


# --- columns of the screen ---


def cell_width(text: str) -> int:
    """Return how many columns of the screen `text` takes. It must contain no control characters."""
    if text.isascii():
        return len(text)
    from wcwidth import wcwidth  # noqa: PLC0415 -- it takes a while to load, and few names need it

    return sum(max(wcwidth(character), 0) for character in text)  # not every terminal joins what can be joined


def truncate(text: str, columns: int) -> str:
    """Return `text`, or as much of it as fits into `columns` with an ellipsis behind it."""
    if cell_width(text) <= columns:
        return text
    kept, used = "", 0
    for character in text:
        used += cell_width(character)
        if used > columns - 1:
            break
        kept += character
    return f"{kept}…" if columns > 0 else ""


def join_row(
    cells: Iterable[str],
    widths: Sequence[int],
    right: Collection[int],
    measure: Callable[[str], int] = cell_width,
) -> str:
    """Return a row of a table: the cells padded to `widths`, those at the indices in `right` flush right.

    The last cell is not padded, and none is cut.
    """
    row, last = list(cells), len(widths) - 1
    for at, cell in enumerate(row):
        if at in right:
            row[at] = " " * (widths[at] - measure(cell)) + cell
        elif at != last:
            row[at] = cell + " " * (widths[at] - measure(cell))
    return _GAP.join(row)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    `drop`: where there is no room, the column with the highest number is left out first; one with 0 stays. `least`:
    its least width.
    """

    title: str
    cells: Sequence[str]
    right: bool = False
    drop: int = 0
    least: int = 0

    @property
    def columns(self) -> int:
        """Return its full width, in columns of the screen."""
        return max(self.least, *map(cell_width, (self.title, *self.cells)))


def table(columns: Iterable[Column], width: int | None) -> list[str]:
    """Return the lines of the table, titles first, all text escaped.

    Columns are left out where they don't fit `width` columns of the screen; None is for no limit. No cell is cut: where
    the last one is longer than there is room, the terminal wraps it, as it does for `ls -l`.
    """
    fitting = [replace(column, cells=[wire.printable(cell) for cell in column.cells]) for column in columns]
    if width is not None:
        fitting = _dropped(fitting, width)
    widths = [column.columns if width is not None else min(column.columns, WIDEST) for column in fitting]
    right = [at for at, column in enumerate(fitting) if column.right]
    rows = zip(*((column.title, *column.cells) for column in fitting), strict=True)
    return [join_row(row, widths, right) for row in rows]


def _dropped(columns: list[Column], width: int) -> list[Column]:
    """Return the columns that fit `width`, and those that have to stay."""
    while loose := [column for column in columns if column.drop]:
        *others, last = (column.columns + len(_GAP) for column in columns)
        if sum(others) + min(last - len(_GAP), _ROOMY) <= width:
            break
        columns.remove(max(loose, key=lambda column: column.drop))
    return columns


# --- the tables of results ---


def latest_clients(rows: Sequence[wire.ClientRow]) -> Sequence[wire.ClientRow]:
    """Return the clients that are connected and the latest that left, in the order of `rows`."""
    left = [(row.disconnected, at) for at, row in enumerate(rows) if row.disconnected is not None]
    latest = {at for _, at in heapq.nlargest(_LATEST, left)}
    return [row for at, row in enumerate(rows) if row.disconnected is None or at in latest]


def sorted_files(rows: Sequence[wire.FileRow], by: str | None) -> Sequence[wire.FileRow]:
    """Return the rows sorted by "name", "size" or "time", files that are equal in that by name; None: as they are."""
    if by is None:
        return rows
    named = sorted(rows, key=lambda row: natural_order(row.name))
    if by == "size":
        named.sort(key=lambda row: row.size, reverse=True)
    elif by == "time":
        named.sort(key=lambda row: row.mtime, reverse=True)
    return named


def files_table(rows: Sequence[wire.FileRow], now: float, width: int) -> list[str]:
    """Return the lines of a listing, as a table; `now` is in seconds since 1970."""
    columns = (
        Column("SIZE", [format_size(row.size) for row in rows], right=True),
        Column("CHANGED", [relative_time(row.mtime, now) for row in rows], drop=1),
        Column("NAME", [row.name for row in rows]),
    )
    return table(columns, width)


def clients_table(rows: Sequence[wire.ClientRow], me: str, now: float, width: int) -> list[str]:
    """Return the lines of a status, as a table; `me` is our own name in it, `now` is in seconds since 1970."""
    left = ["-" if row.disconnected is None else relative_time(row.disconnected, now) for row in rows]
    columns = (
        Column("NAME", [f"{row.name} (you)" if row.name == me else row.name for row in rows]),
        Column("ADDRESS", [row.address for row in rows], drop=4),
        Column("CONNECTED", [relative_time(row.connected, now) for row in rows], drop=3),
        Column("DISCONNECTED", left, drop=1),
        Column("FILES", [str(row.files) for row in rows], right=True, drop=2),
        Column("SENT", [format_size(row.bytes) for row in rows], right=True),
    )
    return table(columns, width)
