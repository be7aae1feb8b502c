"""What makes a download trustworthy on disk: resumed, verified, and only then under its final name."""

from __future__ import annotations

import enum
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred

from chatfile import disk, errors, wire
from chatfile.client import CLOSING, ChatFileClient
from chatfile.disk import InThread, acquire
from chatfile.partfile import PartFile, PresentFile, Source
from chatfile.pending import Received


@dataclass(frozen=True, slots=True)
class Download:
    """A file that is whole and has its final name; sizes in bytes, `sha256` None where the server does not hash."""

    name: str
    path: str
    size: int
    sha256: str | None
    verified: bool
    resumed_from: int
    already: bool = False
    """Whether it was there before, and nothing had to be sent."""


class Step(enum.Enum):
    """What is being done for a download."""

    CHECKING = "checking"
    RECEIVING = "receiving"
    VERIFYING = "verifying"


@dataclass(frozen=True, slots=True)
class Stage:
    """How far a step of a download is: `at` bytes of `size`, of the file or of what is here and checked."""

    step: Step
    at: int
    size: int


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
    in_thread: InThread = disk.in_thread,
    listed_size: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
    stage: Callable[[Stage], None] = lambda _: None,
) -> Download:
    """Fetch the file `name` into `folder`, under its own name or that of `save_as`.

    What an earlier download left is resumed where the file is still the same. A file that is there already is not
    fetched if it has the size and the digest of the one on the server (which has `listed_size`, if the caller knows);
    one that differs is replaced only with `force`, and only by a whole and verified one. `progress(n)` is told of n
    more bytes, `stage` of each step as it begins, and now and then of how far the checking is.

    Raises `BadName`, a `LocalFileError`, a `Refusal`, `TransferBroken`, `DigestMismatch`; what has come so far is
    kept for the next time, unless its digest is wrong.
    """
    check_name(save_as or name)
    already = await _already(client, name, folder, save_as or name, listed_size, in_thread, stage)
    if already is not None:
        return already
    try:
        part = await acquire(in_thread, PartFile.close, PartFile, folder, save_as or name, force, create_folder)
    except OSError as error:
        raise errors.LocalFileError(path=os.path.join(folder, save_as or name), why=errors.reason(error)) from error
    transfer = _Transfer(client, name, part, in_thread, progress, stage)
    try:
        return await transfer.run()
    except OSError as error:
        raise errors.LocalFileError(path=part.path, why=errors.reason(error)) from error
    finally:
        part.close()


async def _already(
    client: ChatFileClient,
    name: str,
    folder: str,
    save_as: str,
    listed_size: int | None,
    in_thread: InThread,
    stage: Callable[[Stage], None],
) -> Download | None:
    """The file that is there, if it is the one on the server; None where it is not, or nobody can tell."""
    try:
        present = await acquire(in_thread, PresentFile.close, PresentFile, folder, save_as)
    except OSError:
        return None
    try:
        stage(Stage(Step.CHECKING, 0, present.size))
        sha256 = await _digest_on_server(client, name, present.size, listed_size)
        if sha256 is None or sha256 != await _digest_of(present, in_thread, stage):
            return None
        return Download(name, present.path, present.size, sha256, verified=True, resumed_from=0, already=True)
    except OSError:
        return None
    finally:
        present.close()


async def _digest_on_server(client: ChatFileClient, name: str, size: int, listed_size: int | None) -> str | None:
    """The digest of the file `name` if it has `size` bytes: of one that has not, none is computed."""
    try:
        if listed_size is None:
            listed_size = next((row.size for row in await client.listing() if row.name == name), None)
        if listed_size != size:
            return None
        return (await client.hash(name, size=size)).sha256
    except CLOSING:
        raise
    except errors.Refusal:
        return None


async def _digest_of(present: PresentFile, in_thread: InThread, stage: Callable[[Stage], None]) -> str:
    position, reached = -1, 0
    while reached != position:
        position, reached = reached, await in_thread(present.hash_slice, reached)
        if reached < present.size:
            stage(Stage(Step.CHECKING, reached, present.size))
    return present.hexdigest()


class _Transfer:
    """One download under way: what is here already, then the rest."""

    def __init__(
        self,
        client: ChatFileClient,
        name: str,
        part: PartFile,
        in_thread: InThread,
        progress: Callable[[int], None],
        stage: Callable[[Stage], None],
    ) -> None:
        self._client = client
        self._name = name
        self._part = part
        self._in_thread = in_thread
        self._progress = progress
        self._stage = stage
        self._size = self._missing = 0

    async def run(self) -> Download:
        noted = await self._in_thread(self._part.source)
        offset = await self._in_thread(self._part.size) if noted else 0
        try:
            received = await self._resume(noted, offset) if noted and offset else None
            if received is None:
                offset = 0
                received = await self._client.get(self._name, self._start_anew, progress=self._came)
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
        return beginning.addCallback(lambda _: self._receive(header, 0))

    def _receive(self, header: wire.FileHeader, offset: int) -> int:
        self._size, self._missing = offset + header.size, header.size
        self._stage(Stage(Step.RECEIVING, offset, self._size))
        return self._part.descriptor

    def _came(self, count: int) -> None:
        self._progress(count)
        self._missing -= count
        if not self._missing:
            self._stage(Stage(Step.VERIFYING, self._size, self._size))

    async def _resume(self, noted: Source, offset: int) -> Received | None:
        """The rest of the file; None where it is not the same file any more."""
        self._stage(Stage(Step.CHECKING, 0, offset))
        hasher, hashed = hashlib.sha256(), 0
        while hashed < offset:
            hashed = await self._in_thread(self._part.read_slice, hasher.update, hashed, offset)
            if hashed < offset:
                self._stage(Stage(Step.CHECKING, hashed, offset))
        is_same = False

        def go_on(header: wire.FileHeader) -> Deferred[int | None]:
            nonlocal is_same
            is_same = Source(offset + header.size, header.mtime) == noted
            going: Deferred[Any] = self._in_thread(self._part.continue_at, offset)
            return going.addCallback(lambda _: self._receive(header, offset) if is_same else None)

        try:
            received = await self._client.get(self._name, go_on, offset=offset, hasher=hasher, progress=self._came)
        except errors.BadOffset:
            return None  # it is shorter now
        except errors.Changed:
            if is_same:
                raise
            return None
        return received if is_same else None
