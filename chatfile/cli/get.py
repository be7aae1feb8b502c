"""`get`: downloads of one file or several, for all three modes, over as many connections as it takes."""

from __future__ import annotations

import errno
import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred, succeed

from chatfile import disk, errors, wire
from chatfile.cli.commands import STDOUT, GetFiles
from chatfile.cli.connecting import BREAKS
from chatfile.cli.exits import ExitCode, exit_code
from chatfile.cli.expected import read_digests
from chatfile.cli.format import elapsed, format_rate, format_size, percentage
from chatfile.cli.lines import split_options
from chatfile.cli.meter import TransferMeter
from chatfile.cli.patterns import select
from chatfile.cli.session import Session
from chatfile.cli.view import KEPT
from chatfile.client import ChatFileClient
from chatfile.downloads import Download, DownloadAhead, Stage, Step
from chatfile.downloads.single import check_expected, download_wanted
from chatfile.downloads.target import WantedFile, checked, local_place
from chatfile.paths import LocalPath

_MOST_SHOWN = 20
"""Files of one `get` up to which the prompt shows a line for each."""
_MOST_REPEATED = 3
"""How many times the same advice is given for one `get`."""


class Ahead(Protocol):
    """What downloads several files: a `DownloadAhead`, or a `Mirror`."""

    async def download(
        self,
        client: ChatFileClient,
        number: int,
        *,
        progress: Callable[[int], None],
        stage: Callable[[Stage], None],
    ) -> Download:
        """Download the file of this number."""

    def has_result(self, number: int) -> bool:
        """Tell whether no connection is needed for that."""

    def close(self) -> None:
        """Want no more files."""


class FileQueue:
    """The files of one `get`, or of a mirror: fetches one after the other, and counts how many came."""

    def __init__(
        self,
        session: Session,
        rows: Sequence[wire.FileRow],
        command: GetFiles,
        *,
        ahead: Ahead | None = None,
        violation: errors.ProtocolViolation | None = None,
    ) -> None:
        """Prepare to fetch `rows`, where a size below 0 is unknown, as `command` says, through `ahead` if there is one.

        None is fetched where there is a `violation`.
        """
        self.left = deque(rows)
        self.rows = rows
        self.received = 0
        """Bytes that were received of the files that were saved."""
        self.failed = 0
        self._session = session
        self._command = command
        self._output = command.output
        self._ahead = ahead
        self._code = ExitCode.DONE
        self._seconds = 0.0
        self._differ = 0  # files that were not saved as another one exists
        self._is_over = violation is not None  # there is no connection, or none to be trusted
        if violation is not None:
            self._code = exit_code(violation)
            session.view.error(violation)

    @property
    def name(self) -> str:
        """Return the name of the file that is under way, or else comes next; empty where none is left."""
        return self.left[0].name if self.left else ""

    @property
    def _number(self) -> int:
        return len(self.rows) - len(self.left)

    async def run(self) -> ExitCode:
        """Fetch all files that are left, show each failure, and return the exit code of the first.

        Raises a `ChatFileError` where the connection is lost at the prompt, where the user is asked first; call `run`
        again when there is another connection, and it goes on.
        """
        clock = self._session.client.clock
        began = clock.seconds()
        try:
            if len(self.rows) <= 1:
                while self.left:
                    await self._next()
            else:
                with self._session.progress.several([row.size for row in self.rows]):
                    while self.left:
                        await self._next()
        except CancelledError:
            if self._ahead is not None:
                self._ahead.close()
            raise
        finally:
            self._seconds += clock.seconds() - began
        self._sum_up()
        return self._code

    async def _next(self) -> None:
        """Fetch the next file; where the connection breaks, resume it over another one, once."""
        row, has_begun = self.left[0], False
        error: errors.ChatFileError = errors.ServerClosed(f'"{row.name}" was not asked for.')
        for is_second in (False, True):
            if not await self._is_connected():
                break
            try:
                await self._fetch(row)
            except errors.ChatFileError as failure:
                if self._session.is_prompt and self._session.is_lost(failure):
                    raise
                error, has_begun = failure, has_begun or self._has_begun
            else:
                self.left.popleft()
                return
            if is_second or not isinstance(error, BREAKS) or self._output == STDOUT:
                break
            self._session.view.note(f"{row.name}: interrupted, connecting again.")
            self._session.client.abort()
        error = await self._session.explained(error, row.name)
        await self._fail(row, error)
        if isinstance(error, BREAKS) and has_begun and self._output != STDOUT:
            self._session.view.note(KEPT)

    @property
    def _has_begun(self) -> bool:
        unfinished = self._session.progress.unfinished
        return unfinished is not None and bool(unfinished.at)

    async def _is_connected(self) -> bool:
        """Connect again where that is needed; return whether the file can be asked for, or was. Else, none is."""
        session = self._session
        if self._ahead is not None and self._ahead.has_result(self._number):
            return True
        if self._is_over or session.is_connected:
            return not self._is_over
        if session.is_prompt and not session.client.is_receiving:
            raise errors.ServerClosed
        try:
            await session.renew()
        except errors.ChatFileError as error:
            if session.is_prompt:
                raise
            self._is_over = True
            session.view.error(error)
        return not self._is_over

    async def _fail(self, row: wire.FileRow, error: errors.ChatFileError) -> None:
        self.left.popleft()
        self.failed += 1
        self._code = self._code or exit_code(error)
        self._is_over = self._is_over or isinstance(error, errors.ProtocolViolation)
        self._differ += isinstance(error, errors.TargetExists)
        if not isinstance(error, errors.TargetExists) or self._differ <= _MOST_REPEATED or self._session.view.as_json:
            self._session.view.error(error, row.name)
            await self._session.suggest(error, row.name)

    # --- one file ---

    async def _fetch(self, row: wire.FileRow) -> None:
        with self._session.progress.of(row.name, self._number) as meter:
            if self._output == STDOUT:
                await self._copy_to_stdout(row.name, meter)
            else:
                await self._save(row, meter)

    async def _save(self, row: wire.FileRow, meter: TransferMeter) -> None:
        """Save a file under the name that was asked for, or under its own, which is the same bytes in every locale."""
        clock = self._session.client.clock
        began = clock.seconds()
        if self._ahead is not None:
            saved = await self._ahead.download(
                self._session.client, self._number,
                progress=meter.advance, stage=lambda stage: self._tell_of(meter, stage),
            )  # fmt: skip
        else:
            saved = await self._save_alone(row, meter)
        self.received += 0 if saved.already else saved.size - saved.resumed_from
        if len(self.rows) <= _MOST_SHOWN or not self._session.is_prompt:
            self._session.view.download(saved, clock.seconds() - began, meter.average_rate)

    async def _save_alone(self, row: wire.FileRow, meter: TransferMeter) -> Download:
        session, command, output = self._session, self._command, self._output
        wanted = WantedFile(
            row.name,
            self._place(row),
            listed_size=row.size if row.size >= 0 else None,
            force=command.force,
            create_folder=output is None,
            sha256=(command.digests or {}).get(row.name),
        )
        saved = await download_wanted(
            session.client, wanted, disk.in_thread, session.saved, meter.advance,
            lambda stage: self._tell_of(meter, stage),
        )  # fmt: skip
        return saved if output is None else replace(saved, path=output)  # as it was typed, without "./"

    def _place(self, row: wire.FileRow) -> LocalPath:
        """Return where a file is saved. Raises `BadName`, `LocalFileError`."""
        if self._output is None:
            return checked(local_place(self._session.config.downloads, row.name))
        folder, save_as = os.path.split(self._output)
        if save_as in ("", ".", ".."):
            raise errors.LocalFileError(path=self._output, why="it is a folder")
        return checked(LocalPath(folder or ".", (save_as,)))

    def _tell_of(self, meter: TransferMeter, stage: Stage) -> None:
        meter.stage(stage)
        if stage.step is Step.RECEIVING and stage.at and not self._session.is_prompt:
            self._session.view.note(f"{meter.name}: resumed at {percentage(stage.at, stage.size)} %")

    async def _copy_to_stdout(self, name: str, meter: TransferMeter) -> None:
        """Write a file to standard output. Bytes can't be taken back: where it fails, the exit code tells."""
        client = self._session.client
        began = client.clock.seconds()
        try:
            received = await client.get(name, _standard_output(meter), progress=meter.advance)
            received = check_expected(name, received, (self._command.digests or {}).get(name))
        except BrokenPipeError:
            raise
        except OSError as error:
            raise errors.LocalFileError(path="standard output", why=errors.reason(error)) from error
        except errors.DigestMismatch as error:
            why = str(error).removesuffix("Nothing was kept.").removesuffix("Nothing was kept; try again.")
            raise errors.DigestMismatch(f"{why}Do not use what went to standard output.") from None
        copy = Download(name, STDOUT, received.header.size, received.sha256, received.verified, resumed_from=0)
        self._session.view.copied(copy, client.clock.seconds() - began)

    def _sum_up(self) -> None:
        """Note how many of several files came, how fast, and how many did not."""
        if len(self.rows) <= 1:
            return
        saved = len(self.rows) - self.failed
        rate = f" ({format_rate(self.received / self._seconds)})" if self.received and self._seconds >= 1 else ""
        came = f"{saved} of {len(self.rows)} files, {format_size(self.received)} in {elapsed(self._seconds)}{rate}"
        failed = f"; {self.failed} failed" if self.failed else ""
        differ = f", {self._differ} of them because another file is here (--force replaces it)" if self._differ else ""
        self._session.view.note(f"{came}{failed}{differ}.")


def _standard_output(meter: TransferMeter) -> Callable[[wire.FileHeader], Deferred[int | None]]:
    def accept(header: wire.FileHeader) -> Deferred[int | None]:
        meter.stage(Stage(Step.RECEIVING, 0, header.size))
        if sys.stdout is None:
            raise OSError(errno.EBADF, "closed")
        sys.stdout.flush()
        return succeed(sys.stdout.fileno())

    return accept


# --- which files ---


async def queue_of(session: Session, command: GetFiles) -> FileQueue:
    """Return the queue of the files that the command asks for. Raises a `ChatFileError`."""
    await session.make_ready()
    typed = command
    if isinstance(typed.wanted, str) and not any(row.name == typed.wanted for row in session.files):
        left = split_options(typed)
        if left != typed and not any(row.name == typed.wanted for row in await session.listing()):
            command = left
    command = await read_digests(command, session.config, session.view, session.local_folder)
    rows, violation = await _rows(session, command)
    if command.output is not None and len(rows) > 1:
        raise errors.OutputForSeveral(count=f"{len(rows)} files")
    if command.output == STDOUT and session.is_prompt:
        raise errors.OutputAtPrompt(name=wire.printable(rows[0].name))
    if command.output not in (None, STDOUT) and isinstance(typed.wanted, str):
        command = replace(command, output=os.path.join(session.local_folder, os.path.expanduser(command.output or "")))
    ahead = _ahead(session, command, rows) if len(rows) > 1 else None
    return FileQueue(session, rows, command, ahead=ahead, violation=violation)


def _ahead(session: Session, command: GetFiles, rows: Sequence[wire.FileRow]) -> DownloadAhead:
    return DownloadAhead(
        rows,
        session.config.downloads,
        force=lambda _: command.force,
        by_digest=command.by_digest,
        saved=session.saved,
        sums=command.digests,
    )


async def _rows(session: Session, command: GetFiles) -> tuple[Sequence[wire.FileRow], errors.ProtocolViolation | None]:
    """Return the files that are wanted, and the violation of the protocol in the listing, if there was one.

    A name that is not listed is among them, for the server to refuse. Where the listing fails, the names of a command
    line are returned without sizes: they can be asked for anyway.
    """
    wanted = command.wanted
    if isinstance(wanted, str) and (known := [row for row in session.files if row.name == wanted]):
        return known, None
    try:
        rows = await session.matching(wanted)
    except errors.ChatFileError as error:
        if isinstance(wanted, str) or isinstance(error, errors.BadName):
            raise
        return select(wanted, ()), error if isinstance(error, errors.ProtocolViolation) else None
    unlisted = next((row.name for row in rows if command.digests is not None and row.name not in command.digests), None)
    if unlisted is not None and command.sums is not None:
        raise errors.NotInSums(name=wire.printable(unlisted), list=wire.printable(command.sums))
    return rows, None
