"""What a download must know of its source to be resumed, noted in a file beside it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from chatfile.fdio import close_quietly
from chatfile.partfile.names import SAFELY

_LONGEST = 100
"""Bytes of a note, more than two numbers ever need."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of the file on the server: size in bytes, mtime in seconds since 1970."""

    size: int
    mtime: int


def read_note(folder: int, name: str) -> Source | None:
    """What the note `name` says; None where nothing usable is there."""
    try:
        size, mtime = json.loads(_read(folder, name))
    except (OSError, ValueError, TypeError):
        return None
    return Source(size, mtime) if isinstance(size, int) and isinstance(mtime, int) else None


def _read(folder: int, name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | SAFELY, dir_fd=folder)
    try:
        return os.read(descriptor, _LONGEST)
    finally:
        close_quietly(descriptor)


def write_note(folder: int, name: str, source: Source) -> None:
    """Note `source` under a `name` that nothing has. Raises OSError."""
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | SAFELY, 0o666, dir_fd=folder)
    try:
        os.write(descriptor, json.dumps([source.size, source.mtime]).encode())
    finally:
        close_quietly(descriptor)  # a note that was not written, or in part, is none: then it all begins anew
