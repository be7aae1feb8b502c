"""Every access to the served files: one flat folder (docs/protocol.md).

Plain Python that blocks on the disk: call it in threads.
"""

from __future__ import annotations

import errno
import os
import stat
from bisect import bisect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile

from chatfile import errors
from chatfile.fdio import close_quietly
from chatfile.wire.text import is_servable

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: a FIFO put in the place of a file must not hold the thread (POSIX open()).
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.ENAMETOOLONG, errno.EISDIR}

_PART = 1024
"""Entries sorted in one go, more or less: that takes less than a millisecond."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the listing: size in bytes, mtime in whole seconds since 1970."""

    size: int
    mtime: int
    name: str


class OpenFile:
    """A served file, open for reading; its owner closes it, or detaches its descriptor and closes that."""

    def __init__(self, name: str, descriptor: int, status: os.stat_result) -> None:
        """Take over `descriptor`; `status` is what it was when it was opened, whatever becomes of the file later."""
        self.name = name
        self.descriptor = descriptor
        self.status = status

    @property
    def size(self) -> int:
        """Tell how many bytes it had when it was opened."""
        return self.status.st_size

    @property
    def mtime(self) -> int:
        """Tell when it had last been changed when it was opened, in seconds since 1970."""
        return self.status.st_mtime_ns // 1_000_000_000

    @property
    def is_open(self) -> bool:
        """Tell whether the descriptor is still here."""
        return self.descriptor >= 0

    def detach(self) -> int:
        """Return the descriptor, which is the caller's to close from now on."""
        descriptor, self.descriptor = self.descriptor, -1
        return descriptor

    def close(self) -> None:
        """Close the descriptor, if it is still here."""
        if self.is_open:
            close_quietly(self.detach())


class Repository:
    """Lists and opens the files of one folder, which may be removed and made again at any time."""

    def __init__(self, folder: str) -> None:
        """Serve `folder`, an absolute path."""
        self._folder = folder

    def listing(self, is_stopped: Callable[[], bool] = lambda: False) -> Iterator[Entry]:
        """Return the files that can be fetched, sorted by name, code point by code point. Raises `Unavailable`.

        It stops reading as soon as `is_stopped()` is true, and returns what there is by then.
        """
        with self._open_folder() as folder:
            try:
                with os.scandir(folder) as found:
                    readable = takewhile(lambda _: not is_stopped(), found)
                    packed = [_pack(entry) for each in readable if (entry := _entry(each)) is not None]
            except OSError as error:
                raise errors.Unavailable.folder(why=errors.reason(error)) from error
        return map(_unpack, _sort_in_parts(packed))

    def open(self, name: str) -> OpenFile:
        """Open the file `name` for reading.

        Raises `NoSuchFile` if it is not one of the listing, `Unavailable` if it can't be read now.
        """
        if not is_servable(name):
            raise errors.NoSuchFile(name=name)
        with self._open_folder() as folder:
            try:
                return self._open_in(folder, name)
            except OSError as error:
                if error.errno in _NOT_THERE:
                    raise errors.NoSuchFile(name=name) from error
                raise errors.Unavailable(name=name, why=errors.reason(error)) from error

    def _open_in(self, folder: int, name: str) -> OpenFile:
        raw = name.encode()
        # Before it is opened, for to open a device can have effects, and one that may not be opened is no file either.
        if not stat.S_ISREG(os.stat(raw, dir_fd=folder, follow_symlinks=False).st_mode):
            raise errors.NoSuchFile(name=name)
        descriptor = os.open(raw, _FILE_FLAGS, dir_fd=folder)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise errors.NoSuchFile(name=name)
            os.set_blocking(descriptor, True)
            return OpenFile(name, descriptor, status)
        except BaseException:
            close_quietly(descriptor)
            raise

    @contextmanager
    def _open_folder(self) -> Iterator[int]:
        try:
            descriptor = os.open(self._folder, _FOLDER_FLAGS)
        except OSError as error:
            raise errors.Unavailable.folder(why=errors.reason(error)) from error
        try:
            yield descriptor
        finally:
            close_quietly(descriptor)


# Strings, for the garbage collector would have to go through a hundred thousand objects again and again.


def _pack(entry: Entry) -> str:
    """Make a string of `entry`, in the order of the names: no character comes before a NUL, and no name holds one."""
    return f"{entry.name}\0{entry.size}\0{entry.mtime}"


def _unpack(packed: str) -> Entry:
    name, size, mtime = packed.split("\0")
    return Entry(int(size), int(mtime), name)


def _sort_in_parts(texts: list[str]) -> Iterator[str]:
    """Sort in small parts, by ranges: while one `sort` runs, it keeps the interpreter from all other threads."""
    bounds = sorted(texts[::_PART])
    parts: list[list[str]] = [[] for _ in range(len(bounds) + 1)]
    for text in texts:
        parts[bisect(bounds, text)].append(text)
    for part in parts:
        part.sort()
        yield from part


def _entry(found: os.DirEntry[str]) -> Entry | None:
    try:
        name = os.fsencode(found.name).decode()
        if not is_servable(name) or not found.is_file(follow_symlinks=False):
            return None
        status = found.stat(follow_symlinks=False)
    except (UnicodeDecodeError, FileNotFoundError):
        return None  # a name that is not UTF-8, or a file that was removed since
    return Entry(status.st_size, status.st_mtime_ns // 1_000_000_000, name) if stat.S_ISREG(status.st_mode) else None
