"""The file that is wanted, the place that it is to have, and what is there before it comes."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable
from dataclasses import dataclass

from chatfile import errors, wire
from chatfile.client import CLOSING, ChatFileClient
from chatfile.disk import InThread, acquire, run_unawaited
from chatfile.partfile import PresentFile, Saved, is_unfinished, remove_leftovers
from chatfile.paths import LocalPath


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


@dataclass(frozen=True, slots=True)
class WantedFile:
    """A file on the server, and where it is to be saved.

    `listed_size` is its size in bytes on the server, None if the caller does not know it. `sha256` is the digest that
    it must have, in lower-case hex, None where there is none from elsewhere.
    """

    name: str
    path: LocalPath
    listed_size: int | None = None
    force: bool = False
    create_folder: bool = True
    sha256: str | None = None


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


class DownloadTarget:
    """The place that a download is to have, and the file that is there before."""

    def __init__(
        self,
        client: ChatFileClient,
        wanted: WantedFile,
        in_thread: InThread,
        stage: Callable[[Stage], None],
    ) -> None:
        """Look at the place of `wanted`; `stage` is told of checks that are under way."""
        self.client = client
        self.wanted = wanted
        self.in_thread = in_thread
        self.stage = stage
        self.was_there = False
        """Whether a file was there at the first look."""

    async def check_name_free(self, saved: Saved) -> None:
        """Raise `NameTaken` if the file of another name would be replaced, or `LocalFileError`."""
        try:
            await self.in_thread(saved.check, self.wanted.path)
        except OSError as error:
            raise errors.LocalFileError(path=self.wanted.path, why=errors.reason(error)) from error

    async def open_present(self) -> PresentFile | None:
        """Open the file that is there; return None if there is none, or none that can be read."""
        try:
            return await acquire(self.in_thread, PresentFile.close, PresentFile, self.wanted.path)
        except OSError:
            return None

    async def find_complete(self) -> Download | None:
        """Return the file that is there, if it is the one that is wanted; None if it is not, or if that is unknown."""
        present = await self.open_present()
        if present is None:
            return None
        self.was_there = True
        try:
            self.stage(Stage(Step.CHECKING, 0, present.size))
            sha256 = self.wanted.sha256 or await self._digest_on_server(present.size)
            if sha256 is None or sha256 != await self.digest_of(present):
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
            await self.in_thread(remove_leftovers, self.wanted.path)
        except OSError:
            pass  # the disk hangs; what is left does no harm

    def describe(self, present: PresentFile, sha256: str | None, *, verified: bool) -> Download:
        """Return the `Download` that tells of a file which was there already."""
        return Download(self.wanted.name, present.path, present.size, sha256, verified, resumed_from=0, already=True)

    async def _digest_on_server(self, size: int) -> str | None:
        """Return the server's digest of the file if that has `size` bytes, else None: a digest costs the server.

        Returns None as well where the server refuses to tell.
        """
        try:
            if await self._size_on_server(size) != size:
                return None
            return (await self.client.hash(self.wanted.name, size=size)).sha256
        except CLOSING:
            raise
        except errors.Refusal:
            return None

    async def _size_on_server(self, size: int) -> int | None:
        """Return the size of the file on the server; that of the one here where it would take a tree to know it."""
        name, listed_size = self.wanted.name, self.wanted.listed_size
        if listed_size is not None or "/" in name:
            return size if listed_size is None else listed_size
        return next((row.size for row in await self.client.listing() if row.name == name), None)

    async def digest_of(self, present: PresentFile) -> str:
        """Return the SHA-256, in hex, of a file that is there, and tell `stage` how far it is. Raises OSError."""
        position, reached = -1, 0
        while reached != position:
            position, reached = reached, await self.in_thread(present.hash_slice, reached)
            if reached < present.size:
                self.stage(Stage(Step.CHECKING, reached, present.size))
        return present.hexdigest()
