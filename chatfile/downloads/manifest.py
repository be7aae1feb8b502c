"""The list of what a mirror has fetched into a folder: the only files of that folder that a mirror may remove."""

from __future__ import annotations

import enum
import errno
import os
import stat
from collections.abc import Iterable

from chatfile import errors, wire
from chatfile.fdio import close_quietly, write_all
from chatfile.partfile.names import SAFELY, remove
from chatfile.partfile.opening import check_ours, lock
from chatfile.partfile.part import Source
from chatfile.partfile.saving import sync
from chatfile.paths import LocalPath

NAME = ".chatfile-mirror"
"""The file's name: a hidden one, as no server lists."""
_NO_ROW = b"\0\n"
"""Makes of a line that was cut short one that nobody takes for a row, whatever is noted behind it."""
_PIECE = 1 << 20
"""Bytes read at a time."""


class Removal(enum.Enum):
    """What became of a file that the server has no more."""

    REMOVED = "removed"
    CHANGED = "changed here since it was fetched, and left"
    MISSING = "removed before, by somebody else"


class Manifest:
    """The files that mirrors have fetched into one folder, by their paths on the server.

    A file is noted before it has its name, and forgotten when it is certainly gone, so that nothing that was fetched is
    taken for the user's own after a power failure. Until `rewrite`, a path may be noted several times.

    Its methods block on the disk: they are for threads, one at a time. It is locked until `close`.
    """

    def __init__(self, folder: str, *, read_only: bool = False) -> None:
        """Open that of `folder`. Either is made if it is not there, unless it is only to be read.

        Raises `DownloadBusy`, `LocalFileError`.
        """
        self._place = LocalPath(folder, (NAME,))
        self.entries: dict[str, tuple[Source, ...]] = {}
        """What each file may be: one thing, or as many as were noted before the end of a mirror that was cut short."""
        self._unsynced: set[tuple[str, ...]] = set()  # folders, by their names, with names replaced or removed
        self._folder = self._descriptor = -1
        try:
            self._open_to_read() if read_only else self._open()
        except BlockingIOError:
            self.close()
            raise errors.DownloadBusy(path=folder) from None
        except OSError as error:
            self.close()
            raise errors.LocalFileError(path=self._place, why=errors.reason(error)) from error

    def _open(self) -> None:
        self._folder = self._place.open_folder(create=True)
        self._descriptor = os.open(NAME, os.O_RDWR | os.O_CREAT | os.O_APPEND | SAFELY, 0o666, dir_fd=self._folder)
        check_ours(self._folder, os.fstat(self._descriptor))
        lock(self._descriptor)
        os.set_blocking(self._descriptor, True)
        content = self._read()
        self.entries = _parse(content)
        if content and not content.endswith(b"\n"):
            write_all(self._descriptor, _NO_ROW)

    def _open_to_read(self) -> None:
        try:
            self._folder = self._place.open_folder()
            self._descriptor = os.open(NAME, os.O_RDONLY | SAFELY, dir_fd=self._folder)
        except FileNotFoundError:
            return
        self.entries = _parse(self._read())

    def _read(self) -> bytes:
        """Return all of it. Raises OSError, also where the disk gives less: what is not in it is the user's own."""
        content, size = bytearray(), os.fstat(self._descriptor).st_size
        while piece := os.read(self._descriptor, _PIECE):
            content += piece
        if len(content) < size:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return bytes(content)

    def plan(self, rows: Iterable[wire.FileRow]) -> None:
        """Note what will be fetched, and is known then even if power is lost before `add`. Raises OSError."""
        if write_all(self._descriptor, b"".join(map(_format, rows))):
            sync(self._descriptor)
            sync(self._folder)

    def add(self, fetched: Iterable[tuple[str, LocalPath]]) -> None:
        """Note files that were fetched, by their paths on the server, as they are now. Raises OSError."""
        rows = []
        for path, place in fetched:
            source = _source(place)
            if source is not None:
                if path in self.entries:
                    self._unsynced.add(place.names[:-1])
                self.entries[path] = (source,)
                rows.append(wire.FileRow(source.size, source.mtime, path))
        write_all(self._descriptor, b"".join(map(_format, rows)))

    def unchanged(self, files: Iterable[tuple[str, LocalPath]]) -> set[str]:
        """Return those of the paths on the server whose files are here as they were fetched."""
        return {path for path, place in files if path in self.entries and _is_there(place, self.entries[path])}

    def remove(self, path: str, place: LocalPath) -> Removal:
        """Remove a file that was fetched, if it is still the same, and the folders that are empty then.

        Raises OSError.
        """
        removal = self._remove(place, self.entries[path])
        del self.entries[path]  # only now: what can't be looked at, or removed, is still to be
        return removal

    def _remove(self, place: LocalPath, fetched: tuple[Source, ...]) -> Removal:
        try:
            directory = place.open_folder()
        except (FileNotFoundError, NotADirectoryError):
            return Removal.MISSING
        try:
            is_same = _source_in(directory, place.name) in fetched
            if is_same:
                os.unlink(place.name, dir_fd=directory)
        except FileNotFoundError:
            return Removal.MISSING
        finally:
            close_quietly(directory)
            self._unsynced.add(_remove_empty_folders(place))
        return Removal.REMOVED if is_same else Removal.CHANGED

    def rewrite(self, cut: Iterable[wire.FileRow] = ()) -> None:
        """Forget what was replaced or removed; at a power failure, all is done or nothing forgotten.

        What was planned is forgotten as well, but for `cut`, of which it is not known whether they were fetched.
        Raises OSError.
        """
        for row in cut:
            _note(self.entries, row)
        for names in sorted(self._unsynced):
            self._sync_folder(names)
        self._unsynced.clear()
        new = f"{NAME}.new"
        remove(self._folder, new)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | SAFELY, 0o666, dir_fd=self._folder)
        try:
            rows = (
                wire.FileRow(source.size, source.mtime, path)
                for path, sources in self.entries.items()
                for source in sources
            )
            write_all(descriptor, b"".join(map(_format, rows)))
            sync(descriptor)
        finally:
            close_quietly(descriptor)
        os.replace(new, NAME, src_dir_fd=self._folder, dst_dir_fd=self._folder)

    def _sync_folder(self, names: tuple[str, ...]) -> None:
        try:
            directory = LocalPath(self._place.root, (*names, NAME)).open_folder()
        except (FileNotFoundError, NotADirectoryError):
            return  # it was removed as well, and then it is the one around it that counts
        try:
            sync(directory)
        finally:
            close_quietly(directory)

    def close(self) -> None:
        """Close it, and give up the lock."""
        for descriptor in (self._descriptor, self._folder):
            if descriptor >= 0:
                close_quietly(descriptor)
        self._descriptor = self._folder = -1


def _format(row: wire.FileRow) -> bytes:
    return wire.format_reply(row) + b"\n"


def _parse(content: bytes) -> dict[str, tuple[Source, ...]]:
    """Return the files that are noted; a line that is no row, or not whole, is none."""
    entries: dict[str, tuple[Source, ...]] = {}
    *lines, _ = content.split(b"\n")
    for line in lines:
        try:
            row = wire.parse_in_tree(line)
        except errors.ProtocolViolation:
            continue
        _note(entries, row)
    return entries


def _note(entries: dict[str, tuple[Source, ...]], row: wire.FileRow) -> None:
    source, known = Source(row.size, row.mtime), entries.get(row.name, ())
    if source not in known:
        entries[row.name] = (*known, source)


def is_place_free(place: LocalPath) -> bool:
    """Tell whether no file is there, as far as can be found out."""
    try:
        return _source(place) is None
    except OSError:
        return True


def _is_there(place: LocalPath, fetched: tuple[Source, ...]) -> bool:
    """Tell whether the file that is there is as it was fetched, as far as that can be found out."""
    try:
        return _source(place) in fetched
    except OSError:
        return False


def _source(place: LocalPath) -> Source | None:
    """Return the size and the time of the file that is there; None where there is none, or not a regular one.

    Raises OSError where that can't be found out.
    """
    try:
        directory = place.open_folder()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return _source_in(directory, place.name)
    except FileNotFoundError:
        return None
    finally:
        close_quietly(directory)


def _source_in(directory: int, name: str) -> Source | None:
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    return Source(status.st_size, status.st_mtime_ns // 1_000_000_000) if stat.S_ISREG(status.st_mode) else None


def _remove_empty_folders(place: LocalPath) -> tuple[str, ...]:
    """Remove the folders that a file was in, from the innermost on, while they are empty; return the one that stays."""
    for depth in range(len(place.names) - 1, 0, -1):
        folder = LocalPath(place.root, place.names[:depth])
        try:
            directory = folder.open_folder()
        except OSError:
            continue
        try:
            os.rmdir(folder.name, dir_fd=directory)
        except OSError:
            return place.names[:depth]
        finally:
            close_quietly(directory)
    return ()
