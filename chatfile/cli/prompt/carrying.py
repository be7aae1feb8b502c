"""What each line asks for is carried out here, on whatever connection there is."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence

from chatfile import errors, wire
from chatfile.cli import tables, units
from chatfile.cli.prompt.commands import Fetch, Raw, ShowHelp, Sum, expand, mistaken
from chatfile.cli.prompt.jobs import Job
from chatfile.cli.prompt.showing import HumanView, counted
from chatfile.cli.prompt.transfers import Transfer
from chatfile.cli.session import Session
from chatfile.cli.views import View
from chatfile.client import CLOSING, ChatFileClient
from chatfile.downloads import download
from chatfile.lines import Phase

_FRESH = 5.0
"""Seconds in which a listing is as good as a new one."""
_MOST_SHOWN = 20
"""Files of one `get` of which each has a line of its own."""


def is_lost(client: ChatFileClient, error: errors.ChatFileError) -> bool:
    """Whether nothing more can be asked of `client` after that `error`."""
    return client.phase is not Phase.OPEN or isinstance(error, CLOSING)


class Carrier:
    """Carries out what was typed, and remembers what files there are."""

    def __init__(self, session: Session, arguments: argparse.Namespace, seconds: Callable[[], float]) -> None:
        """`seconds` is the clock."""
        self.files: Sequence[wire.FileRow] = ()
        """The listing as it was last seen."""
        self._session = session
        self._arguments = arguments
        self._seconds = seconds
        self._raw = View(as_json=arguments.json, quiet=arguments.quiet)
        self._seen: float | None = None

    async def perform(self, job: Job) -> None:
        """Carry it out. Raises a `ChatFileError` where that fails."""
        session = self._session
        match job.command:
            case Fetch():
                await self._fetch(job, job.command)
            case Sum(wanted):
                await self._hash(await self._rows(wanted))
            case Raw(request):
                await Session(session.client, self._arguments, self._raw).run(request)
            case ShowHelp() if isinstance(session.view, HumanView):
                session.view.prompt_help()
            case ShowHelp():
                await session.run(wire.Help())
            case wire.List():
                session.view.files(await self._listing())
            case wire.Message(text) as message:
                await session.run(message)
                if hint := mistaken(text):
                    session.view.note(f"That went as a message; {wire.printable(hint)}.")
            case request:
                await session.run(request)

    # --- what there is ---

    def refresh(self) -> None:
        """Look what files there are, unless that was done just now; Tab does not wait for it."""
        if self._seen is not None and self._seconds() - self._seen < _FRESH:
            return
        self._seen = self._seconds()
        try:
            listing = self._session.client.listing()
        except errors.ChatFileError:
            return  # the connection is gone, and it is told elsewhere
        listing.addCallbacks(self._take, lambda failure: failure.trap(errors.ChatFileError) and None)

    async def _listing(self) -> Sequence[wire.FileRow]:
        return self._take(await self._session.client.listing())

    def _take(self, rows: Sequence[wire.FileRow]) -> Sequence[wire.FileRow]:
        self.files, self._seen = rows, self._seconds()
        return rows

    # --- hash, get ---

    async def _hash(self, rows: Sequence[wire.FileRow]) -> None:
        for row in rows:
            try:
                self._session.view.digest(await self._session.client.hash(row.name, size=max(row.size, 0)))
            except errors.ChatFileError as error:
                if is_lost(self._session.client, error):
                    raise
                self._session.view.error(error, row.name)

    async def _fetch(self, job: Job, fetch: Fetch) -> None:
        if job.transfer is None:
            job.transfer = Transfer(await self._rows(fetch.wanted), self._seconds)
        transfer, began = job.transfer, self._seconds()
        transfer.begin()
        while transfer.left:
            try:
                size = await self._fetch_one(transfer, transfer.left[0], force=fetch.replace)
            except errors.ChatFileError as error:
                if is_lost(self._session.client, error):
                    raise
                self._session.view.error(error)
                size = None
            transfer.done(size)
        self._sum_up(transfer, self._seconds() - began)

    async def _rows(self, wanted: str) -> Sequence[wire.FileRow]:
        """The files meant; of one that is not listed, the server says so."""
        known = [row for row in self.files if row.name == wanted]
        return known or expand(wanted, await self._listing())

    async def _fetch_one(self, transfer: Transfer, row: wire.FileRow, *, force: bool) -> int:
        folder, save_as = self._arguments.downloads, os.fsdecode(row.name.encode())  # the same bytes in every locale
        began = time.monotonic()
        saved = await download(
            self._session.client,
            row.name,
            folder,
            save_as=save_as,
            force=force,
            progress=transfer.advance,
            stage=transfer.stage,
        )
        if transfer.count <= _MOST_SHOWN:
            self._session.view.download(saved, time.monotonic() - began)
        return saved.size

    def _sum_up(self, transfer: Transfer, seconds: float) -> None:
        if transfer.count == 1:
            return
        came = f"{counted(transfer.count - transfer.failed, 'file')}, {units.size(transfer.fetched)}"
        failed = f"; {transfer.failed} could not be saved" if transfer.failed else ""
        self._session.view.note(f"{came} in {tables.spent(seconds)}{failed}.")
