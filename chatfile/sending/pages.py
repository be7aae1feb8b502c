"""Which bytes of a file are in memory, and bringing them there: a disk that is slow must not stop the reactor."""

from __future__ import annotations

import os
import time

_NOWAIT: int | None = getattr(os, "RWF_NOWAIT", None)
_STRIDE = 256 * 1024
"""Bytes between two looks. It is a sample: what comes and goes in memory does so in stretches, mostly longer ones, and
each look costs a microsecond."""
_BUFFER = 256 * 1024
LONGEST = 0.25
"""Seconds in one call: what a slow disk has given by then is sent, and others have their turn."""


def are_cached(descriptor: int, offset: int, count: int) -> bool | None:
    """Whether `count` bytes (at least one) from `offset` on can be had without the disk; None where nobody can tell.

    Some file systems answer to RWF_NOWAIT (preadv2(2)) that they don't know it, and some systems don't have it.
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
        return None  # whatever it is, who reads in earnest is told
    return True


def read_through(descriptor: int, offset: int, count: int) -> int:
    """Bring `count` bytes from `offset` on into memory, and ask for as many behind them; return where they end.

    In a thread: it blocks, but begins no other read after `LONGEST` seconds.
    """
    if hasattr(os, "posix_fadvise"):
        try:
            os.posix_fadvise(descriptor, offset, 2 * count, os.POSIX_FADV_WILLNEED)
        except OSError:
            pass  # it was a hint only
    buffer, end = memoryview(bytearray(min(_BUFFER, count))), offset + count
    until = time.monotonic() + LONGEST
    while offset < end and (got := os.preadv(descriptor, [buffer[: end - offset]], offset)):
        offset += got
        if time.monotonic() > until:
            break
    return offset
