"""In words, what is under way at the prompt and what waits."""

from __future__ import annotations

from collections.abc import Sequence

from chatfile import wire
from chatfile.cli.prompt.jobs import Job
from chatfile.cli.prompt.showing import counted


def described(job: Job) -> str:
    """As the end of a question whether to stop it."""
    queue = job.queue
    if queue is None or len(queue.rows) > 1 or not queue.left:
        return f'"{wire.printable(job.line)}"?'
    return f'the download of "{wire.printable(queue.name)}"? What came is kept.'


def what_waits(waiting: Sequence[Job]) -> str | None:
    """For another connection, if anything does."""
    if not waiting:
        return None
    more = f" and {counted(len(waiting) - 1, 'line')} more wait" if len(waiting) > 1 else " waits"
    return f'"{wire.printable(waiting[0].line)}"{more} for the next connection.'


def what_is_dropped(waiting: Sequence[Job]) -> str | None:
    """By leaving, if anything is."""
    dropped = [job for job in waiting if not job.is_last]
    return f"Not carried out: {counted(len(dropped), 'line')} that waited." if dropped else None
