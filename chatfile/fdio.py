"""Reading through descriptors, and closing them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

_SLICE, _BUFFER = 64 << 20, 1 << 20
"""Bytes read in one call of `read_slice`, and at a time."""


def close_quietly(descriptor: int) -> None:
    """Close `descriptor`, through which nothing was written that somebody counts on.

    It is gone even where close(2) fails, and what that would tell is the end of writing only.
    """
    try:
        os.close(descriptor)
    except OSError as error:
        if error.errno == errno.EBADF:
            raise  # it was not ours


def read_slice(descriptor: int, take: Callable[[memoryview], None], start: int, stop: int) -> int:
    """Give some of the bytes from `start` to `stop` to `take`, in a thread; return where to go on, `start` at the end.

    A file is read a slice at a time, so that an interruption is not held up. Raises OSError.
    """
    buffer, end = memoryview(bytearray(_BUFFER)), min(stop, start + _SLICE)
    while start < end:
        count = os.preadv(descriptor, [buffer[: end - start]], start)
        if count == 0:
            break
        take(buffer[:count])
        start += count
    return start
