"""A part file: opened and locked, resumed or begun anew, and finally renamed."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass

from chatfile import errors
from chatfile.fdio import close_quietly, read_slice
from chatfile.partfile.names import SAFELY, is_same_file, names_beside, remove, remove_stale_link, rename
from chatfile.partfile.opening import create_exclusively, open_exclusively
from chatfile.partfile.saving import set_time, sync
from chatfile.partfile.spelling import has_other_spelling
from chatfile.paths import LocalPath

_NO_NAME = {errno.EINVAL, errno.EILSEQ}
"""Errors for a name with characters that the file system can't store."""
_LONGEST_NOTE = 100
"""Bytes of a note, more than its two numbers need."""


@dataclass(frozen=True, slots=True)
class Source:
    """The file on the server, as a later download recognizes it: size in bytes, mtime in seconds since 1970."""

    size: int
    mtime: int


class PartFile:
    """The part file of one download, open and locked until `close`.

    Its methods block on the disk: they are for threads. A note beside it tells a later download which file it is of.
    """

    def __init__(self, target: LocalPath, *, force: bool, create_folder: bool) -> None:
        """Open or create the part file of `target`, the final path, in its folder, made with `create_folder`.

        Raises `TargetExists` (unless `force`), `TargetNotRegular`, `DownloadBusy`, `LocalFileError`.
        """
        self.path = str(target)
        self._name = target.name
        self._force = force
        self._is_unwanted = False
        self._folder = -1
        self.descriptor = -1
        self._lock = threading.Lock()  # `close` waits for a call in another thread that was cancelled
        try:
            self._folder = target.open_folder(create=create_folder)
            self._check_target()
            self._part, self._note = names_beside(self._folder, self._name)
            self.descriptor, self._is_identifiable = open_exclusively(self._folder, self._part)
        except BlockingIOError:
            self._close()
            raise errors.DownloadBusy(path=self.path) from None
        except OSError as error:
            self._close()
            raise self._cannot(error) from error
        except BaseException:
            self._close()
            raise

    def _cannot(self, error: OSError) -> errors.LocalFileError:
        if error.errno in _NO_NAME:
            return errors.LocalFileError(path=self.path, why="its file system has no place for such a name")
        return errors.LocalFileError(path=self.path, why=errors.reason(error))

    def _check_target(self) -> None:
        try:
            mode = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISREG(mode):
            raise errors.TargetNotRegular(path=self.path)
        self._check_spelling()
        if not self._force:
            remove_stale_link(self._folder, self._name)
            raise errors.TargetExists(path=self.path)

    def _check_spelling(self) -> None:
        """Raise `NameTaken` if a file would be replaced that has another name, spelled differently."""
        if has_other_spelling(self._folder, self._name):
            raise errors.NameTaken(path=self.path)

    def _has_name(self, descriptor: int) -> bool:
        """Tell whether the part file still has its name: another process may have removed or replaced it."""
        if is_same_file(self._folder, self._part, descriptor):
            return True
        return not self._is_identifiable and self._looks_alike(descriptor)

    def _looks_alike(self, descriptor: int) -> bool:
        try:
            named = os.stat(self._part, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return stat.S_ISREG(named.st_mode) and named.st_size == os.fstat(descriptor).st_size

    # --- resumption ---

    def source(self) -> Source | None:
        """Return what the note says of the file on the server; None if there is no usable note."""
        return _read_note(self._folder, self._note)

    def size(self) -> int:
        """Return how many bytes the part file has. Raises OSError."""
        return os.fstat(self.descriptor).st_size

    def read_slice(self, take: Callable[[memoryview], None], start: int, stop: int) -> int:
        """Give some of the bytes from `start` to `stop` to `take`; return where those end.

        Raises `LocalFileError` if there are none, or OSError.
        """
        with self._lock:
            reached = read_slice(self.descriptor, take, start, stop)
        if reached == start:
            raise errors.LocalFileError(path=self.path, why="its part file has changed meanwhile")
        return reached

    def continue_at(self, offset: int) -> None:
        """Write behind the first `offset` bytes from now on. Raises OSError."""
        with self._lock:
            os.lseek(self.descriptor, offset, os.SEEK_SET)

    def begin(self, source: Source) -> None:
        """Empty the part file and note that it is of `source` now.

        Raises `LocalFileError`, also if the disk has no space for the whole file.
        """
        try:
            with self._lock:
                remove(self._folder, self._note)
                self._empty()
                os.lseek(self.descriptor, 0, os.SEEK_SET)
                self._check_space(source.size)
                _write_note(self._folder, self._note, source)
        except OSError as error:
            raise self._cannot(error) from error

    def _empty(self) -> None:
        if not self.size():
            return
        try:
            os.ftruncate(self.descriptor, 0)
        except OSError:  # a file system that can't truncate: make another file in its place
            remove(self._folder, self._part)
            descriptor, self.descriptor = self.descriptor, -1
            close_quietly(descriptor)
            self.descriptor, self._is_identifiable = create_exclusively(self._folder, self._part)

    def _check_space(self, size: int) -> None:
        """Raise `LocalFileError` if `size` bytes certainly do not fit on the disk."""
        try:
            disk = os.fstatvfs(self.descriptor)
        except OSError:
            return  # the file system does not know
        free = disk.f_bavail * disk.f_frsize
        if disk.f_blocks and 0 < free < size:  # 0 where it does not know; if it is full, the first write fails
            raise errors.LocalFileError(
                path=self.path, why=f"it needs {size / 1e6:,.1f} MB and the disk has {free / 1e6:,.1f} MB left"
            )

    # --- the end ---

    def finish(self, mtime: int, *, verified: bool) -> None:
        """Set the file's `mtime`, in seconds since 1970, and rename it to its final name, which nothing partial has.

        An existing file is replaced only if the new one is `verified` and the part file was opened with `force`. Raises
        `TargetExists`, `NotVerified`, `NameTaken`, or `LocalFileError`.
        """
        try:
            with self._lock:
                if not self._has_name(self.descriptor):
                    raise errors.LocalFileError(path=self.path, why="its part file was replaced meanwhile")
                set_time(self.descriptor, mtime)
                sync(self.descriptor)
                if self._force and verified:
                    self._check_replaced()
                remove(self._folder, self._note)  # before the rename: afterwards it may be another client's
                rename(self._folder, self._part, self._name, self.descriptor, replace=self._force and verified)
        except OSError as error:
            self._keep(mtime)
            if isinstance(error, FileExistsError):
                raise (errors.NotVerified if self._force else errors.TargetExists)(path=self.path) from None
            raise self._cannot(error) from error

    def _check_replaced(self) -> None:
        """Raise `NameTaken` if the file to be replaced has another name, spelled differently."""
        try:
            os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return
        self._check_spelling()

    def _keep(self, mtime: int) -> None:
        """Write the note again after a failed rename, so that the next download need not fetch the file again."""
        try:
            _write_note(self._folder, self._note, Source(self.size(), mtime))
        except OSError:
            pass  # then it has to fetch it

    def mark_unwanted(self) -> None:
        """Have `close` remove the part file and its note; other links to the file keep its bytes."""
        self._is_unwanted = True

    def discard(self) -> None:
        """Empty the part file, and have `close` remove it and its note, unless another file has its name by now."""
        self.mark_unwanted()
        try:
            os.ftruncate(self.descriptor, 0)
        except OSError:
            pass  # `close` removes its name

    def _remove_names(self) -> None:
        remove(self._folder, self._part)
        remove(self._folder, self._note)

    def close(self) -> None:
        """Close it, and remove it and its note if it is empty or unwanted; only the first call counts."""
        with self._lock:
            if self._folder < 0:
                return
            try:
                if (self._is_unwanted or not self.size()) and self._has_name(self.descriptor):
                    self._remove_names()
            except OSError:
                pass  # the download has ended well or not, whether the file can be removed or not
            finally:
                self._close()

    def _close(self) -> None:
        for descriptor in (self.descriptor, self._folder):
            if descriptor >= 0:
                close_quietly(descriptor)
        self.descriptor = self._folder = -1


def _read_note(folder: int, name: str) -> Source | None:
    """Return what the note `name` says; None if there is no usable note."""
    try:
        descriptor = os.open(name, os.O_RDONLY | SAFELY, dir_fd=folder)
        try:
            size, mtime = json.loads(os.read(descriptor, _LONGEST_NOTE))
        finally:
            close_quietly(descriptor)
    except (OSError, ValueError, TypeError):
        return None
    return Source(size, mtime) if isinstance(size, int) and isinstance(mtime, int) else None


def _write_note(folder: int, name: str, source: Source) -> None:
    """Write `source` into a new file `name`. Raises OSError."""
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | SAFELY, 0o666, dir_fd=folder)
    try:
        os.write(descriptor, json.dumps([source.size, source.mtime]).encode())
    finally:
        close_quietly(descriptor)  # an incomplete note is ignored, and the download begins anew
