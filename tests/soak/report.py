"""The figures of a run, for a terminal and for `docs/threats.md`."""

from __future__ import annotations

from tests.soak.run import Run

COUNTED = (
    "connections",
    "admitted",
    "refused",
    "refused ones gone in time",
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
    "changes of the disk",
    "changing files whole",
    "changing files refused or found out",
)
"""What is shown as it was counted."""
SHORT = 300.0
"""A run of fewer seconds has no slopes worth telling: the cache of clients who left is still filling."""


def rows(run: Run) -> list[tuple[str, str]]:
    """What was measured, and how much of it."""
    return [
        ("minutes", f"{run.seconds / 60:.1f}"),
        *((what, f"{run.stage.tally[what]:,}") for what in COUNTED),
        ("memory at start, peak (MiB)", f"{run.gauge.samples[0].memory:.1f}, {run.peak:.1f}"),
        ("memory slope (MiB an hour)", _slope(run, run.gauge.memory_slope())),
        ("descriptors at start, end", f"{run.gauge.samples[0].descriptors}, {run.descriptors}"),
        ("descriptor slope (an hour)", _slope(run, run.gauge.descriptor_slope())),
        ("promises broken", f"{len(run.stage.tally.wrongs)}"),
    ]


def _slope(run: Run, slope: float) -> str:
    return f"{slope:+.2f}" if run.seconds >= SHORT else "-"


def plain(run: Run) -> str:
    """Two columns."""
    width = max(len(what) for what, _ in rows(run))
    return "\n".join(f"{what:{width}}  {figure:>16}" for what, figure in rows(run))


def markdown(run: Run) -> str:
    """A table."""
    return "\n".join(
        ["| what | how much |", "| --- | ---: |", *(f"| {what} | {figure} |" for what, figure in rows(run))]
    )
