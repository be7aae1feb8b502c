"""What each line asks for is carried out here, on whatever connection there is."""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from chatfile import errors, wire
from chatfile.cli.format import elapsed, format_size, pluralize
from chatfile.cli.prompt.commands import HELP, HELP_BELOW, Fetch, ListMatching, Raw, ShowHelp, Sum, mistaken
from chatfile.cli.prompt.jobs import Job
from chatfile.cli.prompt.transfers import Transfer
from chatfile.cli.session import Session
from chatfile.cli.view import PromptView, View
from chatfile.cli.wanted import UNKNOWN, expand
from chatfile.client import CLOSING, ChatFileClient
from chatfile.downloads import download
from chatfile.partfile import Saved

_FRESH = 5.0
"""Seconds in which a listing is as good as a new one, at least."""
_SHARE = 20
"""A listing takes no more than this part of the time: a long one is asked for less often."""
_MOST_SHOWN = 20
"""Files of one `get` of which each has a line of its own."""
_MOST_REPEATED = 3
"""Times that the same advice is given for one `get` of more files than that."""


def is_lost(client: ChatFileClient, error: errors.ChatFileError) -> bool:
    """Whether nothing more can be asked of `client` after that `error`."""
    return not client.is_receiving or isinstance(error, CLOSING)


class Carrier:
    """Carries out what was typed, and remembers what files there are."""

    def __init__(
        self,
        session: Session,
        arguments: argparse.Namespace,
        seconds: Callable[[], float],
        reconnect: Callable[[], Coroutine[Deferred[Any], Any, None]],
    ) -> None:
        """`seconds` is the clock. `reconnect` gives the session another connection."""
        self.files: Sequence[wire.FileRow] = ()
        """The listing as it was last seen."""
        self._session = session
        self._arguments = arguments
        self._seconds = seconds
        self._reconnect = reconnect
        self._raw = View(as_json=arguments.json, quiet=arguments.quiet)
        self._saved = Saved()
        self._asked = 0  # listings under way
        self._wanting: list[Callable[[], object]] = []
        self._due = -math.inf  # when the listing is to be looked at again

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
            case ShowHelp() if isinstance(session.view, PromptView):
                session.view.prompt_help(HELP, HELP_BELOW)
            case ShowHelp():
                await session.run(wire.Help())
            case ListMatching(wanted, talk):
                await self._list(wanted, talk)
            case wire.List():
                session.view.files(await self._listing())
            case wire.Message(text) as message:
                await session.run(message)
                if hint := mistaken(text):
                    session.view.note(f"That went as a message; {hint}.")
            case request:
                await session.run(request)

    # --- what there is ---

    def refresh(self) -> None:
        """Look what files there are, unless that was done just now; Tab does not wait for it."""
        if self._seconds() < self._due:
            return
        self._due = self._seconds() + _FRESH
        listing = Deferred.fromCoroutine(self._listing())
        listing.addErrback(lambda failure: failure.trap(errors.ChatFileError) and None)  # it is told elsewhere

    def when_listed(self, then: Callable[[], object]) -> None:
        """Call `then` when the listing that is under way has come; not at all where there is none, or it fails."""
        if self._asked:
            self._wanting.append(then)

    async def _listing(self) -> Sequence[wire.FileRow]:
        began = self._seconds()
        self._asked += 1
        try:
            self.files = await self._session.client.listing()
        finally:
            self._asked -= 1
            wanting, self._wanting = self._wanting, []
        for then in wanting:
            then()
        took = self._seconds() - began
        self._due = self._seconds() + max(_FRESH, took * _SHARE)
        return self.files

    async def _list(self, wanted: str, talk: wire.Request) -> None:
        rows = [row for row in expand(wanted, await self._listing()) if row.size != UNKNOWN]
        if rows:
            self._session.view.files(rows)
            return
        await self._session.run(talk)
        self._session.view.note("That went as a message, for there is no such file to list.")

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
                self._tell(transfer, error)
                size = None
            transfer.done(size)
            if self._session.client.is_dropping:
                await self._reconnect()  # rather than wait for the rest of a file that could not be written
        self._sum_up(transfer, self._seconds() - began)

    def _tell(self, transfer: Transfer, error: errors.ChatFileError) -> None:
        transfer.differ += isinstance(error, errors.TargetExists)
        is_known = isinstance(error, errors.TargetExists) and transfer.differ > _MOST_REPEATED
        if transfer.count <= _MOST_SHOWN or not is_known:
            self._session.view.error(error)

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
            saved=self._saved,
            progress=transfer.advance,
            stage=transfer.stage,
        )
        if transfer.count <= _MOST_SHOWN:
            self._session.view.download(saved, time.monotonic() - began, transfer.meter.average_rate)
        return saved.size

    def _sum_up(self, transfer: Transfer, seconds: float) -> None:
        if transfer.count == 1:
            return
        came = f"{pluralize(transfer.count - transfer.failed, 'file')}, {format_size(transfer.fetched)}"
        failed = f"; {transfer.failed} could not be saved" if transfer.failed else ""
        differ = f' ("get!" replaces what is here and differs: {transfer.differ})' if transfer.differ else ""
        self._session.view.note(f"{came} in {elapsed(seconds)}{failed}{differ}.")
