"""Folders below an open folder, each opened by its name in the one before, so that no link leads anywhere else.

Both ends resolve paths in this way alone. Plain Python that blocks on the disk.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress

from chatfile.fdio import close_quietly

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Enter = Callable[[int, str], int]
"""Opens the folder of a name in an open folder, and returns its descriptor; raises OSError."""


def descend(folder: int, names: Iterable[str], enter: Enter) -> int:
    """Return the descriptor of the folder that `names` lead to from `folder`, each opened by `enter`.

    `folder` is taken over: it is what is returned where there are no names, and closed in all other cases.
    """
    for name in names:
        try:
            inner = enter(folder, name)
        finally:
            close_quietly(folder)
        folder = inner
    return folder


def enter_folder(folder: int, name: str) -> int:
    """Open the folder `name` in `folder`.

    Raises OSError: FileNotFoundError where there is nothing, NotADirectoryError where there is a link or anything else.
    """
    if name in ("", ".", "..") or "/" in name:
        raise ValueError(f"{name!r} is not one name")  # the caller has checked it, by what may be a path on the wire
    return os.open(name.encode(), _FLAGS, dir_fd=folder)


def enter_on_same_device(folder: int, name: str) -> int:
    """Open the folder `name` in `folder`, if it is on the same file system. Raises OSError, EXDEV where it is not."""
    inner = enter_folder(folder, name)
    try:
        if os.fstat(inner).st_dev != os.fstat(folder).st_dev:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    except BaseException:
        close_quietly(inner)
        raise
    return inner


def enter_or_make(folder: int, name: str) -> int:
    """Open the folder `name` in `folder`, and make it first where there is nothing. Raises OSError."""
    try:
        return enter_folder(folder, name)
    except FileNotFoundError:
        with suppress(FileExistsError):  # somebody else has made it, or something that is no folder
            os.mkdir(name.encode(), dir_fd=folder)
        return enter_folder(folder, name)
