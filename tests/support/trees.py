"""Folders with folders in them: made, and looked at, to compare what lies there with what lay there before."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chatfile.paths import descend, enter_or_make


def tree(folder: Path) -> dict[str, bytes | str]:
    """Everything below `folder`, hidden files and links (which are not followed) included: its path and what it is."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            what: bytes | str = "-> " + os.readlink(path)
        elif stat.S_ISREG(mode):
            what = path.read_bytes()
        else:
            what = stat.filemode(mode)[0]
        found[str(path.relative_to(folder))] = what
    return found


def plant(root: Path, path: str, content: bytes = b"") -> None:
    """Make a file below `root`, and the folders on the way; the path may be longer than a system call takes."""
    *folders, name = path.split("/")
    folder = descend(os.open(root, os.O_RDONLY), folders, enter_or_make)
    try:
        file = os.open(name.encode(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, dir_fd=folder)
        os.write(file, content)
        os.close(file)
    finally:
        os.close(folder)


@contextmanager
def as_another_user(folder: Path) -> Iterator[None]:
    """Root may read everything: be somebody else, to whom `folder` belongs."""
    if os.geteuid() != 0:
        yield
        return
    try:
        os.chown(folder, 65534, -1)
        os.seteuid(65534)
    except OSError as error:
        pytest.skip(f"root can't become another user here: {error}")
    try:
        yield
    finally:
        os.seteuid(0)
