"""One part file: opened and locked, resumed or begun anew, and at its end given its final name."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
import time
from collections.abc import Callable

from chatfile import errors
from chatfile.descriptors import let_go
from chatfile.partfile.names import NOTE, PART, SAFELY, beside, drop_twin, leads_to, remove, rename
from chatfile.partfile.notes import Source, read_note, write_note
from chatfile.partfile.slices import read_slice

_OPEN = os.O_RDWR | os.O_CREAT | SAFELY
_NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
"""How file systems without fsync refuse it."""
_TRIES, _PAUSE = 25, 0.02
"""How often, and how many seconds apart, a lock is tried again."""


class PartFile:
    """The part file of one download, open and locked until `close`."""

    def __init__(self, folder: str, name: str, force: bool, create_folder: bool) -> None:
        """Open or create the part file for `name` in `folder`.

        Raises `TargetExists` (unless `force`), `TargetNotRegular`, `DownloadBusy`, `LocalFileError`.
        """
        self.path = os.path.join(folder, name)
        self._name = name
        self._part = beside(name, PART)
        self._note = beside(name, NOTE)
        self._force = force
        self._folder = -1
        self.descriptor = -1
        self._lock = threading.Lock()  # a call in a thread may outlive the wish for it: `close` waits
        try:
            if create_folder:
                _make_folder(folder)
            self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._check_target()
            while self.descriptor < 0:
                self.descriptor = self._open_locked()
        except OSError as error:
            self._close()
            raise self._cannot(error) from error
        except BaseException:
            self._close()
            raise

    def _cannot(self, error: OSError) -> errors.LocalFileError:
        if error.errno == errno.ELOOP:
            return errors.LocalFileError(path=self.path, why="its part file is not a regular file")
        return errors.LocalFileError(path=self.path, why=errors.reason(error))

    def _check_target(self) -> None:
        try:
            mode = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISREG(mode):
            raise errors.TargetNotRegular(path=self.path)
        if not self._force:
            drop_twin(self._folder, self._name)
            raise errors.TargetExists(path=self.path)

    def _open_locked(self) -> int:
        """The descriptor of the part file; -1 where it was not ours alone and another try is due."""
        descriptor = os.open(self._part, _OPEN, 0o666, dir_fd=self._folder)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.ELOOP, "not a regular file")
            _lock(descriptor)
            if self._is_ours_alone(descriptor):
                os.set_blocking(descriptor, True)
                return descriptor
        except BlockingIOError:
            let_go(descriptor)
            raise errors.DownloadBusy(path=self.path) from None
        except BaseException:
            let_go(descriptor)
            raise
        let_go(descriptor)
        return -1

    def _is_ours_alone(self, descriptor: int) -> bool:
        """Whether the name still leads to the locked file, and no other name does.

        Another client may have given it its final name between our open and our lock, and an interruption in the
        middle of that, or a planted link, leaves two names: what is written would appear under both.
        """
        if not self._has_name(descriptor):
            return False
        if os.fstat(descriptor).st_nlink > 1:
            os.unlink(self._part, dir_fd=self._folder)
            return False
        return True

    def _has_name(self, descriptor: int) -> bool:
        """Whether the name of the part file leads to it: anybody may have removed or replaced it since."""
        return leads_to(self._folder, self._part, descriptor)

    # --- resumption ---

    def source(self) -> Source | None:
        """What the file was on the server when the download began; None where nothing usable is here."""
        return read_note(self._folder, self._note)

    def size(self) -> int:
        """Bytes that are here."""
        return os.fstat(self.descriptor).st_size

    def read_slice(self, take: Callable[[memoryview], None], start: int, stop: int) -> int:
        """Give some of the bytes from `start` to `stop` to `take`; the result is where to go on."""
        with self._lock:
            reached = read_slice(self.descriptor, take, start, stop)
        if reached == start:
            raise errors.LocalFileError(path=self.path, why="its part file has changed meanwhile")
        return reached

    def continue_at(self, offset: int) -> None:
        """Write behind the first `offset` bytes from now on."""
        with self._lock:
            os.lseek(self.descriptor, offset, os.SEEK_SET)

    def begin(self, source: Source) -> None:
        """Start anew, with a note of what the file is on the server.

        Raises `LocalFileError`, also where there is no space for it.
        """
        try:
            with self._lock:
                remove(self._folder, self._note)
                os.ftruncate(self.descriptor, 0)
                os.lseek(self.descriptor, 0, os.SEEK_SET)
                self._check_space(source.size)
                write_note(self._folder, self._note, source)
        except OSError as error:
            raise self._cannot(error) from error

    def _check_space(self, size: int) -> None:
        disk = os.fstatvfs(self.descriptor)
        free = disk.f_bavail * disk.f_frsize
        if disk.f_blocks and size > free:
            raise errors.LocalFileError(
                path=self.path, why=f"it needs {size / 1e6:,.1f} MB and the disk has {free / 1e6:,.1f} MB left"
            )

    # --- the end ---

    def finish(self, mtime: int, *, verified: bool) -> None:
        """Give the file its time and its final name: nothing partial ever has that name.

        What exists is replaced only if that is forced and the new file `verified`. Raises `TargetExists`,
        `NotVerified`, or `LocalFileError`.
        """
        try:
            with self._lock:
                if not self._has_name(self.descriptor):
                    raise errors.LocalFileError(path=self.path, why="its part file was replaced meanwhile")
                self._set_time(mtime)
                self._sync()
                remove(self._folder, self._note)  # first: behind the rename, it could be another client's
                rename(self._folder, self._part, self._name, self.descriptor, replace=self._force and verified)
        except OSError as error:
            self._keep(mtime)
            if isinstance(error, FileExistsError):
                raise (errors.NotVerified if self._force else errors.TargetExists)(path=self.path) from None
            raise self._cannot(error) from error

    def _keep(self, mtime: int) -> None:
        """It could not have its final name: with its note, it need not be fetched again."""
        try:
            write_note(self._folder, self._note, Source(self.size(), mtime))
        except OSError:
            pass  # then it must

    def _set_time(self, mtime: int) -> None:
        try:
            os.utime(self.descriptor, (mtime, mtime))
        except (OSError, OverflowError):
            pass  # a time that this file system can't hold; the content is what was promised

    def _sync(self) -> None:
        """A name can reach the disk before the bytes do, and then the power fails."""
        try:
            os.fsync(self.descriptor)
        except OSError as error:
            if error.errno not in _NO_SYNC:
                raise

    def discard(self) -> None:
        """Keep nothing of it, whatever its names lead to by now: those are for `close`.

        Raises `LocalFileError`.
        """
        try:
            os.ftruncate(self.descriptor, 0)
        except OSError as error:
            raise self._cannot(error) from error

    def _drop_names(self) -> None:
        remove(self._folder, self._part)
        remove(self._folder, self._note)

    def close(self) -> None:
        """Let go of it; an empty part file is no use to anybody."""
        with self._lock:
            try:
                if not self.size() and self._has_name(self.descriptor):
                    self._drop_names()
            except OSError:
                pass  # an empty file that can't be removed changes nothing of how the download ended
            finally:
                self._close()

    def _close(self) -> None:
        for descriptor in (self.descriptor, self._folder):
            if descriptor >= 0:
                let_go(descriptor)
        self.descriptor = self._folder = -1


def _lock(descriptor: int) -> None:
    """Raises BlockingIOError where another download has it, and does not let go of it in a moment.

    One that was interrupted does: a thread of it may still be in a call. Ours is a thread as well, which can sleep.
    """
    for remaining in reversed(range(_TRIES)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not remaining:
                raise
            time.sleep(_PAUSE)
        else:
            return


def _make_folder(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, "not a folder", folder) from error
