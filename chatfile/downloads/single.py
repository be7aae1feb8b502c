"""The download of one file: resumed, verified, and only then under its final name."""

from __future__ import annotations

import enum
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from chatfile import disk, errors, wire
from chatfile.client import CLOSING, ChatFileClient
from chatfile.disk import InThread, acquire, run_unawaited
from chatfile.partfile import PartFile, PresentFile, Saved, Source, is_unfinished, remove_leftovers
from chatfile.paths import LocalPath
from chatfile.pending import Received


@dataclass(frozen=True, slots=True)
class Download:
    """A file that is complete and has its final name; sizes in bytes, `sha256` None where the server does not hash."""

    name: str
    path: str
    size: int
    sha256: str | None
    verified: bool
    resumed_from: int
    already: bool = False
    """Whether it was there before, and nothing had to be sent."""


class Step(enum.Enum):
    """The steps of a download."""

    CHECKING = "checking"
    RECEIVING = "receiving"
    VERIFYING = "verifying"


@dataclass(frozen=True, slots=True)
class Stage:
    """Tells how far a step of a download is: `at` bytes of `size`, of the file, or of what is here and checked."""

    step: Step
    at: int
    size: int


def local_place(folder: str, path: str) -> LocalPath:
    """Return the place below `folder` of a path on the server, which has the same bytes in every locale."""
    return LocalPath.of(folder, os.fsdecode(path.encode()))


def checked(place: LocalPath) -> LocalPath:
    """Return `place`.

    Raises `BadName` for what is no path below its folder, `LocalFileError` for names that only part files and their
    notes have.
    """
    for name in place.names:
        if name in ("", ".", "..") or "\0" in name:
            raise errors.BadName(name=wire.printable("/".join(place.names)))
        if is_unfinished(name):
            raise errors.LocalFileError(path=place, why="such names are for unfinished downloads")
    return place


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
    saved: Saved | None = None,
    progress: Callable[[int], None] = lambda _: None,
    stage: Callable[[Stage], None] = lambda _: None,
) -> Download:
    """Fetch the file `name` into `folder`, under its own name or that of `save_as`.

    What an earlier download has left is resumed if the file on the server is still the same, which only its digest
    shows; otherwise, and where the server does not hash, the download begins anew.

    A file that is there already is not fetched if it has the size and the digest of the one on the server, whose size
    is `listed_size` bytes if the caller knows it. A file that differs is replaced only with `force`, and only by a
    complete and verified one. The file of another name, which the disk takes for the same name, is never replaced:
    `saved` remembers the names that were saved in the same run.

    `progress(n)` is called for every n more bytes received; `stage` at the beginning of each step, and now and then
    while it checks what is here.

    Raises `BadName`, a `LocalFileError`, a `Refusal`, `TransferBroken`, `DigestMismatch`. What has been received so
    far is kept for the next time, unless its digest is wrong.
    """
    wire.check_name(name)
    if "/" in (save_as or ""):
        raise errors.BadName(name=wire.printable(save_as or ""))
    return await download_to(
        client,
        name,
        checked(LocalPath(folder, (save_as or name,))),
        force=force,
        create_folder=create_folder,
        in_thread=in_thread,
        listed_size=listed_size,
        saved=saved,
        progress=progress,
        stage=stage,
    )


async def download_to(
    client: ChatFileClient,
    name: str,
    path: LocalPath,
    *,
    force: bool,
    create_folder: bool,
    in_thread: InThread,
    listed_size: int | None,
    saved: Saved | None,
    progress: Callable[[int], None],
    stage: Callable[[Stage], None],
) -> Download:
    """Fetch the file `name`, which may be a path, and save it as `path`; see `download`."""
    wire.check_path(name)
    target = _Target(client, name, path, in_thread, stage)
    if saved is not None and saved.has_like(path):
        await target.check_name_free(saved)
    download = await target.find_complete(listed_size)
    if download is None:
        download = await _fetch(target, listed_size, force, create_folder, progress)
    if saved is not None:
        saved.add(path)
    return download


async def _fetch(
    target: _Target, listed_size: int | None, force: bool, create_folder: bool, progress: Callable[[int], None]
) -> Download:
    """Open the part file and download into it. Raises what `download` does."""
    path, in_thread = target.path, target.in_thread
    open_part = partial(PartFile, path, force=force, create_folder=create_folder)
    try:
        part = await acquire(in_thread, PartFile.close, open_part)
    except errors.TargetExists:
        # Another client may have been faster: what was not there a moment ago may be the very file.
        complete = None if target.was_there else await target.find_complete(listed_size)
        if complete is None:
            raise
        return complete
    except OSError as error:
        raise errors.LocalFileError(path=path, why=errors.reason(error)) from error
    try:
        return await _FileDownload(target, part, progress).run()
    except CancelledError:
        run_unawaited(in_thread, part.close)  # not waited for: a call that is under way may hang
        raise
    except BaseException as error:
        await in_thread(part.close, insist=True)
        if isinstance(error, OSError):
            raise errors.LocalFileError(path=part.path, why=errors.reason(error)) from error
        raise


class _Target:
    """The path that a download is to have, and the file that is there before."""

    def __init__(
        self,
        client: ChatFileClient,
        name: str,
        path: LocalPath,
        in_thread: InThread,
        stage: Callable[[Stage], None],
    ) -> None:
        self.client = client
        self.name = name
        self.path = path
        self.in_thread = in_thread
        self.stage = stage
        self.was_there = False

    async def check_name_free(self, saved: Saved) -> None:
        """Raise `NameTaken` if the file of another name would be replaced, or `LocalFileError`."""
        try:
            await self.in_thread(saved.check, self.path)
        except OSError as error:
            raise errors.LocalFileError(path=self.path, why=errors.reason(error)) from error

    async def open_present(self) -> PresentFile | None:
        """Open the file that is there; return None if there is none, or none that can be read."""
        try:
            return await acquire(self.in_thread, PresentFile.close, PresentFile, self.path)
        except OSError:
            return None

    async def find_complete(self, listed_size: int | None) -> Download | None:
        """Return the file that is there, if it is the one on the server; None if it is not, or if that is unknown.

        `listed_size` is the size in bytes of the one on the server, or None if the caller does not know it.
        """
        present = await self.open_present()
        if present is None:
            return None
        self.was_there = True
        try:
            self.stage(Stage(Step.CHECKING, 0, present.size))
            sha256 = await _digest_on_server(self.client, self.name, present.size, listed_size)
            if sha256 is None or sha256 != await _digest_of(present, self.in_thread, self.stage):
                return None
            if present.has_leftovers:
                await self._remove_leftovers()
            return self.describe(present, sha256, verified=True)
        except OSError:
            return None
        finally:
            run_unawaited(self.in_thread, present.close)

    async def _remove_leftovers(self) -> None:
        try:
            await self.in_thread(remove_leftovers, self.path)
        except OSError:
            pass  # the disk hangs; what is left does no harm

    def describe(self, present: PresentFile, sha256: str | None, *, verified: bool) -> Download:
        """Return the `Download` that tells of a file which was there already."""
        return Download(self.name, present.path, present.size, sha256, verified, resumed_from=0, already=True)


async def _digest_on_server(client: ChatFileClient, name: str, size: int, listed_size: int | None) -> str | None:
    """Return the server's digest of the file `name` if that has `size` bytes, else None: a digest costs the server.

    Returns None as well where the server refuses to tell.
    """
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
    """Return the SHA-256, in hex, of a file that is there, and tell `stage` how far it is. Raises OSError."""
    position, reached = -1, 0
    while reached != position:
        position, reached = reached, await in_thread(present.hash_slice, reached)
        if reached < present.size:
            stage(Stage(Step.CHECKING, reached, present.size))
    return present.hexdigest()


class _FileDownload:
    """One download under way: resumes what is here, or begins anew, and finishes the part file."""

    def __init__(self, target: _Target, part: PartFile, progress: Callable[[int], None]) -> None:
        self._target = target
        self._client = target.client
        self._name = target.name
        self._part = part
        self._in_thread = target.in_thread
        self._progress = progress
        self._stage = target.stage
        self._size = self._missing = 0

    async def run(self) -> Download:
        """Download the file; see `download` for what is raised."""
        noted = await self._in_thread(self._part.source)
        offset = await self._in_thread(self._part.size) if noted else 0
        try:
            received = await self._resume(noted, offset) if noted and offset else None
            if received is None:
                offset = 0
                received = await self._client.get(self._name, self._begin, progress=self._count_received)
        except errors.DigestMismatch:
            await self._in_thread(self._part.discard)
            raise
        try:
            await self._in_thread(self._finish, received)
        except (errors.TargetExists, errors.NotVerified):
            same = await self._find_same(received)
            if same is None:
                raise
            return same
        size = offset + received.header.size
        return Download(self._name, self._part.path, size, received.sha256, received.verified, offset)

    async def _find_same(self, received: Received) -> Download | None:
        """Return the file that another client has saved there meanwhile, if it is the same one; else None."""
        present = await self._target.open_present()
        if present is None:
            return None
        try:
            sha256 = received.sha256 or await self._own_digest()
            if await _digest_of(present, self._in_thread, self._stage) != sha256:
                return None
            self._part.mark_unwanted()
            await self._in_thread(self._part.close, insist=True)
            return self._target.describe(present, received.sha256, verified=received.verified)
        finally:
            run_unawaited(self._in_thread, present.close)

    async def _own_digest(self) -> str:
        hasher = hashlib.sha256()
        await self._read_part(hasher.update, await self._in_thread(self._part.size))
        return hasher.hexdigest()

    def _finish(self, received: Received) -> None:
        self._part.finish(received.header.mtime, verified=received.verified)
        self._part.close()

    def _begin(self, header: wire.FileHeader) -> Deferred[int | None]:
        """Empty the part file for the whole file; return the descriptor to write to."""
        source = Source(header.size, header.mtime)
        beginning: Deferred[Any] = self._in_thread(self._part.begin, source)
        return beginning.addCallback(lambda _: self._receive(header, 0))

    def _receive(self, header: wire.FileHeader, offset: int) -> int:
        self._size, self._missing = offset + header.size, header.size
        self._stage(Stage(Step.RECEIVING, offset, self._size))
        return self._part.descriptor

    def _count_received(self, count: int) -> None:
        self._progress(count)
        self._missing -= count
        if not self._missing:
            self._stage(Stage(Step.VERIFYING, self._size, self._size))

    async def _resume(self, noted: Source, offset: int) -> Received | None:
        """Download the rest of the file from byte `offset` on.

        Returns None if it is not the file of which there was `noted` any more, or if nothing shows that it is.
        """
        hasher = hashlib.sha256()
        await self._read_part(hasher.update, offset)
        is_same = False

        def resume(header: wire.FileHeader) -> Deferred[int | None]:
            nonlocal is_same
            is_same = Source(offset + header.size, header.mtime) == noted
            seeking: Deferred[Any] = self._in_thread(self._part.continue_at, offset)
            return seeking.addCallback(lambda _: self._receive(header, offset) if is_same else None)

        try:
            received = await self._client.get(
                self._name, resume, offset=offset, hasher=hasher, progress=self._count_received
            )
        except errors.BadOffset:
            return None  # it is shorter now
        except errors.Changed:
            if is_same:
                raise
            return None
        return received if is_same and received.verified else None

    async def _read_part(self, take: Callable[[memoryview], None], end: int) -> None:
        """Give the first `end` bytes of the part file to `take`, in threads. Raises `LocalFileError`, OSError."""
        self._stage(Stage(Step.CHECKING, 0, end))
        reached = 0
        while reached < end:
            reached = await self._in_thread(self._part.read_slice, take, reached, end)
            if reached < end:
                self._stage(Stage(Step.CHECKING, reached, end))
