"""The rows of one reply, kept as the bytes that came: so a million rows take little more memory than these."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, overload

from chatfile import errors
from chatfile.wire.replies import FileRow, parse_reply
from chatfile.wire.text import is_servable, is_servable_path, printable

MAX_ROWS = 1_000_000
"""Rows of one reply that a client accepts."""
MAX_ROWS_BYTES = 256 << 20
"""Bytes of all rows of one reply that a client accepts."""

MAX_TREE_ROWS = 100_000
"""Rows of a tree that a server sends, and a client accepts."""

R = TypeVar("R")


class Rows(Sequence[R]):
    """A sequence of rows, which are checked when they are added, and parsed again whenever they are read."""

    def __init__(self, parse: Callable[[bytes], R]) -> None:
        """Begin without rows; `parse` returns the value of a line, or raises `ProtocolViolation`."""
        self._parse = parse
        self._lines = bytearray()
        self._ends = array("Q", (0,))

    def append(self, line: bytes) -> R:
        """Add one more row, and return its value. Raises `ProtocolViolation` if `line` is not a row."""
        row = self._parse(line)
        self._lines += line
        self._ends.append(len(self._lines))
        return row

    @property
    def size(self) -> int:
        """Count the bytes of all rows, without their ends."""
        return len(self._lines)

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._ends) - 1

    @overload
    def __getitem__(self, at: int) -> R: ...

    @overload
    def __getitem__(self, at: slice) -> list[R]: ...

    def __getitem__(self, at: int | slice) -> R | list[R]:
        """Parse one row, or some."""
        if isinstance(at, slice):
            return [self._row(each) for each in range(len(self))[at]]
        return self._row(range(len(self))[at])

    def __iter__(self) -> Iterator[R]:
        """Parse each row in turn."""
        return map(self._row, range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Compare these with any other sequence of rows."""
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as a list's: rows can be appended

    def __repr__(self) -> str:
        """Show all rows."""
        return f"Rows({list(self)!r})"

    def _row(self, at: int) -> R:
        return self._parse(bytes(self._lines[self._ends[at] : self._ends[at + 1]]))


def parse_listed(line: bytes) -> FileRow:
    """Parse a row of a listing. Raises `ProtocolViolation`, also for a name that no server may list."""
    row = parse_reply(line, FileRow)
    if not is_servable(row.name):
        raise _not_servable(row.name)
    return row


def parse_in_tree(line: bytes) -> FileRow:
    """Parse a row of a tree. Raises `ProtocolViolation`, also for a path under which no server may have a file."""
    row = parse_reply(line, FileRow)
    check_servable(row.name)
    return row


def check_servable(path: str) -> None:
    """Raise `ProtocolViolation` where no server may have a file of that name, or path."""
    if not is_servable_path(path):
        raise _not_servable(path)


def _not_servable(name: str) -> errors.ProtocolViolation:
    return errors.ProtocolViolation(what=f'"{printable(name)}" is a name that no server may list')


class TreeOrder:
    """Checks the rows of a tree one by one: they are sorted by path, and each is a file of the folder asked for."""

    def __init__(self, folder: str) -> None:
        """Expect the files below `folder`, a path; all of them where that is empty."""
        self._start = f"{folder}/" if folder else ""
        self._latest: list[str] = []  # paths, each the beginning of the next, so that some may be folders of what comes

    def check(self, row: FileRow) -> None:
        """Raise `ProtocolViolation` for the next row where it can't be that."""
        path, latest = row.name, self._latest
        if not path.startswith(self._start) or (latest and path <= latest[-1]):
            raise errors.ProtocolViolation(what=f'"{printable(path)}" is out of its place in the tree')
        while latest and not path.startswith(latest[-1]):
            latest.pop()
        if latest and path[len(latest[-1])] == "/":
            raise errors.ProtocolViolation(what=f'"{printable(latest[-1])}" is a file and a folder')
        latest.append(path)
