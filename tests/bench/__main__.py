"""`python -m tests.bench`: run the benchmarks and print one table."""

from __future__ import annotations

import argparse
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench import latency, lines, many, nodes, plot, saved, seats, startup, transfers
from tests.bench.peers import Absent
from tests.bench.registry import BENCHMARKS, Benchmark
from tests.bench.session import Session, session
from tests.bench.table import Result, circumstances, markdown, plain

SUBJECTS = {
    transfers: "Large files",
    many: "Many small files",
    lines: "Messages",
    seats: "Many clients, and slow ones",
    latency: "How long another client waits, 99 of 100 times",
    startup: "The start",
    nodes: "Several nodes",
}
"""Whose benchmarks there are, in the order of the table, and their titles in the picture."""
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
LEAST_RUNS = 5
LEAST_SIZE = 1 << 20


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+)([KMG]?)", text)
    if match is None or int(match[1]) * UNITS[match[2]] < LEAST_SIZE:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size from 1M on, such as 256M or 1G")
    return int(match[1]) * UNITS[match[2]]


def _runs(text: str) -> int:
    if not text.isdigit() or int(text) < LEAST_RUNS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {LEAST_RUNS} on")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run; all if there is none")
    parser.add_argument("--list", action="store_true", help="show the benchmarks and their goals")
    parser.add_argument("--size", type=_size, default="256M", help="of the large file (default: %(default)s)")
    parser.add_argument("--runs", type=_runs, default="5", help="of each side, 5 or more (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="of each run that has no natural end (default: %(default)s)"
    )
    parser.add_argument("--folder", type=Path, help="where files are made, on an ordinary disk (default: as tempfile)")
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    parser.add_argument("--plot", type=Path, metavar="SVG", help="draw the table into this file")
    parser.add_argument(
        "--from", type=Path, dest="saved", metavar="FILE", help="with --plot: run nothing, and draw the tables of FILE"
    )
    return parser


def _chosen(parser: argparse.ArgumentParser, names: Sequence[str]) -> list[Benchmark]:
    for name in names:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark {name!r}; --list shows what there is")
    ordered = [entry for subject in SUBJECTS for entry in BENCHMARKS.values() if _subject(entry) == subject.__name__]
    return [entry for entry in ordered if not names or entry.name in names]


def _subject(entry: Benchmark) -> str:
    """The name of its module."""
    return entry.measure.__module__


def picture(table: str) -> str:
    """Of what a text in Markdown tells of benchmarks: the table of a run, or `docs/benchmarks.md`."""
    rows = saved.rows(table)
    groups = {
        title: [row for row in rows if row.name in BENCHMARKS and _subject(BENCHMARKS[row.name]) == subject.__name__]
        for subject, title in SUBJECTS.items()
    }
    return plot.drawn(groups, saved.circumstances(table))


def _result(entry: Benchmark, present: Session) -> Result:
    try:
        return Result(entry, figures=entry.measure(present))
    except Absent as absent:
        return Result(entry, why=f"absent: {absent}")
    except Exception as error:  # whatever one of them meets, the others have their turn
        return Result(entry, failed=True, why=f"failed: {error or type(error).__name__}")


def _run(entries: Sequence[Benchmark], present: Session) -> list[Result]:
    results = []
    for entry in entries:
        began = time.monotonic()
        results.append(_result(entry, present))
        cells = "  ".join(results[-1].cells())
        sys.stderr.write(f"{cells}  [{time.monotonic() - began:.0f} s] {results[-1].why}\n")
    return results


def _end(_signal: int, _frame: object) -> None:
    sys.exit(128 + _signal)


def main() -> int:
    """0, whether or not goals are met; 1 where a benchmark failed."""
    parser = _parser()
    arguments = parser.parse_args()
    entries = _chosen(parser, arguments.names)
    if arguments.list:
        sys.stdout.writelines(f"{entry.name:19} {entry.goal or '-'!s:10} {entry.title}\n" for entry in entries)
        return 0
    if arguments.saved:
        if not arguments.plot:
            parser.error("--from is for --plot")
        arguments.plot.write_text(picture(arguments.saved.read_text(encoding="utf-8")), encoding="utf-8")
        return 0
    signal.signal(signal.SIGTERM, _end)  # an exit ends what was started, where the signal alone would not
    with session(arguments.size, arguments.runs, arguments.seconds, arguments.folder) as present:
        results = _run(entries, present)
        native = present.programs.are_native
    told = circumstances(" ".join(["python -m tests.bench", *sys.argv[1:]]))
    sys.stdout.write(f"{told}\n")
    if not native:
        sys.stdout.write("No C compiler: sinks and load generators are in Python, and may be the bottleneck.\n")
    sys.stdout.write(f"\n{(markdown if arguments.markdown else plain)(results)}\n")
    if arguments.plot:
        arguments.plot.write_text(picture(f"{told}\n\n{markdown(results)}"), encoding="utf-8")
    return 1 if any(result.failed for result in results) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
