"""The execution of commands, for all three modes: the command line, piped lines, and the prompt."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from chatfile import errors, wire
from chatfile.cli.commands import (
    STDOUT,
    Command,
    GetFiles,
    HashFiles,
    LeaveServer,
    ListFiles,
    SendMessage,
    ShowServerHelp,
    ShowStatus,
    Wanted,
    split_options,
)
from chatfile.cli.config import ClientConfig
from chatfile.cli.connecting import Reconnect
from chatfile.cli.exits import ExitCode, exit_code
from chatfile.cli.get import FileQueue
from chatfile.cli.patterns import UNKNOWN, closest, needs_listing, select
from chatfile.cli.progress import Progress
from chatfile.cli.view import View
from chatfile.client import CLOSING, ChatFileClient
from chatfile.partfile import Saved

_FRESH = 5.0
"""Seconds for which a listing counts as fresh, at least."""
_SHARE = 20
"""A listing counts as fresh for so many times the time that it took: a long one is asked for less often."""


class Executor:
    """Carries out commands over a connection, which may be replaced, and shows the results."""

    def __init__(
        self,
        client: ChatFileClient,
        config: ClientConfig,
        view: View,
        progress: Progress | None = None,
        reconnect: Reconnect | None = None,
    ) -> None:
        """Use `client`, which is connected. Without `reconnect`, a broken connection is a failure like any other."""
        self.client = client
        self.config = config
        self.view = view
        self.progress = progress or Progress(client.clock)
        self.reconnect = reconnect
        self.name = ""
        """Our own name in a status, where it is not that of the connection."""
        self.local_folder = ""
        """Where paths begin that are typed at the prompt; empty where that was not changed."""
        self.is_prompt = False
        """Whether a user types the commands, and is asked before another connection is made."""
        self.replace: Callable[[], Coroutine[Deferred[Any], Any, None]] = self._replace
        """Replaces a connection that is busy with an unwanted reply. Raises a `ChatFileError`."""
        self.saved = Saved()
        self.files: Sequence[wire.FileRow] = ()
        """The latest listing."""
        self._listings = 0  # how many are under way
        self._listed: list[Callable[[], object]] = []  # to be called when a listing has come
        self._due = -math.inf  # when the latest listing is no longer fresh

    @property
    def is_connected(self) -> bool:
        """Tell whether a request can be sent now: the connection is open, and not busy with an unwanted reply."""
        return self.client.is_receiving and not self.client.is_dropping

    def is_lost(self, error: errors.ChatFileError) -> bool:
        """Tell whether this connection is of no more use after that `error`."""
        return not self.client.is_receiving or isinstance(error, CLOSING)

    async def make_ready(self) -> None:
        """Replace the connection where the rest of an unwanted reply still comes. Raises a `ChatFileError`."""
        if self.client.is_receiving and self.client.is_dropping:
            await self.replace()

    async def _replace(self) -> None:
        self.client.abort()
        if self.reconnect is not None:
            self.client = await self.reconnect()

    async def attempt(self, command: Command) -> ExitCode:
        """Carry out a command, show a failure, and return the exit code."""
        return await self.shown(self.execute(command), _name_in(command))

    async def shown(self, doing: Coroutine[Deferred[Any], Any, ExitCode | None], name: str | None = None) -> ExitCode:
        """Await `doing`, show a failure, which is about the file `name`, and return the exit code."""
        try:
            return await doing or ExitCode.DONE
        except errors.ChatFileError as error:
            self.view.error(error, name)
            await self.suggest(error, name)
            return exit_code(error)

    async def execute(self, command: Command) -> ExitCode:
        """Carry out a command and return the exit code.

        Of several files, the failure of each is shown, and the exit code is that of the first failure. Raises a
        `ChatFileError` where the command as a whole fails.
        """
        await self.make_ready()
        match command:
            case SendMessage(text, hint):
                self.view.ack(text, await self.client.send(text))
                if hint is not None:
                    self.view.note(f"Sent as a message; {hint}.")
            case ShowStatus(everyone):
                self.view.clients(await self.client.status(), me=self.name or self.client.name, everyone=everyone)
            case ListFiles(wanted, message, sort):
                await self._list(wanted, message, sort)
            case ShowServerHelp():
                self.view.help(await self.client.help())
            case HashFiles(wanted):
                return await self._hash(wanted)
            case GetFiles():
                return await (await self.queue(command)).run()
            case LeaveServer():
                await self.client.exit()
                self.view.goodbye()
        return ExitCode.DONE

    async def leave(self) -> ExitCode:
        """Say goodbye, or hang up where an unwanted reply is still coming; return the exit code."""
        if self.client.is_waiting:
            self.client.abort()
            return ExitCode.DONE
        try:
            await self.client.exit()
        except errors.ProtocolViolation as violation:  # it sent more than it had promised, maybe before `exit`
            self.view.error(violation)
            return ExitCode.BROKEN
        except errors.ChatFileError:
            self.client.abort()  # every request had been answered before
        return ExitCode.DONE

    # --- the listing ---

    async def listing(self) -> Sequence[wire.FileRow]:
        """Return the files that exist on the server now, and keep them in `files`. Raises a `ChatFileError`."""
        began = self.client.clock.seconds()
        self._listings += 1
        try:
            self.files = await self.client.listing()
        finally:
            self._listings -= 1
            listed, self._listed = self._listed, []
        for call in listed:
            call()
        now = self.client.clock.seconds()
        self._due = now + max(_FRESH, (now - began) * _SHARE)
        return self.files

    def refresh(self) -> None:
        """Ask for a new listing in the background, unless the latest one is fresh."""
        if self.client.clock.seconds() >= self._due:
            self._due = self.client.clock.seconds() + _FRESH
            listing: Deferred[Any] = Deferred.fromCoroutine(self.listing())
            listing.addErrback(lambda failure: failure.trap(errors.ChatFileError) and None)  # shown elsewhere

    def when_listed(self, call: Callable[[], object]) -> None:
        """Call `call` when the listing that is under way has come; never where none is under way, or it fails."""
        if self._listings:
            self._listed.append(call)

    async def _select(self, wanted: Wanted) -> list[wire.FileRow]:
        """Return the files that are wanted; a name that is not listed is among them, for the server to refuse."""
        if isinstance(wanted, str) and (known := [row for row in self.files if row.name == wanted]):
            return known
        return _checked(wanted, select(wanted, await self.listing() if needs_listing(wanted) else self.files))

    async def _list(self, wanted: Wanted, message: str | None, sort: str | None) -> None:
        rows = await self.listing()
        if not wanted:
            self.view.files(rows, sort=sort)
            return
        try:
            found = _checked(wanted, select(wanted, rows))
        except (errors.NoMatch, errors.UnclosedQuote):
            if message is None:
                raise
            found = []
        listed = sorted({row for row in found if row.size != UNKNOWN}, key=lambda row: row.name)  # as the server sorts
        if listed:
            self.view.files(listed, sort=sort)
        if message is None:
            for row in found:
                if row.size == UNKNOWN:
                    raise errors.NoSuchFile(name=row.name)
        elif not listed:
            self.view.ack(message, await self.client.send(message))
            self.view.note("Sent as a message: no file of that name.")

    async def suggest(self, error: errors.ChatFileError, name: str | None) -> None:
        """Note which file may have been meant by `name`, where `error` is that there is no such file.

        A listing is asked for only where a user reads the notes.
        """
        if not isinstance(error, errors.NoSuchFile) or name is None or not self.is_connected:
            return
        if not self.files and sys.stderr is not None and sys.stderr.isatty():
            try:
                await self.listing()
            except errors.ChatFileError:
                return  # the listing was only for the hint
        if meant := closest(name, self.files):
            self.view.note(f'Did you mean "{meant}"?')

    # --- hash, get ---

    async def _hash(self, wanted: Wanted) -> ExitCode:
        code = ExitCode.DONE
        for row in await self._sized(wanted):
            try:
                self.view.digest(await self.client.hash(row.name, size=max(row.size, 0)))
            except errors.ChatFileError as error:
                if self.is_lost(error):
                    raise
                self.view.error(error, row.name)
                await self.suggest(error, row.name)
                code = code or exit_code(error)
        return code

    async def _sized(self, wanted: Wanted) -> list[wire.FileRow]:
        """Return the files that are wanted, with their sizes: the time to wait for a digest depends on the size."""
        try:
            return _checked(wanted, select(wanted, await self.listing()))
        except errors.Unavailable:
            return select(wanted, ())

    async def queue(self, command: GetFiles) -> FileQueue:
        """Return the queue of the files that the command asks for. Raises a `ChatFileError`."""
        await self.make_ready()
        wanted, output, force = command.wanted, command.output, command.force
        if isinstance(wanted, str) and not any(row.name == wanted for row in self.files):
            left, typed_output, typed_force = split_options(wanted)
            if left != wanted and not any(row.name == wanted for row in await self.listing()):
                wanted, output, force = left, typed_output or output, typed_force or force
        rows, violation = await self._rows(wanted)
        if output is not None and len(rows) > 1:
            raise errors.OutputForSeveral(count=f"{len(rows)} files")
        if output == STDOUT and self.is_prompt:
            raise errors.OutputAtPrompt(name=wire.printable(rows[0].name))
        if output is not None and output != STDOUT and isinstance(command.wanted, str):
            output = os.path.join(self.local_folder, os.path.expanduser(output))
        return FileQueue(self, rows, output=output, force=force, violation=violation)

    async def _rows(self, wanted: Wanted) -> tuple[list[wire.FileRow], errors.ProtocolViolation | None]:
        """Return the files that are wanted, and the violation of the protocol in the listing, if there was one.

        Where the listing fails, the names of a command line are returned without sizes: they can be asked for anyway.
        """
        if isinstance(wanted, str):
            return await self._select(wanted), None
        try:
            return await self._select(wanted), None
        except errors.ProtocolViolation as violation:
            return select(wanted, ()), violation
        except errors.ChatFileError:
            return select(wanted, ()), None  # what is wrong shows with the first file as well


def _checked(wanted: Wanted, rows: list[wire.FileRow]) -> list[wire.FileRow]:
    """Return `rows`. Raises `UnknownOption` for what was typed like an option, and is no file's name."""
    for row in rows:
        if (
            isinstance(wanted, str)
            and row.size == UNKNOWN
            and row.name.startswith("-")
            and not wanted.startswith("-- ")
        ):
            raise errors.UnknownOption(option=wire.printable(row.name.split()[0]))
    return rows


def _name_in(command: Command) -> str | None:
    """Return the name of the file that a command is about; None where it is about none, or about several."""
    wanted = command.wanted if isinstance(command, GetFiles | HashFiles | ListFiles) else ()
    if isinstance(wanted, tuple):
        return wanted[0] if len(wanted) == 1 else None
    return wanted
