"""The file of digests in the folder of `--state`: appended to in groups, compacted in place, locked.

Nothing depends on it but time. So nothing is synced, and of a damaged file every line is used that is whole:

    <inode> <size> <mtime> <ctime> <sha256> <CRC-32 of all before it>

Times are in nanoseconds since 1970. A line names no file, so one that was renamed keeps its digest; and no device, for
its number changes from boot to boot. Each group begins with the end of a line, whatever a crash or a full disk has left
before it.

Plain Python that blocks on the disk: call it in one thread.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import zlib
from collections.abc import Callable, Container, Iterable, Iterator

from chatfile.digests.known import ANY_DEVICE
from chatfile.digests.versions import Version
from chatfile.fdio import close_quietly, require_progress

NAME = "digests"
"""The file's name in its folder."""
GROUP = 10_000
"""Digests that are written at a time, at most."""
_PIECE = 256 << 10
"""Bytes read, or written when lines are moved, at a time."""
# O_NONBLOCK: what stands in the place of the file may be a FIFO.
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
LONGEST_RECORD = 192
"""Bytes that no record is longer than."""
_RECORD = re.compile(rb"((\d{1,20}) (\d{1,20}) (-?\d{1,20}) (-?\d{1,20}) ([0-9a-f]{64})) ([0-9a-f]{8})")
_MILLISECOND = 1_000_000


class StoreInUse(Exception):
    """Raised where another server has the store."""


def is_recordable(version: Version) -> bool:
    """Tell whether a file with such a `version` can be known again at another start.

    A file system that counts times in seconds (FAT, SFTP) mostly numbers its files anew when it is mounted: then the
    number of one file, with a size and times that they have in common, may be that of another.
    """
    *_, ctime = version
    return ctime % _MILLISECOND != 0


def format_record(version: Version, sha256: str) -> bytes:
    """Return the line, without its end, for the digest of `version`."""
    _, inode, size, mtime, ctime = version
    record = b"%d %d %d %d %b" % (inode, size, mtime, ctime, sha256.encode())
    return b"%b %08x" % (record, zlib.crc32(record))


def parse_record(line: bytes) -> tuple[Version, str] | None:
    """Return what a line says, of a file of any device; None if it is damaged."""
    found = _RECORD.fullmatch(line)
    if found is None or zlib.crc32(found[1]) != int(found[7], 16):
        return None
    inode, size, mtime, ctime = map(int, found.group(2, 3, 4, 5))
    return (ANY_DEVICE, inode, size, mtime, ctime), found[6].decode()


class DigestStore:
    """The open file of a store, with room for so many digests and as many lines again that are stale."""

    LEAST = 1000
    """Lines that are not worth being moved."""

    def __init__(self, folder: str, most: int) -> None:
        """Open, or create, the file in `folder`, for at most so many digests.

        Raises `StoreInUse`, or an OSError, also if something else has the file's name.
        """
        self._most = most
        self._longest = (2 * most + GROUP) * LONGEST_RECORD
        self._lines = 0
        self._descriptor = os.open(os.path.join(folder, NAME), _FLAGS, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is no file")
            os.set_blocking(self._descriptor, True)
            self._lock()
            self._end = min(os.fstat(self._descriptor).st_size, self._longest)
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreInUse from None
        except OSError:
            pass  # the file system has no locks; if two servers write, lines are damaged, which costs time only

    def close(self) -> None:
        """Close the file, and give up its lock."""
        close_quietly(self._descriptor)

    def read(self) -> Iterator[tuple[Version, str]]:
        """Return what the lines say that are whole, the oldest first. Raises OSError."""
        self._lines = 0
        for line in self._read_lines():
            self._lines += 1
            record = parse_record(line)
            if record is not None:
                yield record

    def _read_lines(self) -> Iterator[bytes]:
        offset, rest = 0, b""
        while offset < self._end and (piece := os.pread(self._descriptor, min(_PIECE, self._end - offset), offset)):
            offset += len(piece)
            *lines, rest = (rest + piece).split(b"\n")
            yield from filter(None, lines)
            rest = rest[-LONGEST_RECORD:]  # the end of a longer line is of no use, either
        if rest:
            yield rest

    def append(self, digests: Iterable[tuple[Version, str]]) -> None:
        """Write a group of digests. Raises OSError; then the next group is written in the place of this one."""
        lines = [format_record(*each) for each in digests]
        self._end += self._write_at(self._end, b"\n%b\n" % b"\n".join(lines))
        self._lines += len(lines)

    def _write_at(self, offset: int, data: bytes | bytearray) -> int:
        """Write all of `data`; return how many bytes that were."""
        if offset + len(data) > self._longest:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        written = 0
        with memoryview(data) as view:
            while written < len(data):
                written += require_progress(os.pwrite(self._descriptor, view[written:], offset + written))
        return written

    def compact_if_stale(self, current: Callable[[], Container[Version]], count: int) -> None:
        """Move the lines that are current to the beginning, if they may be less than half of all; `count` are known.

        `current()` returns the versions that are, each as one of any device. Lines only move towards the beginning, so
        a crash costs one of them at most. Raises OSError.
        """
        if self._lines <= 2 * max(min(count, self._most), self.LEAST):
            return
        lines, end, moving, kept = 0, 0, bytearray(), current()
        for line in self._read_lines():
            if _is_current(line, kept):
                lines, moving = lines + 1, moving + line + b"\n"
            if len(moving) >= _PIECE:
                end += self._write_at(end, moving)
                moving.clear()
        end += self._write_at(end, moving)
        os.ftruncate(self._descriptor, end)
        self._lines, self._end = lines, end


def _is_current(line: bytes, current: Container[Version]) -> bool:
    record = parse_record(line)
    return record is not None and record[0] in current
