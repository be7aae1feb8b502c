"""The table of results, read back from its Markdown: what was printed, or stands in `docs/benchmarks.md`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.registry import Goal

_ROW = re.compile(r"\| `(?P<name>[\w-]+)` (?P<title>[^|]+) \|(?P<cells>( [^|]+ \|){5})")
_FIGURES = re.compile(r"(?P<median>\S+) \((?P<least>\S+) - (?P<most>\S+)\)")
_GOAL = re.compile(r"(?P<sign>[≥≤]) (?P<limit>\S+) ?(?P<unit>.*)")


@dataclass(frozen=True, slots=True)
class SavedRow:
    """A row of the table."""

    name: str
    title: str
    ours: str
    """As it is printed, with its unit."""
    theirs: str
    """Likewise; `-` where there is no peer."""
    goal: Goal | None
    figures: tuple[float, float, float] | None
    """The median, the least and the most; None where the benchmark was absent, or has failed."""

    @property
    def is_compared(self) -> bool:
        """Whether the figures are ratios, ours to theirs; otherwise they are our own, in `unit`."""
        return self.theirs != "-"

    @property
    def unit(self) -> str:
        """What `ours` is counted in."""
        return self.ours.partition(" ")[2]


def rows(markdown: str) -> list[SavedRow]:
    """All rows of all tables, in their order."""
    return [_row(match) for match in _ROW.finditer(markdown)]


def _row(match: re.Match[str]) -> SavedRow:
    ours, theirs, spread, goal, _met = (cell.strip() for cell in match["cells"].removesuffix("|").split("|"))
    found = _FIGURES.fullmatch(spread)
    figures = (_number(found["median"]), _number(found["least"]), _number(found["most"])) if found else None
    return SavedRow(match["name"], match["title"], ours, theirs, _goal(goal), figures)


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def _goal(text: str) -> Goal | None:
    match = _GOAL.fullmatch(text)
    return Goal(match["sign"], _number(match["limit"]), match["unit"]) if match else None


def circumstances(markdown: str) -> str:
    """The first sentence of the paragraph above the first table, without its marks."""
    paragraphs: Iterator[str] = iter(markdown.partition("\n| benchmark |")[0].rstrip().split("\n\n"))
    *_, last = paragraphs
    return " ".join(last.split()).partition(". ")[0].rstrip(":.").replace("`", "")
