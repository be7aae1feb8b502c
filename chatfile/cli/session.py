"""What commands are carried out with: a connection, which may be replaced, and what is known of the server's files."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from twisted.internet.defer import Deferred

from chatfile import errors, wire
from chatfile.cli.arguments import ClientConfig
from chatfile.cli.commands import Wanted
from chatfile.cli.connecting import Reconnect
from chatfile.cli.patterns import closest, folders_of_patterns, needs_listing, select
from chatfile.cli.progress import Progress
from chatfile.cli.view import View
from chatfile.client import CLOSING, ChatFileClient
from chatfile.partfile import Saved

_FRESH = 5.0
"""Seconds for which a listing counts as fresh, at least."""
_SHARE = 20
"""A listing counts as fresh for so many times the time that it took: a long one is asked for less often."""


class Session:
    """A connection to a server, and the listing that came over it; the configuration, and what shows the results."""

    def __init__(
        self,
        client: ChatFileClient,
        config: ClientConfig,
        view: View,
        progress: Progress | None = None,
        reconnect: Reconnect | None = None,
    ) -> None:
        """Use `client`, which is connected. Without `reconnect`, a broken connection is a failure like any other."""
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
        self.lost: Callable[[errors.ChatFileError], object] = lambda _: None
        """Called with the reason where the connection ends, unless that was expected."""
        self.saved = Saved()
        self.files: Sequence[wire.FileRow] = ()
        """The latest listing."""
        self.paths: Sequence[wire.FileRow] = ()
        """The files in subfolders, as the latest tree had them; asked for at a Tab alone."""
        self._has_folders = True  # as far as is known
        self._listings = 0  # how many are under way
        self._listed: list[Callable[[], object]] = []  # to be called when a listing has come
        self._due = self._tree_due = -math.inf  # when the latest listing, and tree, is no longer fresh
        self._given_up: ChatFileClient | None = None
        self._use(client)

    # --- the connection ---

    def _use(self, client: ChatFileClient) -> None:
        self.client = client
        client.closed.addCallback(self._ended, client)

    def _ended(self, why: errors.ChatFileError, client: ChatFileClient) -> errors.ChatFileError:
        if client is self.client and not self.is_given_up:
            self.lost(why)
        return why

    def expect_end(self) -> None:
        """Call `lost` no more for the connection that there is: its end is expected."""
        self._given_up = self.client

    @property
    def is_given_up(self) -> bool:
        """Tell whether the end of the connection was expected, and no other one has been made."""
        return self._given_up is self.client

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
            await self.renew()

    async def renew(self) -> None:
        """Hang up and connect again, as a reply can't be called back. Raises a `ChatFileError` where that fails."""
        self.expect_end()
        self.client.abort()
        if self.reconnect is None:
            raise errors.ServerClosed
        self._use(await self.reconnect())
        if self.is_prompt:
            self.refresh()  # for Tab

    # --- the listing ---

    async def listing(self) -> Sequence[wire.FileRow]:
        """Return the files that exist on the server now, and keep them in `files`. Raises a `ChatFileError`."""
        began = self.client.clock.seconds()
        with self._listing_under_way():
            self.files = await self.client.listing()
        now = self.client.clock.seconds()
        self._due = now + max(_FRESH, (now - began) * _SHARE)
        return self.files

    async def everything(self, folder: str = "") -> Sequence[wire.FileRow]:
        """Return all files of a folder, or of the server: of one without subfolders, those that it lists.

        Raises a `ChatFileError`.
        """
        try:
            return await self.client.tree(folder)
        except errors.NoSubfolders:
            if folder:
                raise
            return await self.listing()

    async def matching(self, wanted: Wanted) -> Sequence[wire.FileRow]:
        """Return the files that are `wanted`, after a look at the server where that is needed; see `select`.

        Raises a `ChatFileError`.
        """
        rows = await self.listing() if needs_listing(wanted) else self.files
        for folder in folders_of_patterns(wanted):
            try:
                rows = [*rows, *await self.client.tree(folder)]
            except errors.NoSubfolders as error:
                raise errors.BadName(name=wire.printable(f"{folder}/")) from error
        return select(wanted, rows)

    async def explained(self, error: errors.ChatFileError, name: str) -> errors.ChatFileError:
        """Return `error`, about the file `name`; `BadName` where that is a path, and the server has no subfolders."""
        if isinstance(error, errors.NoSuchFile) and "/" in name and self.is_connected:
            try:
                await self.client.tree(name.rpartition("/")[0])
            except errors.NoSubfolders:
                return errors.BadName(name=wire.printable(name))
            except errors.ChatFileError:
                pass  # the first error tells more
        return error

    def refresh(self, *, with_tree: bool = False) -> None:
        """Ask for a new listing in the background, and for the tree if that is wanted, unless the latest is fresh."""
        if self.client.clock.seconds() >= self._due:
            self._due = self.client.clock.seconds() + _FRESH
            listing: Deferred[Any] = Deferred.fromCoroutine(self.listing())
            listing.addErrback(lambda failure: failure.trap(errors.ChatFileError) and None)  # shown elsewhere
        if with_tree and self._has_folders and self.client.clock.seconds() >= self._tree_due:
            self._tree_due = math.inf
            tree: Deferred[Any] = Deferred.fromCoroutine(self._learn_paths())
            tree.addErrback(lambda failure: failure.trap(errors.ChatFileError) and None)

    async def _learn_paths(self) -> None:
        """Ask for the tree, of which Tab tells the names that lie in folders. Raises a `ChatFileError`."""
        began = self.client.clock.seconds()
        try:
            with self._listing_under_way():
                self.paths = [row for row in await self.client.tree() if "/" in row.name]
        except errors.NoSubfolders:
            self._has_folders = False
        now = self.client.clock.seconds()
        self._tree_due = now + max(_FRESH, (now - began) * _SHARE)

    @contextmanager
    def _listing_under_way(self) -> Iterator[None]:
        self._listings += 1
        try:
            yield
        finally:
            self._listings -= 1
            listed, self._listed = self._listed, []
        for call in listed:
            call()

    def when_listed(self, call: Callable[[], object]) -> None:
        """Call `call` when the listing that is under way has come; never where none is under way, or it fails."""
        if self._listings:
            self._listed.append(call)

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
