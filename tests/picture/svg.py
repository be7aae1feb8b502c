"""A terminal's screen as SVG, which stands on its own and needs no particular font."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from xml.etree import ElementTree as ET

from prompt_toolkit.utils import get_cwidth
from pyte.screens import Char, Screen

_FONT = 15
CELL, _LINE = 9, 19
"""Width and height of a character: most fonts of this kind are six tenths as wide as high."""
_BAR, _EDGE = 34, 14
_FAMILY = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
BACKGROUND, _FOREGROUND, _BORDER, _TITLE = "#161b22", "#e6edf3", "#3d444d", "#9198a1"
_BUTTONS = ("#ff5f57", "#febc2e", "#28c840")
PALETTE = {
    "default": _FOREGROUND,
    "black": "#161b22",
    "red": "#ff7b72",
    "green": "#7ee787",
    "brown": "#e3b341",
    "blue": "#79c0ff",
    "magenta": "#d2a8ff",
    "cyan": "#56d4dd",
    "white": "#e6edf3",
}
"""Where a program leaves the tone to the terminal."""


@dataclass(frozen=True)
class Look:
    """How a character is drawn."""

    colour: str
    background: str
    is_bold: bool
    columns: int


def _look(cell: Char) -> Look:
    colour = _colour(cell.fg)
    background = BACKGROUND if cell.bg == "default" else _colour(cell.bg)
    if cell.reverse:
        colour, background = background, colour
    return Look(colour, background, cell.bold, get_cwidth(cell.data[0]))


def _colour(name: str) -> str:
    return PALETTE.get(name) or f"#{name}"


@dataclass(frozen=True)
class Run:
    """Characters of one look, side by side; `at` is their first column."""

    at: int
    text: str
    look: Look


def _runs(cells: Mapping[int, Char], columns: int) -> Iterator[Run]:
    shown = [(at, cells[at]) for at in range(columns) if cells[at].data]  # behind a wide character there is none
    for look, run in groupby(shown, lambda place: _look(place[1])):
        places = list(run)
        yield Run(places[0][0], "".join(cell.data for _, cell in places), look)


def drawn(screen: Screen, title: str) -> str:
    """The whole window, with its cursor."""
    width, height = screen.columns * CELL + 2 * _EDGE, _BAR + screen.lines * _LINE + _EDGE
    size = {"width": str(width), "height": str(height), "viewBox": f"0 0 {width} {height}"}
    svg = ET.Element("svg", size, xmlns="http://www.w3.org/2000/svg", role="img")
    add(svg, "title", title)
    _frame(svg, title, width, height)
    inside = add(svg, "g", transform=f"translate({_EDGE} {_BAR})", font_family=_FAMILY, font_size=_FONT)
    inside.set("fill", _FOREGROUND)
    runs = [(line, run) for line in range(screen.lines) for run in _runs(screen.buffer[line], screen.columns)]
    for line, run in runs:
        if run.look.background != BACKGROUND:
            _rectangle(inside, run.at, line, len(run.text) * run.look.columns, run.look.background)
    _rectangle(inside, screen.cursor.x, screen.cursor.y, 1, _TITLE)
    for line, run in runs:
        _words(inside, line, run)
    ET.indent(svg)
    return ET.tostring(svg, encoding="unicode") + "\n"


def add(parent: ET.Element, tag: str, text: str | None = None, **attributes: object) -> ET.Element:
    """A new element in another one; each `_` in the name of an attribute stands for a `-`."""
    named = {name.replace("_", "-"): str(value) for name, value in attributes.items()}
    element = ET.SubElement(parent, tag, named)
    element.text = text
    return element


def _frame(svg: ET.Element, title: str, width: int, height: int) -> None:
    whole = add(svg, "rect", width=width - 1, height=height - 1, rx=8, fill=BACKGROUND, stroke=_BORDER)
    whole.attrib |= {"x": "0.5", "y": "0.5"}  # or its line would be blurred over two pixels
    middle = _BAR // 2
    for at, colour in enumerate(_BUTTONS):
        add(svg, "circle", cx=20 + 20 * at, cy=middle - 1, r=6, fill=colour)
    name = add(svg, "text", title, x=width // 2, y=middle + 4, text_anchor="middle", fill=_TITLE)
    name.attrib |= {"font-family": "sans-serif", "font-size": str(_FONT - 2)}


def _rectangle(svg: ET.Element, column: int, line: int, columns: int, colour: str) -> None:
    ground = add(svg, "rect", x=column * CELL, y=line * _LINE, width=columns * CELL, height=_LINE, fill=colour)
    ground.set("shape-rendering", "crispEdges")


def _words(svg: ET.Element, line: int, run: Run) -> None:
    """Each column of a table begins where it should, whatever the font makes of spaces."""
    for match in re.finditer(r"\S+(?: \S+)*", run.text):
        at = run.at + match.start() * run.look.columns
        word = add(svg, "text", match.group(), **_places(at, run.look.columns, len(match.group())))
        word.set("y", str(line * _LINE + _FONT - 1))
        if run.look.colour != _FOREGROUND:
            word.set("fill", run.look.colour)
        if run.look.is_bold:
            word.set("font-weight", "bold")


def _places(at: int, columns: int, count: int) -> dict[str, object]:
    """Of so many characters, each of which takes so many columns."""
    if columns == 1:
        return {"x": at * CELL, "textLength": count * CELL}
    aside = (columns * CELL - _FONT) / 2  # they are as wide as high, and stand in the middle
    return {"x": " ".join(f"{(at + number * columns) * CELL + aside:g}" for number in range(count))}
