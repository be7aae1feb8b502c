"""Giving descriptors back."""

from __future__ import annotations

import errno
import os


def close_quietly(descriptor: int) -> None:
    """Close `descriptor`, through which nothing was written that somebody counts on.

    It is gone even where close(2) fails, and what that would tell is the end of writing only.
    """
    try:
        os.close(descriptor)
    except OSError as error:
        if error.errno == errno.EBADF:
            raise  # it was not ours
