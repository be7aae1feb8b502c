"""The table of results as one picture: how much better or worse than the other, or than the goal, on a log scale.

Every row points in one direction: better is to the right, whether more of it is better or less. A row with a peer is
drawn as a ratio to that; one without, as a ratio to its goal.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from tests.bench.saved import SavedRow
from tests.picture.svg import add

WIDTH = 830
"""As wide as a README is shown."""
LEAST, MOST = 0.1, 100.0
"""The ends of the axis; what lies beyond is an arrow there."""
LEFT, RIGHT = 362, 676
"""Between which the axis lies."""
_LINE, _GROUP, _TOP = 19, 30, 92
_TICKS = {0.1: "1/10", 0.2: "1/5", 0.5: "1/2", 1: "1", 2: "2", 5: "5", 10: "10", 20: "20", 50: "50", 100: "100"}
_ONE = "1 is as good as the other program, or, where there is none, as the goal."
_STYLE = """
svg { --ground: #ffffff; --ink: #1f2328; --quiet: #59636e; --rule: #d8dee4; --met: #1a7f37; --missed: #8c959f;
  --goal: #bc4c00; }
@media (prefers-color-scheme: dark) {
  svg { --ground: #0d1117; --ink: #e6edf3; --quiet: #9198a1; --rule: #30363d; --met: #3fb950; --missed: #7d8590;
    --goal: #f0883e; }
}
text { font: 11px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--ink); }
.name { font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.quiet { fill: var(--quiet); }
.group { font-weight: 600; font-size: 12px; }
.title { font-weight: 600; font-size: 16px; }
.ground { fill: var(--ground); stroke: var(--rule); }
.rule { stroke: var(--rule); }
.one { stroke: var(--ink); stroke-width: 2; }
.goal { stroke: var(--goal); stroke-width: 3; }
.met { fill: var(--met); stroke: var(--met); }
.missed { fill: var(--ground); stroke: var(--missed); }
.told { fill: var(--quiet); stroke: var(--quiet); }
.range { stroke-width: 5; opacity: 0.45; fill: none; }
.dot { stroke-width: 2; }
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """What is drawn of a row: factors by which it is better than the other, or than its goal; 1 is neither."""

    median: float
    worst: float
    best: float
    goal: float | None
    is_met: bool | None
    """None where there is no goal."""


def bar(row: SavedRow) -> Bar | None:
    """None where there is nothing to be held against."""
    if row.figures is None or not (row.is_compared or row.goal):
        return None
    less_is_better = row.goal.sign == "≤" if row.goal else not row.unit.endswith("/s")
    base = 1.0 if row.is_compared or not row.goal else row.goal.limit

    def factor(value: float) -> float:
        if less_is_better:
            return base / value if value > 0 else math.inf
        return value / base

    median, *ends = map(factor, row.figures)
    goal = factor(row.goal.limit) if row.goal else None
    return Bar(median, min(ends), max(ends), goal, row.goal.is_met(row.figures[0]) if row.goal else None)


def at(factor: float) -> float:
    """Where it is on the axis."""
    place = math.log(min(max(factor, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return round(LEFT + place * (RIGHT - LEFT), 1)


def peer(row: SavedRow) -> str:
    """Against whom, or against what; empty where the title leaves that to the one before."""
    if found := re.search(r"\bagainst .+$", row.title):
        return found[0]
    if row.is_compared:
        return ""
    return f"against the goal of {row.goal.limit:,g} {row.goal.unit}" if row.goal else "told only"


def drawn(groups: Mapping[str, Sequence[SavedRow]], circumstances: str) -> str:
    """The picture, by the titles of the groups of rows."""
    groups = {title: rows for title, rows in groups.items() if rows}
    ends = _TOP + sum(_GROUP + _LINE * len(rows) for rows in groups.values())
    caption = textwrap.wrap(circumstances, 120)
    height = ends + 30 + 15 * len(caption)
    svg = ET.Element("svg", {"viewBox": f"0 0 {WIDTH} {height}"}, xmlns="http://www.w3.org/2000/svg", role="img")
    svg.attrib |= {"width": str(WIDTH), "height": str(height), "aria-labelledby": "title description"}
    add(svg, "title", "How fast chatfile is", id="title")
    add(svg, "desc", _description(groups), id="description")
    add(svg, "style", _STYLE)
    add(svg, "rect", x=0.5, y=0.5, width=WIDTH - 1, height=height - 1, rx=8).set("class", "ground")
    _head(svg)
    _axis(svg, ends)
    y = _TOP
    for title, rows in groups.items():
        y += _GROUP
        _text(svg, 16, y - 7, title, "group")
        against = ""
        for row in rows:
            y += _LINE
            against = peer(row) or against  # of the one before, where a title begins with "the same"
            _row(svg, y - 6, row, against)
    for number, line in enumerate(caption):
        _text(svg, 16, ends + 28 + 15 * number, line, "quiet")
    ET.indent(svg)
    return ET.tostring(svg, encoding="unicode") + "\n"


def _description(groups: Mapping[str, Sequence[SavedRow]]) -> str:
    bars = [each for rows in groups.values() for row in rows if (each := bar(row))]
    met, goals = sum(each.is_met is True for each in bars), sum(each.is_met is not None for each in bars)
    return (
        f"One line for each of {sum(map(len, groups.values()))} benchmarks: the median and the range of its runs on a "
        f"logarithmic axis on which better is to the right. {met} of {goals} goals are met."
    )


def _text(parent: ET.Element, x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> None:
    element = add(parent, "text", text, x=x, y=y)
    element.attrib |= {"class": kind} if kind else {}
    element.attrib |= {"text-anchor": anchor} if anchor != "start" else {}


def _line(parent: ET.Element, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
    add(parent, "line", x1=x1, y1=y1, x2=x2, y2=y2).set("class", kind)


def _head(svg: ET.Element) -> None:
    _text(svg, 16, 28, "How fast", "title")
    for x, is_met, words in ((110, True, "goal met"), (190, False, "goal missed"), (286, None, "no goal")):
        _dot(svg, x, 23, is_met)
        _text(svg, x + 9, 27, words, "quiet")
    _line(svg, 352, 16, 352, 30, "goal")
    _text(svg, 359, 27, "the goal", "quiet")
    _line(svg, 424, 23, 448, 23, "range told")
    _text(svg, 455, 27, "worst to best run", "quiet")
    _text(svg, 16, 46, _ONE, "quiet")
    _text(svg, LEFT, 62, "\N{LEFTWARDS ARROW} worse", "quiet")
    _text(svg, RIGHT, 62, "times better \N{RIGHTWARDS ARROW}", "quiet", "end")
    _text(svg, WIDTH - 16, 62, "ours / theirs", "quiet", "end")


def _axis(svg: ET.Element, ends: float) -> None:
    for factor, words in _TICKS.items():
        _text(svg, at(factor), 80, words, "quiet", "middle")
        _line(svg, at(factor), 86, at(factor), ends + 6, "one" if factor == 1 else "rule")


def _row(svg: ET.Element, y: float, row: SavedRow, against: str) -> None:
    group = add(svg, "g")
    add(group, "title", f"{row.name}: {row.title}")
    _text(group, 16, y + 4, row.name, "name")
    _text(group, 16 + 134, y + 4, textwrap.shorten(against, 37, placeholder=" \N{HORIZONTAL ELLIPSIS}"), "quiet")
    _text(group, WIDTH - 16, y + 4, _median(row), "", "end")
    if shown := bar(row):
        kind = _kind(shown.is_met)
        _line(group, at(shown.worst), y, at(shown.best), y, f"range {kind}")
        if shown.goal is not None:
            _line(group, at(shown.goal), y - 7, at(shown.goal), y + 7, "goal")
        _marker(group, shown, y)


def _median(row: SavedRow) -> str:
    """Ours, or ours and theirs."""
    if row.figures is None:
        return "not measured"
    return f"{row.ours.removesuffix(row.unit)}/ {row.theirs}" if row.is_compared else row.ours


def _kind(is_met: bool | None) -> str:
    return {True: "met", False: "missed", None: "told"}[is_met]


def _marker(group: ET.Element, shown: Bar, y: float) -> None:
    """The median; an arrow where it lies beyond the axis."""
    x = at(shown.median)
    if LEAST <= shown.median <= MOST:
        _dot(group, x, y, shown.is_met)
        return
    tip = 6 if shown.median > MOST else -6
    arrow = add(group, "polygon", points=f"{x - tip},{y - 5} {x + tip},{y} {x - tip},{y + 5}")
    arrow.set("class", f"dot {_kind(shown.is_met)}")


def _dot(parent: ET.Element, x: float, y: float, is_met: bool | None) -> None:
    """Full, empty, or a square."""
    if is_met is None:
        mark = add(parent, "rect", x=x - 4, y=y - 4, width=8, height=8)
    else:
        mark = add(parent, "circle", cx=x, cy=y, r=4)
    mark.set("class", f"dot {_kind(is_met)}")
