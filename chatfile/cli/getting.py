"""`get`: one file or several, over as many connections as that takes."""

from __future__ import annotations

import argparse
from collections.abc import Coroutine, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from chatfile import errors
from chatfile.cli.arguments import STDOUT
from chatfile.cli.exits import ExitCode, exit_code
from chatfile.cli.session import BREAKS, Reconnect, Session
from chatfile.cli.view import KEPT
from chatfile.cli.wanted import is_pattern, matching


class Getting:
    """The files of one command."""

    def __init__(self, session: Session, arguments: argparse.Namespace, reconnect: Reconnect) -> None:
        """Of several files, one whose connection breaks is resumed over the next one, which `reconnect` makes."""
        self._session = session
        self._arguments = arguments
        self._names: Sequence[str] = arguments.names
        self._reconnect = reconnect
        self._sizes: dict[str, int] = {}
        self._begun: set[int] = set()  # of which something is here
        self._code = ExitCode.DONE
        self._is_over = False

    async def run(self) -> ExitCode:
        """Each name is tried, as long as there is a connection to be had; the code is that of the first failure."""
        if self._arguments.output is None and any(map(is_pattern, self._names)):
            await self._ask_ahead(self._expand())
        if self._is_over:
            self._give_up(0)
        elif len(self._names) > 1:
            await self._get_several()
        elif self._arguments.output == STDOUT:
            await self._get_once(0)  # what has gone out can't be called back, nor gone on with
        else:
            await self._get(0)
        return self._code

    async def _ask_ahead(self, asking: Coroutine[Deferred[Any], Any, None]) -> None:
        """Ask for what is not needed, but good to know. A server that lies even there is not asked for files."""
        try:
            await asking
        except errors.ProtocolViolation as violation:
            self._is_over = True
            self._code = exit_code(violation)
            self._session.view.error(violation)
        except errors.ChatFileError:
            pass  # whatever it was, it meets the first file as well

    async def _expand(self) -> None:
        """What the shell left as a pattern may be one of the names on the server."""
        self._names = matching(self._names, await self._session.client.listing())

    async def _look_up_sizes(self) -> None:
        self._sizes = await self._session.sizes(self._names)

    async def _get_several(self) -> None:
        await self._ask_ahead(self._look_up_sizes())
        with self._session.progress.several([self._sizes.get(name, 0) for name in self._names]):
            for number in range(len(self._names)):
                if not self._is_connected and not await self._connect_again():
                    self._give_up(number)
                    break
                await self._get(number)

    async def _get_once(self, number: int) -> None:
        error = await self._attempt(number)
        if error is not None:
            self._fail(error, number)

    async def _get(self, number: int) -> None:
        error = await self._attempt(number)
        if isinstance(error, BREAKS):
            self._session.view.note(f"{self._names[number]}: interrupted, connecting again.")
            if await self._connect_again():
                error = await self._attempt(number)
        if error is not None:
            self._fail(error, number)

    async def _attempt(self, number: int) -> errors.ChatFileError | None:
        """Download it; the result is why that failed, if it did."""
        try:
            await self._download(self._names[number], number)
        except errors.ChatFileError as error:
            meter = self._session.progress.unfinished
            if meter is not None and meter.at:
                self._begun.add(number)
            return error
        return None

    @property
    def _is_connected(self) -> bool:
        """Not over a connection that is busy with the rest of a file that could not be written."""
        client = self._session.client
        return client.is_receiving and not client.is_dropping and not self._is_over

    async def _connect_again(self) -> bool:
        """Once for each break: where that fails, it is over."""
        self._session.client.abort()
        if not self._is_over:
            try:
                self._session.client = await self._reconnect()
            except errors.ChatFileError as error:
                self._is_over = True
                self._session.view.error(error)
        return not self._is_over

    def _fail(self, error: errors.ChatFileError, number: int) -> None:
        self._code = self._code or exit_code(error)
        self._is_over = self._is_over or isinstance(error, errors.ProtocolViolation)
        self._session.view.error(error, self._names[number])
        if isinstance(error, BREAKS) and number in self._begun and self._arguments.output != STDOUT:
            self._session.view.note(KEPT)

    def _give_up(self, first: int) -> None:
        for number in range(first, len(self._names)):
            self._fail(errors.ServerClosed(f'"{self._names[number]}" was not asked for.'), number)

    async def _download(self, name: str, number: int) -> None:
        if self._arguments.output == STDOUT:
            await self._session.copy_to_stdout(name)
        else:
            await self._session.download(
                name,
                output=self._arguments.output,
                force=self._arguments.force,
                listed_size=self._sizes.get(name),
                number=number,
            )
