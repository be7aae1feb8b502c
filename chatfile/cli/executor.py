"""The execution of commands, for all three modes: the command line, piped lines, and the prompt."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from chatfile import errors, wire
from chatfile.cli.commands import (
    Command,
    GetFiles,
    HashFiles,
    LeaveServer,
    ListFiles,
    MirrorFolder,
    SendMessage,
    ShowServerHelp,
    ShowStatus,
    ShowTree,
    Wanted,
    WriteSums,
)
from chatfile.cli.exits import ExitCode, exit_code
from chatfile.cli.get import queue_of
from chatfile.cli.mirror import mirror_folder
from chatfile.cli.patterns import UNKNOWN, select
from chatfile.cli.session import Session


async def attempt(session: Session, command: Command) -> ExitCode:
    """Carry out a command, show a failure, and return the exit code."""
    try:
        return await execute(session, command)
    except errors.ChatFileError as error:
        name = _name_in(command)
        session.view.error(error, name)
        await session.suggest(error, name)
        return exit_code(error)


async def execute(session: Session, command: Command) -> ExitCode:
    """Carry out a command and return the exit code.

    Of several files, the failure of each is shown, and the exit code is that of the first failure. Raises a
    `ChatFileError` where the command as a whole fails.
    """
    await session.make_ready()
    return await _EXECUTE[type(command)](session, command)


async def _send(session: Session, command: SendMessage) -> ExitCode:
    session.view.ack(command.text, await session.client.send(command.text))
    if command.hint is not None:
        session.view.note(f"Sent as a message; {command.hint}.")
    return ExitCode.DONE


async def _show_status(session: Session, command: ShowStatus) -> ExitCode:
    me = session.name or session.client.name
    session.view.clients(await session.client.status(), me=me, everyone=command.everyone)
    return ExitCode.DONE


async def _show_help(session: Session, _: ShowServerHelp) -> ExitCode:
    session.view.help(await session.client.help())
    return ExitCode.DONE


async def _leave(session: Session, _: LeaveServer) -> ExitCode:
    await session.client.exit()
    session.view.note("Bye.")
    return ExitCode.DONE


async def _get(session: Session, command: GetFiles) -> ExitCode:
    return await (await queue_of(session, command)).run()


async def _list(session: Session, command: ListFiles) -> ExitCode:
    rows, message = await session.listing(), command.message
    if not command.wanted:
        session.view.files(rows, sort=command.sort)
        return ExitCode.DONE
    try:
        found = select(command.wanted, rows)
    except (errors.NoMatch, errors.UnclosedQuote):
        if message is None:
            raise
        found = []
    listed = sorted({row for row in found if row.size != UNKNOWN}, key=lambda row: row.name)  # as the server sorts
    if listed:
        session.view.files(listed, sort=command.sort)
    if message is not None and not listed:
        session.view.ack(message, await session.client.send(message))
        session.view.note("Sent as a message: no file of that name.")
    for row in found:
        if row.size == UNKNOWN and message is None:
            raise errors.NoSuchFile(name=row.name)
    return ExitCode.DONE


async def _tree(session: Session, command: ShowTree) -> ExitCode:
    try:
        session.view.files(await session.client.tree(command.folder))
    except (errors.NoSuchFile, errors.NoSubfolders):
        if command.message is None:
            raise
        session.view.ack(command.message, await session.client.send(command.message))
        session.view.note("Sent as a message: no folder of that name.")
    return ExitCode.DONE


async def _hash(session: Session, command: HashFiles) -> ExitCode:
    return await _show_digests(session, await _sized(session, command.wanted))


async def _write_sums(session: Session, command: WriteSums) -> ExitCode:
    wanted = command.wanted
    return await _show_digests(session, await _sized(session, wanted) if wanted else await session.everything())


async def _show_digests(session: Session, rows: Sequence[wire.FileRow]) -> ExitCode:
    code = ExitCode.DONE
    for row in rows:
        try:
            session.view.digest(await session.client.hash(row.name, size=max(row.size, 0)))
        except errors.ChatFileError as failure:
            error = await session.explained(failure, row.name)
            if session.is_lost(error):
                raise
            session.view.error(error, row.name)
            await session.suggest(error, row.name)
            code = code or exit_code(error)
    return code


async def _sized(session: Session, wanted: Wanted) -> Sequence[wire.FileRow]:
    """Return the files that are wanted, with their sizes: the time to wait for a digest depends on the size."""
    try:
        await session.listing()
    except errors.Unavailable:
        return select(wanted, ())
    return await session.matching(wanted)


def _name_in(command: Command) -> str | None:
    """Return the name of the file that a command is about; None where it is about none, or about several."""
    wanted = command.wanted if isinstance(command, GetFiles | HashFiles | ListFiles) else ()
    if isinstance(wanted, tuple):
        return wanted[0] if len(wanted) == 1 else None
    return wanted


_EXECUTE: dict[type, Callable[[Session, Any], Coroutine[Deferred[Any], Any, ExitCode]]] = {
    SendMessage: _send,
    ShowStatus: _show_status,
    ListFiles: _list,
    ShowTree: _tree,
    GetFiles: _get,
    MirrorFolder: mirror_folder,
    HashFiles: _hash,
    WriteSums: _write_sums,
    ShowServerHelp: _show_help,
    LeaveServer: _leave,
}
