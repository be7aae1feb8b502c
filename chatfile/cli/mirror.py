"""`mirror`: the folder of downloads becomes what a folder of the server is."""

from __future__ import annotations

from chatfile.cli.commands import GetFiles, MirrorFolder
from chatfile.cli.exits import ExitCode
from chatfile.cli.format import format_size, pluralize
from chatfile.cli.get import FileQueue
from chatfile.cli.session import Session
from chatfile.downloads import Mirror, MirrorFilter, Removal


async def mirror_folder(session: Session, command: MirrorFolder) -> ExitCode:
    """Carry out the command, and return the exit code of the first failure. Raises a `ChatFileError`."""
    mirror = Mirror(
        await session.everything(command.folder),
        command.folder,
        session.config.downloads,
        takes=MirrorFilter(command.include, command.exclude),
        force=command.force,
        by_digest=command.by_digest,
        saved=session.saved,
    )
    same = await mirror.begin(read_only=command.is_dry_run)
    try:
        if command.is_dry_run:
            _show_plan(session, mirror, same, delete=command.delete)
            return ExitCode.DONE
        return await _carry_out(session, mirror, same, delete=command.delete)
    finally:
        await mirror.finish()


def _show_plan(session: Session, mirror: Mirror, same: int, *, delete: bool) -> None:
    gone = mirror.gone() if delete else []
    for path in gone:
        session.view.would_remove(path)
    for row in mirror.rows:
        session.view.would_fetch(row)
    size = format_size(sum(row.size for row in mirror.rows))
    removed = f", {len(gone)} to be removed" if gone else ""
    session.view.note(f"{pluralize(len(mirror.rows), 'file')} to be fetched, {size}; {same} the same{removed}.")


async def _carry_out(session: Session, mirror: Mirror, same: int, *, delete: bool) -> ExitCode:
    removals: list[Removal] = []

    def removed(path: str, removal: Removal) -> None:
        removals.append(removal)
        session.view.removed(path, removal)

    if delete:
        await mirror.remove_gone(removed)
    queue = FileQueue(session, mirror.rows, GetFiles(), ahead=mirror)
    code = await queue.run()
    counts = {
        "fetched": len(mirror.rows) - queue.failed,
        "same": same,
        "removed": removals.count(Removal.REMOVED),
        "kept": removals.count(Removal.CHANGED),
        "failed": queue.failed,
    }
    session.view.mirrored(counts)
    return code
