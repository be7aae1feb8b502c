"""Results for people: sizes, times, and tables that fit the window. Pure: the clock and the width are given."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from prompt_toolkit.utils import get_cwidth

from chatfile import wire
from chatfile.cli import units

_GAP = "  "
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_ROOMY = 32
"""Columns of the screen that nearly every name fits in: a longer one is cut rather than a column left out."""
_NARROWEST = 8
"""Columns of the screen under which a cell is not cut: it would say nothing any more."""


def moment(then: int, now: float) -> str:
    """When it was: `2 min ago` on the same day, else the local date and time."""
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


def spent(seconds: float) -> str:
    """What something took: `0.3 s`, `1:02 min`."""
    return f"{seconds:.1f} s" if seconds < _MINUTE else f"{units.duration(seconds)} min"


def cut(text: str, columns: int) -> str:
    """`text`, or as much of it as fits with an ellipsis behind."""
    if get_cwidth(text) <= columns:
        return text
    kept, used = "", 0
    for character in text:
        used += get_cwidth(character)
        if used > columns - 1:
            break
        kept += character
    return f"{kept}…" if columns > 0 else ""


def padded(text: str, columns: int, *, right: bool = False) -> str:
    """`text` with spaces to so many columns of the screen."""
    spaces = " " * (columns - get_cwidth(text))
    return spaces + text if right else text + spaces


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table. `drop`: the higher, the sooner it goes where there is no room; 0 stays, but may be cut.

    `roomy`: it may be cut to so many columns of the screen before another one goes.
    """

    title: str
    cells: Sequence[str]
    right: bool = False
    drop: int = 0
    roomy: int | None = None

    @property
    def columns(self) -> int:
        """How wide it is on the screen."""
        return max(map(get_cwidth, (self.title, *self.cells)))

    @property
    def wanted(self) -> int:
        """How wide it has to be while there is another one that can go."""
        return self.columns if self.roomy is None else min(self.columns, self.roomy)


def table(columns: Iterable[Column], width: int) -> list[str]:
    """The lines of the table, titles first, none longer than `width` where that can be."""
    fitting = _cut(_dropped([_shown(column) for column in columns], width), width)
    last = len(fitting) - 1
    widths = [0 if at == last and not column.right else column.columns for at, column in enumerate(fitting)]
    rows = zip(*((column.title, *column.cells) for column in fitting), strict=True)
    return [
        _GAP.join(
            padded(cell, wide, right=column.right) for cell, wide, column in zip(row, widths, fitting, strict=True)
        )
        for row in rows
    ]


def _shown(column: Column) -> Column:
    return replace(column, cells=[wire.printable(cell) for cell in column.cells])


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _dropped(columns: list[Column], width: int) -> list[Column]:
    while _total([column.wanted for column in columns]) > width and (
        loose := [column for column in columns if column.drop]
    ):
        columns.remove(max(loose, key=lambda column: column.drop))
    return columns


def _cut(columns: list[Column], width: int) -> list[Column]:
    """The widest column gives what is missing."""
    missing = _total([column.columns for column in columns]) - width
    if missing <= 0:
        return columns
    widest = max(columns, key=lambda column: column.columns)
    left = max(widest.columns - missing, _NARROWEST)
    narrower = replace(widest, title=cut(widest.title, left), cells=[cut(cell, left) for cell in widest.cells])
    return [narrower if column is widest else column for column in columns]


def files(rows: Sequence[wire.FileRow], now: float, width: int) -> list[str]:
    """The listing."""
    return table(
        (
            Column("SIZE", [units.size(row.size) for row in rows], right=True),
            Column("CHANGED", [moment(row.mtime, now) for row in rows], drop=1),
            Column("NAME", [row.name for row in rows], roomy=_ROOMY),
        ),
        width,
    )


def clients(rows: Sequence[wire.ClientRow], me: str, now: float, width: int) -> list[str]:
    """Who is and who was connected."""
    return table(
        (
            Column("NAME", [f"{row.name} (you)" if row.name == me else row.name for row in rows]),
            Column("ADDRESS", [row.address for row in rows], drop=4),
            Column("CAME", [moment(row.connected, now) for row in rows], drop=3),
            Column(
                "LEFT", ["-" if row.disconnected is None else moment(row.disconnected, now) for row in rows], drop=1
            ),
            Column("FILES", [str(row.files) for row in rows], right=True, drop=2),
            Column("SENT", [units.size(row.bytes) for row in rows], right=True),
        ),
        width,
    )
