"""Downloads of many files: small ones are asked for ahead of their turns, and saved several at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from chatfile import disk, errors, wire
from chatfile.client import CLOSING, ChatFileClient
from chatfile.disk import InThread, result_or
from chatfile.downloads.batches import AskedFile, AskedState, Batches
from chatfile.downloads.single import download_wanted
from chatfile.downloads.target import Download, Stage, Step, WantedFile, checked, local_place
from chatfile.partfile import (
    Presence,
    Saved,
    Source,
    WholeFile,
    have_digests,
    is_unfinished,
    keep_begun,
    look_for,
    save_together,
)
from chatfile.paths import LocalPath
from chatfile.pending import Content

SMALL = 64 << 10
"""Bytes up to which a file is received in memory."""


class DownloadAhead:
    """Downloads files into one folder, in their order, and asks for the small ones before it is their turn.

    Those are received in memory, and saved by threads, several in one call. All others, and those of which something
    else is there already, are downloaded as `download` does.
    """

    REQUESTS = 32
    """Files that are asked for and have not come yet, at most."""
    FILES, BYTES = 512, 4 << 20
    """The same with those that are not saved yet, or whose turn has not come; and the bytes of all these."""
    LOOK = 1024
    """Files that are looked for in the first call in a thread; each further one is for half as many as all before."""

    def __init__(
        self,
        rows: Sequence[wire.FileRow],
        folder: str,
        *,
        strip: str = "",
        force: Callable[[wire.FileRow], bool] = lambda _: False,
        create_folder: bool = True,
        by_digest: bool = False,
        saved: Saved | None = None,
        presence: Sequence[Presence] = (),
        sums: Mapping[str, str] | None = None,
        in_thread: InThread = disk.in_thread,
    ) -> None:
        """Prepare to download `rows`, where a size below 0 is unknown, into `folder`.

        They are saved under their own names, or paths, without the beginning `strip`. A file that is there already with
        the size and the time of the one on the server is taken for the same, unless files are to be compared
        `by_digest`. One that differs is replaced where `force(row)` is true. `presence` is what is there of the first
        rows, if the caller has looked. `sums` has digests that files must have, by their names. See `download` for the
        other arguments.
        """
        self._rows = rows
        self._folder = folder
        self._strip = strip
        self._force = force
        self._create_folder = create_folder
        self._by_digest = by_digest
        self._saved = Saved() if saved is None else saved
        self._sums = sums or {}
        self._in_thread = in_thread
        self._client: ChatFileClient | None = None
        self._clock: IReactorTime  # the client's
        self._presence = list(presence)  # of the first rows
        self._is_looking = False
        self._asked: dict[int, AskedFile] = {}  # by the numbers of their rows
        self._next = 0  # the number of the first row that is not considered yet
        self._due = self._bytes = 0
        self._is_end_told = False
        self._change: Deferred[None] | None = None
        self._saving = Batches[WholeFile](self._in_thread, self._save, self._changed)
        self._comparing = Batches[tuple[LocalPath, str]](self._in_thread, have_digests, self._changed)

    async def download(
        self,
        client: ChatFileClient,
        number: int,
        *,
        progress: Callable[[int], None] = lambda _: None,
        stage: Callable[[Stage], None] = lambda _: None,
    ) -> Download:
        """Download the file of this number, from 0 on. To be called in their order, and again after a failure.

        See `download` for the other arguments, and for what is raised.
        """
        if client is not self._client or number not in self._asked:
            self._restart(client, number)
        asked = await self._done(number)
        if asked is None or asked.result is None:
            return await self._download_alone(client, number, progress, stage)
        received = asked.kept or Stage(Step.RECEIVING, asked.row.size, asked.row.size)
        if not (isinstance(asked.result, Download) and asked.result.already):
            stage(Stage(Step.RECEIVING, 0, received.size))
            progress(received.at)
        if isinstance(asked.result, Failure):
            asked.result.raiseException()
        self._saved.add(asked.path)
        return asked.result

    def has_result(self, number: int) -> bool:
        """Tell whether `download` needs no connection for the file of this number: it came already, or could not."""
        asked = self._asked.get(number)
        return asked is not None and asked.state is not AskedState.COMING

    async def _download_alone(
        self,
        client: ChatFileClient,
        number: int,
        progress: Callable[[int], None],
        stage: Callable[[Stage], None],
    ) -> Download:
        row = self._rows[number]
        wanted = WantedFile(
            row.name,
            checked(self._path(row)),
            row.size if row.size >= 0 else None,
            self._force(row),
            self._create_folder,
            self._sums.get(row.name),
        )
        return await download_wanted(client, wanted, self._in_thread, self._saved, progress, stage)

    async def _done(self, number: int) -> AskedFile | None:
        """Return the file whose turn it is, when there is a result; None if it can't be asked for ahead."""
        self._ask_some()
        while (asked := self._asked.get(number)) is not None or number >= len(self._presence):
            if asked is not None and asked.state is AskedState.DONE:
                self._forget(asked)
                return asked
            self._change = Deferred()
            await self._change
        self._next = number + 1
        return None

    def _changed(self) -> None:
        """Look again whether there is a result."""
        change, self._change = self._change, None
        if change is not None:
            change.callback(None)

    # --- over which connection, and its end ---

    def _restart(self, client: ChatFileClient, number: int) -> None:
        """Ask for the files from `number` on over `client`; what has come already is kept."""
        self._client, self._clock = client, client.clock
        for asked in list(self._asked.values()):
            if asked.state is AskedState.COMING or isinstance(asked.result, Failure):
                self._forget(asked)
                asked.drop()
        self._due = 0
        self._next = number
        self._is_end_told = False

    def close(self) -> None:
        """Ask for no more files, and want those no more that were asked for; what is being saved is saved."""
        for asked in self._asked.values():
            asked.drop()
        self._asked.clear()
        self._next = len(self._rows)

    async def settle(self) -> list[Download]:
        """Ask for no more files, and return those that were saved ahead of turns that will not come."""
        for asked in list(self._asked.values()):
            if asked.state is AskedState.COMING:
                self._forget(asked)
                asked.drop()
        self._next = len(self._rows)
        while any(asked.state is AskedState.ON_DISK for asked in self._asked.values()):
            self._change = Deferred()
            await self._change
        left = [asked.result for asked in self._asked.values()]
        self._asked.clear()
        return [result for result in left if isinstance(result, Download) and not result.already]

    def _forget(self, asked: AskedFile) -> None:
        del self._asked[asked.number]
        self._bytes -= min(asked.row.size, SMALL)

    # --- what is there ---

    def _look(self) -> None:
        start = len(self._presence)
        rows = self._rows[start : start + max(start // 2, self.LOOK)]
        if self._is_looking or not rows:
            return
        self._is_looking = True
        looking = self._in_thread(look_for, [(self._path(row), Source(row.size, row.mtime)) for row in rows])
        looking.addErrback(result_or([Presence.OTHER] * len(rows)))  # the download of each by itself tells why
        looking.addCallback(self._have_looked)

    def _have_looked(self, presence: list[Presence]) -> None:
        self._is_looking = False
        self._presence += presence
        self._ask_some()
        self._changed()

    # --- requests ---

    def _ask_some(self) -> None:
        """Ask for the next files, up to the first that has to be downloaded by itself."""
        if len(self._presence) - self._next < self.FILES:
            self._look()
        while self._client is not None and self._next < len(self._presence) and self._has_room():
            if self._next not in self._asked and not self._ask(self._client, self._next):
                return
            self._next += 1

    def _has_room(self) -> bool:
        return self._due < self.REQUESTS and len(self._asked) < self.FILES and self._bytes < self.BYTES

    def _ask(self, client: ChatFileClient, number: int) -> bool:
        """Ask for a file, or for its digest where it is there; return False where that can't be done ahead."""
        row, presence = self._rows[number], self._presence[number]
        path = self._path(row)
        if row.size < 0 or any(map(is_unfinished, path.names)) or self._saved.has_like(path):
            return False
        expected = self._sums.get(row.name)
        if presence is Presence.SAME and not self._by_digest and expected is None:
            self._add(number, path).finish(self._present(row, path, None))
        elif row.size > SMALL or presence is Presence.OTHER or not client.is_receiving:
            return False
        elif presence is Presence.ABSENT:
            return self._request(number, partial(client.read, row.name, most=SMALL), self._content_came)
        elif expected is not None:
            self._compare_with(expected, self._add(number, path))
        else:
            return self._request(number, partial(client.hash, row.name, size=row.size), self._digest_came)
        return True

    def _add(self, number: int, path: LocalPath) -> AskedFile:
        asked = self._asked[number] = AskedFile(number, self._rows[number], path)
        self._bytes += min(asked.row.size, SMALL)
        return asked

    def _request(self, number: int, ask: Callable[[], Deferred[Any]], came: Callable[[Any, AskedFile], None]) -> bool:
        try:
            reply = ask()
        except errors.ChatFileError:
            return False  # the server has said that it closes; the download by itself tells that
        asked = self._add(number, self._path(self._rows[number]))
        self._due += 1
        asked.reply = reply
        reply.addCallback(self._replied, asked, came).addErrback(self._failed, asked)
        return True

    def _replied(self, reply: Any, asked: AskedFile, came: Callable[[Any, AskedFile], None]) -> None:
        if asked.state is AskedState.COMING:
            self._due -= 1
            came(reply, asked)
            self._ask_some_more()

    def _failed(self, failure: Failure, asked: AskedFile) -> None:
        """Keep the failure for the file's turn; one that was dropped fails unheard."""
        if asked.state is not AskedState.COMING:
            return
        self._due -= 1
        is_end = failure.check(*CLOSING) is not None or self._client is None or not self._client.is_receiving
        if is_end and self._is_end_told:
            self._forget(asked)  # it was only behind the file that the connection broke at
            asked.drop()
            self._changed()  # but it may be waited for by now
            return
        self._is_end_told = is_end
        asked.finish(failure)
        self._ask_some_more()
        self._changed()

    def _ask_some_more(self) -> None:
        """Ask for several files at once: the server reads those in one call that it finds together."""
        if self._due <= self.REQUESTS // 2:
            self._ask_some()

    # --- replies ---

    def _content_came(self, content: Content | None, asked: AskedFile) -> None:
        if content is None:
            asked.finish(None)
            self._changed()
            return
        path, header = asked.path, content.header
        if content.broken is not None:
            self._keep(asked, content, content.broken)
            return
        expected = self._sums.get(asked.row.name)
        if expected is not None and expected != hashlib.sha256(content.content).hexdigest():
            asked.finish(Failure(errors.DigestMismatch.not_as_expected(name=wire.printable(asked.row.name))))
            self._changed()
            return
        sha256 = expected or content.sha256
        result = Download(asked.row.name, str(path), header.size, sha256, sha256 is not None, resumed_from=0)
        self._saving.add(self._clock, WholeFile(path, header.mtime, content.content), asked, result)

    def _keep(self, asked: AskedFile, content: Content, why: errors.ChatFileError) -> None:
        """Keep what came before the connection broke in a part file: the file is resumed then, by itself."""
        asked.state = AskedState.ON_DISK
        asked.kept = Stage(Step.RECEIVING, len(content.content), content.header.size)
        self._presence[asked.number] = Presence.OTHER
        self._is_end_told = True
        begun = WholeFile(asked.path, content.header.mtime, content.content)
        keep = partial(keep_begun, begun, content.header.size, create_folder=self._create_folder)
        keeping = self._in_thread(keep)
        keeping.addErrback(result_or(None))  # then it is fetched anew
        keeping.addCallback(lambda _: asked.finish(Failure(why)))
        keeping.addCallback(lambda _: self._changed())

    def _digest_came(self, digest: wire.Digest, asked: AskedFile) -> None:
        if digest.sha256 is None or digest.size != asked.row.size:
            asked.finish(None)
            self._changed()
            return
        self._compare_with(digest.sha256, asked)

    def _compare_with(self, sha256: str, asked: AskedFile) -> None:
        """Have a thread compare the file that is there with a digest."""
        present = self._present(asked.row, asked.path, sha256)
        self._comparing.add(self._clock, (asked.path, sha256), asked, present)

    def _present(self, row: wire.FileRow, path: LocalPath, sha256: str | None) -> Download:
        return Download(row.name, str(path), row.size, sha256, sha256 is not None, resumed_from=0, already=True)

    def _path(self, row: wire.FileRow) -> LocalPath:
        """Return the place of a file on this disk."""
        return local_place(self._folder, row.name.removeprefix(self._strip))

    # --- in threads ---

    def _save(self, files: list[WholeFile]) -> list[bool]:
        return save_together(files, create_folder=self._create_folder)
