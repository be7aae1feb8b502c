"""A file read a slice at a time, so that an interruption is not held up."""

from __future__ import annotations

import os
from collections.abc import Callable

_SLICE = 64 << 20
"""Bytes read in one call."""


def read_slice(descriptor: int, take: Callable[[memoryview], None], start: int, stop: int) -> int:
    """Give some of the bytes from `start` to `stop` to `take`; the result is where to go on, `start` at the end."""
    buffer, end = memoryview(bytearray(1 << 20)), min(stop, start + _SLICE)
    while start < end:
        count = os.preadv(descriptor, [buffer[: end - start]], start)
        if count == 0:
            break
        take(buffer[:count])
        start += count
    return start
