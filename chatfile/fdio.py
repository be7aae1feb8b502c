"""Functions of file descriptors, used by all rooms that read or write files."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

_SLICE, _BUFFER = 64 << 20, 1 << 20
"""Bytes read in one call of `read_slice`, and in each system call of it."""


def close_quietly(descriptor: int) -> None:
    """Close `descriptor` and ignore errors: for one through which nothing was written, or nothing that must arrive.

    It is closed even where close(2) fails: that tells only of writes that failed.
    """
    try:
        os.close(descriptor)
    except OSError as error:
        if error.errno == errno.EBADF:
            raise  # it was closed before: a fault of this program


def read_slice(descriptor: int, take: Callable[[memoryview], None], start: int, stop: int) -> int:
    """Give some of the bytes from `start` to `stop` to `take`; return where those end, `start` at the end of the file.

    It blocks, so it is for threads; a slice at a time, so that an interruption need not wait for long. Raises OSError.
    """
    buffer, end = memoryview(bytearray(_BUFFER)), min(stop, start + _SLICE)
    while start < end:
        count = os.preadv(descriptor, [buffer[: end - start]], start)
        if count == 0:
            break
        take(buffer[:count])
        start += count
    return start


def write_all(descriptor: int, data: bytes | memoryview) -> int:
    """Write all of `data` where `descriptor` stands; return its length.

    It blocks, so it is for threads. Raises OSError.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[require_progress(os.write(descriptor, rest)) :]
    return len(data)


def require_progress(count: int) -> int:
    """Return `count`, of bytes that a call has moved into a file.

    Raises OSError where it is none: some file systems say so when they have no space, and to try again has no end.
    """
    if not count:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return count
