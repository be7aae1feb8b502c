"""The table of results, for a terminal and in Markdown."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import twisted
from tests.bench.measure import Figures
from tests.bench.registry import Benchmark

HEAD = ("benchmark", "ours", "theirs", "ratio, or ours: median (min - max)", "goal", "met")


@dataclass(frozen=True, slots=True)
class Result:
    """How a benchmark ended: with `figures`, or `why` there are none."""

    benchmark: Benchmark
    figures: Figures | None = None
    failed: bool = False
    why: str = ""

    def cells(self) -> tuple[str, ...]:
        """The row of the table, as `HEAD` has it."""
        name, goal, figures = self.benchmark.name, self.benchmark.goal, self.figures
        if figures is None:
            return name, "-", "-", "failed" if self.failed else "absent", str(goal or "-"), "-"
        theirs = _quantity(median(figures.theirs), figures.unit) if figures.theirs else "-"
        met = "-" if goal is None else "yes" if goal.is_met(figures.median()) else "NO"
        return name, _quantity(median(figures.ours), figures.unit), theirs, _spread(figures), str(goal or "-"), met

    def remark(self) -> str:
        """What else there is to say of the row."""
        return self.why or (self.figures.note if self.figures else "")


def _digits(value: float) -> str:
    """Three significant ones, and never an exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"


def _quantity(value: float, unit: str) -> str:
    return f"{_digits(value)} {unit}"


def _spread(figures: Figures) -> str:
    values = figures.compared()
    return f"{_digits(median(values))} ({_digits(min(values))} - {_digits(max(values))})"


def plain(results: Sequence[Result]) -> str:
    """Columns for a terminal, then the notes."""
    rows = [HEAD, *(result.cells() for result in results)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    notes = [_explained(result) for result in results]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:], "", *notes])


def _explained(result: Result) -> str:
    remark = f" ({result.remark()})" if result.remark() else ""
    return f"{result.benchmark.name}: {result.benchmark.title}{remark}"


def markdown(results: Sequence[Result]) -> str:
    """A table with the titles in place of the names, then what is to be said of single rows."""
    rows = [[f"`{result.benchmark.name}` {result.benchmark.title}", *result.cells()[1:]] for result in results]
    notes = [f"- `{result.benchmark.name}`: {result.remark()}" for result in results if result.remark()]
    table = "\n".join(map(_markdown_row, [HEAD, ["---"] * len(HEAD), *rows]))
    return "\n".join([table, "", *notes]) if notes else table


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def circumstances(command: str) -> str:
    """One line: on what machine, when, and how this was measured."""
    return (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"{platform.python_implementation()} {platform.python_version()}, Twisted {twisted.__version__}, "
        f"{time.strftime('%Y-%m-%d')}: `{command}`"
    )


def _processor() -> str:
    try:
        rows = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((row.split(": ", 1)[1] for row in rows if row.startswith("model name")), platform.machine())
