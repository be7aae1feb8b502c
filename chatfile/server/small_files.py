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
from chatfile.digests import Change, file_version, find_change
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


def read_if_small(opened: OpenFile, *, hashed: bool) -> SmallFile | None:
    """Read `opened` whole, in a thread, and close it; digest it where it is to be `hashed`.

    Returns None, and leaves it open, if it is larger than `SMALL`, can't be read, or has changed since it was opened:
    all that is for those that send and digest files of any size.
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
    return SmallFile(opened.name, opened.mtime, content, hashlib.sha256(content).hexdigest() if hashed else None)


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

    def __init__(
        self, repository: Repository, names: Sequence[str], in_thread: InThread, clock: IReactorTime, *, hashed: bool
    ) -> None:
        """Read the files called `names`, in their order; digest them where they are to be `hashed`."""
        self._repository = repository
        self._names = names
        self._in_thread = in_thread
        self._clock = clock
        self._hashed = hashed
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
            small = self._read_one(name)
            self._read.append(small)
            room -= SMALL if small is None else small.size
            if small is None or room <= 0 or time.monotonic() >= until:
                break

    def _read_one(self, name: str) -> SmallFile | None:
        try:
            opened = self._repository.open(name)
        except (errors.Refusal, OSError):
            return None
        try:
            return read_if_small(opened, hashed=self._hashed)
        finally:
            opened.close()
