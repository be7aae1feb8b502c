"""Small files: each read and digested in one call in a thread, and several of them in one call where requests wait."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime

from chatfile import errors
from chatfile.digests import Change, Digests, file_version, find_change
from chatfile.disk import InThread
from chatfile.repository import OpenFile, Repository

SMALL = 64 << 10
"""Bytes up to which a file is read whole before its header is sent; a larger one goes from file to socket."""


@dataclass(frozen=True, slots=True)
class SmallFile:
    """A whole file in memory, as it was at one moment; `sha256` is None where nothing is hashed."""

    name: str
    mtime: int
    content: bytes
    sha256: str | None

    @property
    def size(self) -> int:
        """Return how many bytes it has."""
        return len(self.content)


class FileReader:
    """Opens served files, and reads those that are small; its methods are for threads, and raise what `open` does."""

    def __init__(self, repository: Repository, digests: Digests | None) -> None:
        """Read files of `repository`; without `digests`, nothing is hashed."""
        self._repository = repository
        self._digests = digests

    def open_to_send(self, name: str) -> OpenFile | SmallFile:
        """Open a file, or read it if it is small."""
        opened = self._repository.open(name)
        return self._read_if_small(opened) or opened

    def open_to_hash(self, name: str) -> OpenFile | SmallFile:
        """Open a file, or read it if it is small; return it closed where its digest is known, or none is wanted."""
        opened = self._repository.open(name)
        if self._digests is None or self._digests.find(opened.status) is not None:
            opened.close()
            return opened
        return self._read_if_small(opened) or opened

    def read(self, name: str) -> SmallFile | None:
        """Read a file; return None where it can't be opened, or is not small."""
        try:
            opened = self._repository.open(name)
        except (errors.Refusal, OSError):
            return None
        try:
            return self._read_if_small(opened)
        finally:
            opened.close()

    def _read_if_small(self, opened: OpenFile) -> SmallFile | None:
        """Read `opened` whole, digest it, and close it.

        Returns None, and leaves it open, if it is larger than `SMALL`, can't be read, or has changed since it was
        opened: all that is for those that send and digest files of any size.
        """
        if opened.size > SMALL:
            return None
        try:
            content = os.pread(opened.descriptor, opened.size, 0)
            change = find_change(file_version(opened.status), os.fstat(opened.descriptor))
        except OSError:
            return None
        if change is not Change.NONE or len(content) < opened.size:
            return None
        opened.close()
        sha256 = None if self._digests is None else hashlib.sha256(content).hexdigest()
        return SmallFile(opened.name, opened.mtime, content, sha256)


def close_opened(opened: OpenFile | SmallFile) -> None:
    """Close what a `FileReader` has opened and nobody wants any more; it blocks, so it is for threads."""
    if isinstance(opened, OpenFile):
        opened.close()


class ReadAhead:
    """Reads the files of some requests that wait behind each other, a few in one call, while they are small.

    One that is not small, can't be read, or takes long is left to the request itself: then it is opened as if it had
    come alone, and those before it have been answered by then.
    """

    BYTES = 256 << 10
    """Bytes after which a call reads no further file."""
    SECONDS = 0.005
    """Seconds after which it does not, either: the thread is one of a few."""
    PATIENCE = 0.25
    """Seconds that a request waits for a call that reads others, too: one of those may be what hangs."""

    def __init__(self, reader: FileReader, names: Sequence[str], in_thread: InThread, clock: IReactorTime) -> None:
        """Let `reader` read the files called `names`, in their order."""
        self._reader = reader
        self._names = names
        self._in_thread = in_thread
        self._clock = clock
        self._read: list[SmallFile | None] = []  # a thread appends to it
        self._taken = 0
        self._may_read = True

    async def take(self) -> SmallFile | None:
        """Return the next file; None if it is to be opened by the request."""
        at = self._taken
        self._taken += 1
        if at >= len(self._read) and self._may_read:
            await self._read_some()
        if at >= len(self._read):
            return None
        small, self._read[at] = self._read[at], None
        return small

    async def _read_some(self) -> None:
        reading = self._in_thread(self._read_on)
        try:
            await reading.addTimeout(self.PATIENCE, self._clock)
        except (DeferredTimeout, OSError):
            self._may_read = False

    def _read_on(self) -> None:
        """Read the next few files, in a thread."""
        until, room = time.monotonic() + self.SECONDS, self.BYTES
        for name in self._names[len(self._read) :]:
            small = self._reader.read(name)
            self._read.append(small)
            room -= SMALL if small is None else small.size
            if small is None or room <= 0 or time.monotonic() >= until:
                break
