"""Folders below an open folder, each opened by its name in the one before, so that no link leads anywhere else.

Both ends resolve paths in this way alone. Plain Python that blocks on the disk.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from chatfile.fdio import close_quietly

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Name = str | bytes
"""A name as the system has it: bytes, or these decoded as `os.fsdecode` does."""
Enter = Callable[[int, Name], int]
"""Opens the folder of a name in an open folder, and returns its descriptor; raises OSError."""


def descend(folder: int, names: Iterable[Name], enter: Enter) -> int:
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


def enter_folder(folder: int, name: Name) -> int:
    """Open the folder `name` in `folder`.

    Raises OSError: FileNotFoundError where there is nothing, NotADirectoryError where there is a link or anything else.
    """
    raw = os.fsencode(name)
    if raw in (b"", b".", b"..") or b"/" in raw:
        raise ValueError(f"{name!r} is not one name")  # the caller has checked it, by what may be a path on the wire
    return os.open(raw, _FLAGS, dir_fd=folder)


def enter_on_same_device(folder: int, name: Name) -> int:
    """Open the folder `name` in `folder`, if it is on the same file system. Raises OSError, EXDEV where it is not."""
    inner = enter_folder(folder, name)
    try:
        if os.fstat(inner).st_dev != os.fstat(folder).st_dev:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    except BaseException:
        close_quietly(inner)
        raise
    return inner


def enter_or_make(folder: int, name: Name) -> int:
    """Open the folder `name` in `folder`, and make it first where there is nothing. Raises OSError."""
    try:
        return enter_folder(folder, name)
    except FileNotFoundError:
        with suppress(FileExistsError):  # somebody else has made it, or something that is no folder
            os.mkdir(os.fsencode(name), dir_fd=folder)
        return enter_folder(folder, name)


@dataclass(frozen=True, slots=True)
class LocalPath:
    """The place of a file on this disk: a folder that the user has named, folders below that, and the file's name."""

    root: str
    names: tuple[str, ...]

    @classmethod
    def of(cls, root: str, path: str) -> LocalPath:
        """Return the place of `path`, whose components are joined by `/`, below `root`."""
        return cls(root, tuple(path.split("/")))

    @property
    def name(self) -> str:
        """Return the name of the file in its folder."""
        return self.names[-1]

    @property
    def folder(self) -> tuple[str, ...]:
        """Return what is the same for all files of one folder."""
        return self.root, *self.names[:-1]

    def __str__(self) -> str:
        """Return the path as people write it."""
        return os.path.join(self.root, *self.names)

    def open_folder(self, *, create: bool = False) -> int:
        """Return the descriptor of the file's folder, which is made with `create`. Only the root may be a link.

        Raises OSError.
        """
        if create:
            _make_root(self.root)
        root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return descend(root, self.names[:-1], enter_or_make if create else enter_folder)


def _make_root(root: str) -> None:
    try:
        os.makedirs(root, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, "not a folder", root) from error
