"""Every access to the served files: those of one folder, and of the folders in it if that is wanted (docs/protocol.md).

Plain Python that blocks on the disk: call it in threads.
"""

from __future__ import annotations

import errno
import os
import stat
from bisect import bisect
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile

from chatfile import errors
from chatfile.fdio import close_quietly
from chatfile.paths import descend, enter_on_same_device
from chatfile.wire.text import is_servable, is_servable_path

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: a FIFO put in the place of a file must not hold the thread (POSIX open()).
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NOT_THERE = {
    errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.ENAMETOOLONG, errno.EISDIR, errno.EXDEV,
}  # fmt: skip
_NOT_ALLOWED = {errno.EACCES, errno.EPERM}

_PART = 1024
"""Entries sorted in one go, more or less: that takes less than a millisecond."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a listing or tree: size in bytes, mtime in whole seconds since 1970, its name or path."""

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

    def __init__(self, folder: str, *, is_recursive: bool = False) -> None:
        """Serve `folder`, an absolute path; with `is_recursive`, the folders in it as well."""
        self._folder = folder
        self.is_recursive = is_recursive
        self._is_servable = is_servable_path if is_recursive else is_servable

    def listing(self, is_stopped: Callable[[], bool] = lambda: False) -> Iterator[Entry]:
        """Return the files that can be fetched, sorted by name, code point by code point. Raises `Unavailable`.

        It stops reading as soon as `is_stopped()` is true, and returns what there is by then.
        """
        packed: list[str] = []
        try:
            self._scan("", packed, [], is_stopped)
        except OSError as error:
            raise _folder_refusal("", error) from error
        return _each_once(packed, ())

    def tree(self, folder: str, *, most: int, is_stopped: Callable[[], bool] = lambda: False) -> Iterator[Entry]:
        """Return the files that can be fetched of `folder`, a path, and of those in it; of all where it is empty.

        They are sorted by path, code point by code point. Folders that the server may not read are left out, as are
        those that are gone when it comes to them. It stops as `listing` does. Raises `NoSuchFile` if there is no such
        folder, `Unavailable` if one can't be read now, `Usage` for more than `most` files, or folders.
        """
        packed: list[str] = []
        folders = [folder]

        def is_over() -> bool:
            return is_stopped() or len(packed) > most or len(folders) > most

        if folder and not is_servable_path(folder):
            raise errors.NoSuchFile.in_tree(f"{folder}/", what="folder")
        for path in takewhile(lambda _: not is_over(), folders):  # to which those in each are added meanwhile
            try:
                self._scan(path, packed, folders, is_over)
            except OSError as error:
                if path == folder or error.errno not in _NOT_THERE | _NOT_ALLOWED:
                    raise _folder_refusal(path, error) from error
        if max(len(packed), len(folders)) > most:
            raise errors.Usage.of_long_tree(limit=most)
        return _each_once(packed, set(folders))

    def _scan(self, path: str, packed: list[str], folders: list[str], is_over: Callable[[], bool]) -> None:
        """Add the files of the folder `path` to `packed`, and the paths of those in it to `folders`."""
        prefix = f"{path}/" if path else ""
        with self._open_folder(path) as folder, os.scandir(folder) as scanned:
            for found in takewhile(lambda _: not is_over(), scanned):
                inner = _name(found, prefix)
                if inner is not None and found.is_dir(follow_symlinks=False):
                    folders.append(inner)
                elif (entry := _entry(found, inner)) is not None:
                    packed.append(_pack(entry))

    def open(self, name: str) -> OpenFile:
        """Open the file `name`, a path where there are subfolders, for reading.

        Raises `NoSuchFile` if it is not one of the listing or tree, `Unavailable` if it can't be read now.
        """
        if not self._is_servable(name):
            raise _missing(name) if self.is_recursive else errors.NoSuchFile(name=name)
        path, _, last = name.rpartition("/")
        try:
            with self._open_folder(path) as folder:
                return self._open_in(folder, last, name)
        except OSError as error:
            raise _file_refusal(name, error) from error

    def _open_in(self, folder: int, last: str, name: str) -> OpenFile:
        raw = last.encode()
        # Before it is opened, for to open a device can have effects, and one that may not be opened is no file either.
        if not stat.S_ISREG(os.stat(raw, dir_fd=folder, follow_symlinks=False).st_mode):
            raise _missing(name)
        descriptor = os.open(raw, _FILE_FLAGS, dir_fd=folder)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise _missing(name)
            os.set_blocking(descriptor, True)
            return OpenFile(name, descriptor, status)
        except BaseException:
            close_quietly(descriptor)
            raise

    @contextmanager
    def _open_folder(self, path: str = "") -> Iterator[int]:
        """Open the folder `path`; where that is empty, the served one. Raises OSError, `Unavailable` for that one."""
        try:
            served = os.open(self._folder, _FOLDER_FLAGS)
        except OSError as error:
            raise errors.Unavailable.folder(why=errors.reason(error)) from error
        descriptor = descend(served, path.encode().split(b"/") if path else (), enter_on_same_device)
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


def _each_once(packed: list[str], folders: Collection[str]) -> Iterator[Entry]:
    """Sort, and leave out what was there already: a folder that changes while it is read can show a name twice.

    One that was found as a file, and in `folders` as well, is a folder.
    """
    latest = ""
    for entry in map(_unpack, _sort_in_parts(packed)):
        if entry.name != latest and entry.name not in folders:
            yield entry
        latest = entry.name


def _missing(name: str) -> errors.NoSuchFile:
    return errors.NoSuchFile.in_tree(name) if "/" in name else errors.NoSuchFile(name=name)


def _file_refusal(name: str, error: OSError) -> errors.Refusal:
    """Return what is answered where the file `name` could not be opened because of `error`."""
    return _missing(name) if error.errno in _NOT_THERE else errors.Unavailable(name=name, why=errors.reason(error))


def _folder_refusal(path: str, error: OSError) -> errors.Refusal:
    """Return what is answered where the folder `path` could not be read because of `error`."""
    if not path:
        return errors.Unavailable.folder(why=errors.reason(error))
    if error.errno in _NOT_THERE:
        return errors.NoSuchFile.in_tree(f"{path}/", what="folder")
    return errors.Unavailable(name=f"{path}/", why=errors.reason(error))


def _name(found: os.DirEntry[str], prefix: str) -> str | None:
    """Return the name of what was found, with the path of its folder before it; None where it can't be served."""
    name = found.name
    if not name.isascii():
        try:
            name = os.fsencode(name).decode()
        except UnicodeDecodeError:
            return None
    if prefix:
        return f"{prefix}{name}" if is_servable_path(f"{prefix}{name}") else None
    return name if is_servable(name) else None


def _entry(found: os.DirEntry[str], name: str | None) -> Entry | None:
    try:
        if name is None or not found.is_file(follow_symlinks=False):
            return None
        status = found.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None  # it was removed since
    return Entry(status.st_size, status.st_mtime_ns // 1_000_000_000, name) if stat.S_ISREG(status.st_mode) else None
