"""In words, what is under way at the prompt and what waits."""

from __future__ import annotations

from collections.abc import Sequence

from chatfile import wire
from chatfile.cli.format import pluralize
from chatfile.cli.prompt.jobs import Job


def described(job: Job) -> str:
    """As the end of a question whether to stop it."""
    transfer = job.transfer
    if transfer is None or transfer.count > 1 or not transfer.left:
        return f'"{wire.printable(job.line)}"?'
    return f'the download of "{wire.printable(transfer.name)}"? What came is kept.'


def what_waits(waiting: Sequence[Job]) -> str | None:
    """For another connection, if anything does."""
    if not waiting:
        return None
    more = f" and {pluralize(len(waiting) - 1, 'line')} more wait" if len(waiting) > 1 else " waits"
    return f'"{waiting[0].line}"{more} for the next connection.'


def what_is_dropped(waiting: Sequence[Job]) -> str | None:
    """By leaving, if anything is."""
    dropped = [job for job in waiting if not job.is_last]
    return f"Not carried out: {pluralize(len(dropped), 'line')} that waited." if dropped else None
