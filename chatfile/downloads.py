"""What makes a download trustworthy on disk: resumed, verified, and only then under its final name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from chatfile import errors, wire
from chatfile.client import ChatFileClient
from chatfile.partfile import PartFile, Source
from chatfile.pending import Received
from chatfile.threads import InThread, acquire


@dataclass(frozen=True, slots=True)
class Download:
    """A file that is whole and has its final name; sizes in bytes, `sha256` None where the server does not hash."""

    name: str
    path: str
    size: int
    sha256: str | None
    verified: bool
    resumed_from: int


def check_name(name: str) -> None:
    """Raise `BadName` unless `name` can be that of a file in the folder of downloads."""
    if not name or name in (".", "..") or "/" in name or "\0" in name:
        raise errors.BadName(name=wire.printable(name))


async def download(
    client: ChatFileClient,
    name: str,
    folder: str,
    *,
    save_as: str | None = None,
    force: bool = False,
    create_folder: bool = True,
    in_thread: InThread = deferToThread,
    progress: Callable[[int], None] = lambda _: None,
) -> Download:
    """Fetch the file `name` into `folder`, under its own name or that of `save_as`.

    What an earlier download left is resumed where the file is still the same. An existing file is replaced only with
    `force`, and only by a whole and verified one. `progress(n)` is told of n more bytes.

    Raises `BadName`, a `LocalFileError`, a `Refusal`, `TransferBroken`, `DigestMismatch`; what has come so far is
    kept for the next time, unless its digest is wrong.
    """
    check_name(save_as or name)
    part = await acquire(in_thread, PartFile.close, PartFile, folder, save_as or name, force, create_folder)
    transfer = _Transfer(client, name, part, in_thread, progress)
    try:
        return await transfer.run()
    except OSError as error:
        raise errors.LocalFileError(path=part.path, why=errors.reason(error)) from error
    finally:
        part.close()


class _Transfer:
    """One download under way: what is here already, then the rest."""

    def __init__(
        self,
        client: ChatFileClient,
        name: str,
        part: PartFile,
        in_thread: InThread,
        progress: Callable[[int], None],
    ) -> None:
        self._client = client
        self._name = name
        self._part = part
        self._in_thread = in_thread
        self._progress = progress

    async def run(self) -> Download:
        noted = await self._in_thread(self._part.source)
        offset = await self._in_thread(self._part.size) if noted else 0
        try:
            received = await self._resume(noted, offset) if noted and offset else None
            if received is None:
                offset = 0
                received = await self._client.get(self._name, self._start_anew, progress=self._progress)
        except errors.DigestMismatch:
            await self._in_thread(self._part.discard)
            raise
        await self._in_thread(self._finish, received)
        size = offset + received.header.size
        return Download(self._name, self._part.path, size, received.sha256, received.verified, offset)

    def _finish(self, received: Received) -> None:
        self._part.finish(received.header.mtime, verified=received.verified)

    def _start_anew(self, header: wire.FileHeader) -> Deferred[int | None]:
        source = Source(header.size, header.mtime)
        beginning: Deferred[Any] = self._in_thread(self._part.begin, source)
        return beginning.addCallback(lambda _: self._part.descriptor)

    async def _resume(self, noted: Source, offset: int) -> Received | None:
        """The rest of the file; None where it is not the same file any more."""
        hasher, hashed = hashlib.sha256(), 0
        while hashed < offset:
            hashed = await self._in_thread(self._part.read_slice, hasher.update, hashed, offset)
        is_same = False

        def go_on(header: wire.FileHeader) -> Deferred[int | None]:
            nonlocal is_same
            is_same = Source(offset + header.size, header.mtime) == noted
            going: Deferred[Any] = self._in_thread(self._part.continue_at, offset)
            return going.addCallback(lambda _: self._part.descriptor if is_same else None)

        try:
            received = await self._client.get(self._name, go_on, offset=offset, hasher=hasher, progress=self._progress)
        except errors.BadOffset:
            return None  # it is shorter now
        except errors.Changed:
            if is_same:
                raise
            return None
        return received if is_same else None
