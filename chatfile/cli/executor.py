"""The execution of commands, for all three modes: the command line, piped lines, and the prompt."""

from __future__ import annotations

from collections.abc import Sequence

from chatfile import errors, wire
from chatfile.cli.commands import (
    Command,
    GetFiles,
    HashFiles,
    LeaveServer,
    ListFiles,
    SendMessage,
    ShowServerHelp,
    ShowStatus,
    Wanted,
)
from chatfile.cli.exits import ExitCode, exit_code
from chatfile.cli.get import queue_of
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
    client, view = session.client, session.view
    match command:
        case SendMessage(text, hint):
            view.ack(text, await client.send(text))
            if hint is not None:
                view.note(f"Sent as a message; {hint}.")
        case ShowStatus(everyone):
            view.clients(await client.status(), me=session.name or client.name, everyone=everyone)
        case ListFiles():
            await _list(session, command)
        case ShowServerHelp():
            view.help(await client.help())
        case HashFiles(wanted):
            return await _hash(session, wanted)
        case GetFiles():
            return await (await queue_of(session, command)).run()
        case LeaveServer():
            await client.exit()
            view.note("Bye.")
    return ExitCode.DONE


async def _list(session: Session, command: ListFiles) -> None:
    rows, message = await session.listing(), command.message
    if not command.wanted:
        session.view.files(rows, sort=command.sort)
        return
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


async def _hash(session: Session, wanted: Wanted) -> ExitCode:
    code = ExitCode.DONE
    for row in await _sized(session, wanted):
        try:
            session.view.digest(await session.client.hash(row.name, size=max(row.size, 0)))
        except errors.ChatFileError as error:
            if session.is_lost(error):
                raise
            session.view.error(error, row.name)
            await session.suggest(error, row.name)
            code = code or exit_code(error)
    return code


async def _sized(session: Session, wanted: Wanted) -> Sequence[wire.FileRow]:
    """Return the files that are wanted, with their sizes: the time to wait for a digest depends on the size."""
    try:
        return select(wanted, await session.listing())
    except errors.Unavailable:
        return select(wanted, ())


def _name_in(command: Command) -> str | None:
    """Return the name of the file that a command is about; None where it is about none, or about several."""
    wanted = command.wanted if isinstance(command, GetFiles | HashFiles | ListFiles) else ()
    if isinstance(wanted, tuple):
        return wanted[0] if len(wanted) == 1 else None
    return wanted
