"""The download of one file: resumed, verified, and only then under its final name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from chatfile import disk, errors, wire
from chatfile.client import ChatFileClient
from chatfile.disk import InThread, acquire, run_unawaited
from chatfile.downloads.target import Download, DownloadTarget, Stage, Step, WantedFile, checked
from chatfile.partfile import PartFile, Saved, Source
from chatfile.paths import LocalPath
from chatfile.pending import Received


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
    sha256: str | None = None,
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

    `sha256`, in hex, is the digest that the file must have, known from elsewhere: it stands for that of the server,
    which then need not be asked about a file that is there, nor hash at all.

    `progress(n)` is called for every n more bytes received; `stage` at the beginning of each step, and now and then
    while it checks what is here.

    Raises `BadName`, a `LocalFileError`, a `Refusal`, `TransferBroken`, `DigestMismatch`. What has been received so
    far is kept for the next time, unless its digest is wrong.
    """
    wire.check_name(name)
    if "/" in (save_as or ""):
        raise errors.BadName(name=wire.printable(save_as or ""))
    path = checked(LocalPath(folder, (save_as or name,)))
    wanted = WantedFile(name, path, listed_size, force, create_folder, sha256 and sha256.lower())
    return await download_wanted(client, wanted, in_thread, saved, progress, stage)


async def download_wanted(
    client: ChatFileClient,
    wanted: WantedFile,
    in_thread: InThread,
    saved: Saved | None,
    progress: Callable[[int], None],
    stage: Callable[[Stage], None],
) -> Download:
    """Fetch a file, whose name may be a path, and save it in its place; see `download`."""
    wire.check_path(wanted.name)
    target = DownloadTarget(client, wanted, in_thread, stage)
    if saved is not None and saved.has_like(wanted.path):
        await target.check_name_free(saved)
    download = await target.find_complete()
    if download is None:
        download = await _fetch(target, progress)
    if saved is not None:
        saved.add(wanted.path)
    return download


async def _fetch(target: DownloadTarget, progress: Callable[[int], None]) -> Download:
    """Open the part file and download into it. Raises what `download` does."""
    path, in_thread = target.wanted.path, target.in_thread
    open_part = partial(PartFile, path, force=target.wanted.force, create_folder=target.wanted.create_folder)
    try:
        part = await acquire(in_thread, PartFile.close, open_part)
    except errors.TargetExists:
        # Another client may have been faster: what was not there a moment ago may be the very file.
        complete = None if target.was_there else await target.find_complete()
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


class _FileDownload:
    """One download under way: resumes what is here, or begins anew, and finishes the part file."""

    def __init__(self, target: DownloadTarget, part: PartFile, progress: Callable[[int], None]) -> None:
        self._target = target
        self._client = target.client
        self._name = target.wanted.name
        self._expected = target.wanted.sha256
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
            received = check_expected(self._name, received, self._expected)
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
            if await self._target.digest_of(present) != sha256:
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

        Returns None if it is not the file of which there was `noted` any more, if nothing shows that it is, or if the
        digest shows that what is here is not its beginning: lost power can leave zeros in the place of bytes.
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
            received = check_expected(self._name, received, self._expected)
        except (errors.BadOffset, errors.DigestMismatch):  # it is shorter now, or what is here was damaged
            return None
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


def check_expected(name: str, received: Received, expected: str | None) -> Received:
    """Return what was received, verified by the digest that was `expected`, if any.

    Raises `DigestMismatch` where it has another one.
    """
    if expected is None:
        return received
    if received.computed != expected:
        raise errors.DigestMismatch.not_as_expected(name=wire.printable(name))
    return replace(received, sha256=expected, verified=True)
