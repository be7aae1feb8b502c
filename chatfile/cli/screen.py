"""The picture of `watch` on a terminal, drawn anew in its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.console import Group, JustifyMethod
from rich.table import Table
from rich.text import Text

from chatfile import wire
from chatfile.cli.redrawing import MARGIN, Redrawn
from chatfile.cli.watching import HEADINGS, NUMBERS, Seen, cells, title

_WIDE = 70
"""From how many columns on there is room between those of the table."""
_ROOM = {"ADDRESS": 56, "FILES": 44, "FOR": 36}
"""From how many columns on there is room for these."""


class Screen:
    """A table at the bottom of the terminal."""

    def __init__(self, stream: TextIO) -> None:
        """On the terminal `stream`."""
        self._place = Redrawn(stream)

    def show(self, seen: Sequence[Seen], at: float) -> None:
        """See `Picture`."""
        self._place.draw(Group(Text(title(seen, at), "bold"), _table(seen, self._place.width - MARGIN)))

    def leave(self) -> None:
        """What was seen last stays."""
        self._place.leave()


def _table(seen: Sequence[Seen], width: int) -> Table:
    table = Table(box=None, width=width, padding=(0, 2 if width >= _WIDE else 1, 0, 0), header_style="dim")
    shown = [number for number, heading in enumerate(HEADINGS) if width >= _ROOM.get(heading, 0)]
    for number in shown:
        justify: JustifyMethod = "right" if number in NUMBERS else "left"
        ratio = 1 if HEADINGS[number] == "ADDRESS" else None
        table.add_column(HEADINGS[number], justify=justify, no_wrap=True, overflow="ellipsis", ratio=ratio)
    for each in seen:
        row = cells(each)
        style = "green" if each.rate else "dim" if each.is_us else ""
        table.add_row(*(Text(wire.printable(row[number])) for number in shown), style=style)
    return table
