"""The figures of a run, for a terminal and for the README."""

from __future__ import annotations

from tests.soak.run import Run

COUNTED = (
    "connections", "admitted", "refused", "refused and gone in time", "requests", "bytes", "digests verified",
    "downloads resumed", "resets survived", "cut in time", "slow readers", "good visits", "rude visits", "throngs",
    "changes of the disk", "changed and whole", "changed and found out",
)  # fmt: skip
"""What is shown as it was counted."""


def rows(run: Run) -> list[tuple[str, str]]:
    """What was measured, and how much of it."""
    return [
        ("minutes", f"{run.seconds / 60:.1f}"),
        *((what, f"{run.stage.tally[what]:,}") for what in COUNTED),
        ("memory at start, peak (MiB)", f"{run.gauge.samples[0].memory:.1f}, {run.peak:.1f}"),
        ("memory slope (MiB an hour)", f"{run.gauge.memory_slope():+.2f}"),
        ("descriptors at start, end", f"{run.gauge.samples[0].descriptors}, {run.descriptors}"),
        ("descriptor slope (an hour)", f"{run.gauge.descriptor_slope():+.2f}"),
        ("promises broken", f"{len(run.stage.tally.wrongs)}"),
    ]


def plain(run: Run) -> str:
    """Two columns."""
    width = max(len(what) for what, _ in rows(run))
    return "\n".join(f"{what:{width}}  {figure:>16}" for what, figure in rows(run))


def markdown(run: Run) -> str:
    """A table."""
    return "\n".join(
        ["| what | how much |", "| --- | ---: |", *(f"| {what} | {figure} |" for what, figure in rows(run))]
    )
