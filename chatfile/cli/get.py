"""`get`: downloads of one file or several, for all three modes, over as many connections as it takes."""

from __future__ import annotations

import errno
import os
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed

from chatfile import errors, wire
from chatfile.cli.commands import STDOUT
from chatfile.cli.config import ClientConfig
from chatfile.cli.connecting import BREAKS, Reconnect
from chatfile.cli.exits import ExitCode, exit_code
from chatfile.cli.format import elapsed, format_rate, format_size, percentage
from chatfile.cli.meter import TransferMeter
from chatfile.cli.progress import Progress
from chatfile.cli.view import KEPT, View
from chatfile.client import ChatFileClient
from chatfile.downloads import Download, DownloadAhead, Stage, Step, download
from chatfile.partfile import Saved

_MOST_SHOWN = 20
"""Files of one `get` up to which the prompt shows a line for each."""
_MOST_REPEATED = 3
"""How many times the same advice is given for one `get`."""


class Downloader(Protocol):
    """Holds the connection over which files are fetched, and what else a `FileQueue` needs."""

    client: ChatFileClient
    config: ClientConfig
    view: View
    progress: Progress
    reconnect: Reconnect | None
    replace: Callable[[], Coroutine[Deferred[Any], Any, None]]
    saved: Saved
    is_prompt: bool

    @property
    def is_connected(self) -> bool:
        """Tell whether a request can be sent now."""

    def is_lost(self, error: errors.ChatFileError) -> bool:
        """Tell whether the connection is of no more use after that `error`."""

    async def suggest(self, error: errors.ChatFileError, name: str | None) -> None:
        """Note which file may have been meant by `name`, where `error` is that there is no such file."""


class FileQueue:
    """The files of one `get`: fetches one after the other, and counts how many came."""

    def __init__(
        self,
        downloader: Downloader,
        rows: Sequence[wire.FileRow],
        *,
        output: str | None,
        force: bool,
        violation: errors.ProtocolViolation | None = None,
    ) -> None:
        """Prepare to fetch `rows`, where a size below 0 is unknown; none is fetched where there is a `violation`."""
        self.left = deque(rows)
        self.rows = rows
        self.received = 0
        """Bytes that were received of the files that were saved."""
        self.failed = 0
        self._downloader = downloader
        self._output = output
        self._force = force
        self._ahead = (
            DownloadAhead(rows, downloader.config.downloads, force=lambda _: force, saved=downloader.saved)
            if len(rows) > 1 and output is None
            else None
        )
        self._code = ExitCode.DONE
        self._seconds = 0.0
        self._differ = 0  # files that were not saved as another one exists
        self._is_over = violation is not None  # there is no connection, or none to be trusted
        if violation is not None:
            self._code = exit_code(violation)
            downloader.view.error(violation)

    @property
    def name(self) -> str:
        """Return the name of the file that is under way, or else comes next; empty where none is left."""
        return self.left[0].name if self.left else ""

    @property
    def _number(self) -> int:
        return len(self.rows) - len(self.left)

    async def run(self) -> ExitCode:
        """Fetch all files that are left, show each failure, and return the exit code of the first.

        Raises a `ChatFileError` where the connection is lost and the downloader has no `reconnect`; call `run` again
        when there is another connection, and it goes on.
        """
        clock = self._downloader.client.clock
        began = clock.seconds()
        try:
            if len(self.rows) == 1:
                await self._next()
            else:
                with self._downloader.progress.several([row.size for row in self.rows]):
                    while self.left:
                        await self._next()
        finally:
            self._seconds += clock.seconds() - began
        self._sum_up()
        return self._code

    async def _next(self) -> None:
        row = self.left[0]
        if not await self._has_connection():
            await self._fail(row, errors.ServerClosed(f'"{row.name}" was not asked for.'))
            return
        try:
            await self._fetch(row)
        except errors.ChatFileError as error:
            await self._after(row, error)
        else:
            self.left.popleft()

    async def _after(self, row: wire.FileRow, error: errors.ChatFileError) -> None:
        """Deal with a failure: where the connection broke, resume the file over another one, once."""
        has_begun = self._has_begun
        if self._downloader.reconnect is None and self._downloader.is_lost(error):
            raise error
        if isinstance(error, BREAKS) and self._output != STDOUT:
            self._downloader.view.note(f"{row.name}: interrupted, connecting again.")
            if await self._connect_again():
                try:
                    await self._fetch(row)
                except errors.ChatFileError as another:
                    error, has_begun = another, has_begun or self._has_begun
                else:
                    self.left.popleft()
                    return
        await self._fail(row, error)
        if isinstance(error, BREAKS) and has_begun and self._output != STDOUT:
            self._downloader.view.note(KEPT)

    async def _has_connection(self) -> bool:
        """Make another connection where that is needed; return whether the next file can be asked for, or was."""
        downloader = self._downloader
        if self._ahead is not None and self._ahead.has_result(self._number):
            return True
        if self._is_over or downloader.is_connected:
            return not self._is_over
        if downloader.reconnect is None and downloader.client.is_receiving:
            await downloader.replace()
            return True
        return await self._connect_again()

    @property
    def _has_begun(self) -> bool:
        unfinished = self._downloader.progress.unfinished
        return unfinished is not None and bool(unfinished.at)

    async def _connect_again(self) -> bool:
        """Connect again; return whether that succeeded. Where it fails, no other file is fetched."""
        downloader = self._downloader
        downloader.client.abort()
        if downloader.reconnect is None:
            raise errors.ServerClosed
        try:
            downloader.client = await downloader.reconnect()
        except errors.ChatFileError as error:
            self._is_over = True
            downloader.view.error(error)
        return not self._is_over

    async def _fail(self, row: wire.FileRow, error: errors.ChatFileError) -> None:
        self.left.popleft()
        self.failed += 1
        self._code = self._code or exit_code(error)
        self._is_over = self._is_over or isinstance(error, errors.ProtocolViolation)
        self._differ += isinstance(error, errors.TargetExists)
        if (
            not isinstance(error, errors.TargetExists)
            or self._differ <= _MOST_REPEATED
            or self._downloader.view.as_json
        ):
            self._downloader.view.error(error, row.name)
            await self._downloader.suggest(error, row.name)

    # --- one file ---

    async def _fetch(self, row: wire.FileRow) -> None:
        with self._downloader.progress.of(row.name, self._number) as meter:
            if self._output == STDOUT:
                await self._copy_to_stdout(row.name, meter)
            else:
                await self._save(row, meter)

    async def _save(self, row: wire.FileRow, meter: TransferMeter) -> None:
        """Save a file under the name that was asked for, or under its own, which is the same bytes in every locale."""
        clock = self._downloader.client.clock
        began = clock.seconds()
        if self._ahead is not None:
            saved = await self._ahead.download(
                self._downloader.client, self._number,
                progress=meter.advance, stage=lambda stage: self._tell_of(meter, stage),
            )  # fmt: skip
        else:
            saved = await self._save_alone(row, meter)
        self.received += 0 if saved.already else saved.size - saved.resumed_from
        if len(self.rows) <= _MOST_SHOWN or not self._downloader.is_prompt:
            self._downloader.view.download(saved, clock.seconds() - began, meter.average_rate)

    async def _save_alone(self, row: wire.FileRow, meter: TransferMeter) -> Download:
        downloader, output = self._downloader, self._output
        if output is None:
            folder, save_as = downloader.config.downloads, os.fsdecode(row.name.encode())
        else:
            folder, save_as = os.path.split(output)
        if save_as in ("", ".", ".."):
            raise errors.LocalFileError(path=output or "", why="it is a folder")
        saved = await download(
            downloader.client, row.name, folder or ".", save_as=save_as, force=self._force,
            create_folder=output is None, listed_size=row.size if row.size >= 0 else None, saved=downloader.saved,
            progress=meter.advance, stage=lambda stage: self._tell_of(meter, stage),
        )  # fmt: skip
        return saved if output is None else replace(saved, path=output)  # as it was typed, without "./"

    def _tell_of(self, meter: TransferMeter, stage: Stage) -> None:
        meter.stage(stage)
        if stage.step is Step.RECEIVING and stage.at and not self._downloader.is_prompt:
            self._downloader.view.note(f"{meter.name}: resumed at {percentage(stage.at, stage.size)} %")

    async def _copy_to_stdout(self, name: str, meter: TransferMeter) -> None:
        """Write a file to standard output. Bytes can't be taken back: where it fails, the exit code tells."""
        client = self._downloader.client
        began = client.clock.seconds()
        try:
            received = await client.get(name, _standard_output(meter), progress=meter.advance)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise errors.LocalFileError(path="standard output", why=errors.reason(error)) from error
        except errors.DigestMismatch:
            raise errors.DigestMismatch(
                f'"{wire.printable(name)}" arrived damaged: its SHA-256 is not the one that the server computed. '
                "Do not use what went to standard output; try again."
            ) from None
        copy = Download(name, STDOUT, received.header.size, received.sha256, received.verified, resumed_from=0)
        self._downloader.view.copied(copy, client.clock.seconds() - began)

    def _sum_up(self) -> None:
        """Note how many of several files came, how fast, and how many did not."""
        if len(self.rows) <= 1:
            return
        saved = len(self.rows) - self.failed
        rate = f" ({format_rate(self.received / self._seconds)})" if self.received and self._seconds >= 1 else ""
        came = f"{saved} of {len(self.rows)} files, {format_size(self.received)} in {elapsed(self._seconds)}{rate}"
        failed = f"; {self.failed} failed" if self.failed else ""
        differ = f", {self._differ} of them because another file is here (--force replaces it)" if self._differ else ""
        self._downloader.view.note(f"{came}{failed}{differ}.")


def _standard_output(meter: TransferMeter) -> Callable[[wire.FileHeader], Deferred[int | None]]:
    def accept(header: wire.FileHeader) -> Deferred[int | None]:
        meter.stage(Stage(Step.RECEIVING, 0, header.size))
        return succeed(_open_output())

    return accept


def _open_output() -> int:
    if sys.stdout is None:
        raise OSError(errno.EBADF, "closed")
    sys.stdout.flush()
    return sys.stdout.fileno()
