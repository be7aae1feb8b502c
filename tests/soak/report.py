"""The figures of a run, a column for each scene, for a terminal and for `docs/reliability.md`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.soak.asking import p99
from tests.soak.gauge import Gauge
from tests.soak.run import Run
from tests.soak.scenes import Scene

COUNTED = (
    "connections",
    "admitted",
    "refused",
    "refused ones gone in time",
    "waited in the line for a seat",
    "requests",
    "bytes",
    "digests verified",
    "downloads resumed",
    "resets survived",
    "hostile clients cut in time",
    "slow readers served to the end",
    "good visits",
    "rude visits",
    "throngs",
    "programs started",
    "prompts left well",
    "bars drawn to the end",
    "small files fetched",
    "mirrors of a changing tree",
    "files of a changing tree whole",
    "changes of the tree",
    "changes of the disk",
    "changing files whole",
    "changing files refused or found out",
    "nodes killed",
    "visits cut by a kill",
)
"""What is shown as it was counted."""
SHORT = 300.0
"""Fewer seconds have no slopes worth telling: the cache of clients who left is still filling."""


def rows(run: Run) -> list[tuple[str, ...]]:
    """What was measured, and how much of it in each scene; of nodes, in both."""
    counts = [(what, [_count(scene, what) for scene in run.scenes]) for what in COUNTED]
    return [
        ("what", *(scene.name for scene in run.scenes)),
        ("minutes", *[f"{run.seconds / 60:.1f}"] * len(run.scenes)),
        *((what, *figures) for what, figures in counts if any(figure != "-" for figure in figures)),
        ("a line answered within (ms): p99, longest", *map(_delays, run.scenes)),
        *_held(run),
        ("lines of the log", *(f"{_lines(scene):,}" for scene in run.scenes)),
        ("promises broken", *(f"{len(scene.stage.tally.wrongs)}" for scene in run.scenes)),
    ]


def _count(scene: Scene, what: str) -> str:
    return f"{scene.stage.tally[what]:,}" if scene.stage.tally[what] else "-"


def _delays(scene: Scene) -> str:
    delays = scene.stage.tally.delays
    return f"{p99(delays) * 1000:.0f}, {max(delays, default=0) * 1000:.0f}"


def _held(run: Run) -> Iterator[tuple[str, ...]]:
    figures: dict[str, Callable[[Gauge], str]] = {
        "memory at start, peak (MiB)": lambda gauge: f"{gauge.samples[0].memory:.1f}, {run.held[gauge.pid].peak:.1f}",
        "memory slope (MiB an hour)": lambda gauge: _slope(gauge, gauge.memory_slope()),
        "descriptors at start, end": lambda gauge: f"{gauge.samples[0].descriptors}, {run.held[gauge.pid].descriptors}",
        "descriptor slope (an hour)": lambda gauge: _slope(gauge, gauge.descriptor_slope()),
        "threads at start, most": lambda gauge: f"{gauge.samples[0].threads}, {gauge.most_threads}",
    }
    for what, figure in figures.items():
        yield what, *(" / ".join(map(figure, scene.gauges)) for scene in run.scenes)


def _slope(gauge: Gauge, slope: float) -> str:
    return f"{slope:+.2f}" if gauge.seconds >= SHORT else "-"


def _lines(scene: Scene) -> int:
    return sum(log.read_bytes().count(b"\n") for log in scene.logs)


def plain(run: Run) -> str:
    """Columns."""
    table = rows(run)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in table)


def markdown(run: Run) -> str:
    """A table."""
    head, *table = rows(run)
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---", *["---:"] * len(run.scenes)], *table])
