"""What of a file is in memory, and what brings it there, so that the reactor does not wait for a disk."""

from __future__ import annotations

import os
import time

_NOWAIT: int | None = getattr(os, "RWF_NOWAIT", None)
_STRIDE = 256 * 1024
"""Bytes from one sample to the next when the page cache is checked.

A sample costs a microsecond, and the cache keeps and drops stretches of a file that are mostly longer than this.
"""
_BUFFER = 256 * 1024
"""Bytes read at a time to bring them into memory."""
_LONGEST = 0.25
"""Seconds for one call in a thread: then what a slow disk has given so far is sent, and other calls have their turn."""
_IN_MEMORY = (b"tmpfs", b"ramfs")
"""File systems that have no disk but, at worst, the one that the memory of every process is swapped to."""
_MOUNTS = "/proc/self/mountinfo"


def are_cached(descriptor: int, offset: int, count: int) -> bool | None:
    """Tell whether `count` bytes (at least one) from `offset` on are in the page cache; None where that is unknown.

    Some file systems do not support RWF_NOWAIT (preadv2(2)), and some systems do not have it.
    """
    if _NOWAIT is None:
        return None
    byte = [bytearray(1)]
    try:
        for at in (*range(offset, offset + count, _STRIDE), offset + count - 1):
            os.preadv(descriptor, byte, at, _NOWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return None  # the read that follows fails with the same error
    return True


def read_cached(descriptor: int, buffer: memoryview, offset: int) -> int | None:
    """Read what is in memory of the bytes from `offset` on; return how many, or None where that is unknown.

    0 may be the end of the file, too.
    """
    if _NOWAIT is None:
        return None
    try:
        return os.preadv(descriptor, [buffer], offset, _NOWAIT)
    except BlockingIOError:
        return 0
    except OSError:
        return None  # the read that follows fails with the same error


def is_always_in_memory(descriptor: int) -> bool:
    """Tell whether the file is on a file system that is nothing but memory, in a thread. See proc_pid_mountinfo(5)."""
    device = os.fstat(descriptor).st_dev
    number = b"%d:%d" % (os.major(device), os.minor(device))
    try:
        with open(_MOUNTS, "rb") as mounts:
            kinds = [fields[fields.index(b"-") + 1] for each in mounts if (fields := each.split())[2] == number]
    except OSError:
        return False  # another system
    return bool(kinds) and kinds[0] in _IN_MEMORY


def bring_in(descriptor: int, offset: int, count: int) -> int | None:
    """Do what `read_through` does, unless the file is always in memory; then return None, at once."""
    return None if is_always_in_memory(descriptor) else read_through(descriptor, offset, count)


def read_through(descriptor: int, offset: int, count: int) -> int:
    """Read `count` bytes from `offset` on into the page cache, and advise as many behind them; return where they end.

    It blocks, so it is for threads, and begins no more reads after `_LONGEST` seconds. Raises OSError.
    """
    if hasattr(os, "posix_fadvise"):
        try:
            os.posix_fadvise(descriptor, offset, 2 * count, os.POSIX_FADV_WILLNEED)
        except OSError:
            pass  # it was a hint only
    buffer, end = memoryview(bytearray(min(_BUFFER, count))), offset + count
    until = time.monotonic() + _LONGEST
    while offset < end and (got := os.preadv(descriptor, [buffer[: end - offset]], offset)):
        offset += got
        if time.monotonic() > until:
            break
    return offset
