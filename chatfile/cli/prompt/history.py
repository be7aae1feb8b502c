"""The history of lines typed at the prompt, in a file that nobody else can read and that does not grow for ever."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from prompt_toolkit.history import History, InMemoryHistory

KEPT = 1000
"""Lines that outlive a run."""
_LONGEST = 1 << 20
"""Bytes that are read at the start, the last ones: a file that grew beyond all measure delays nobody."""


def history_path() -> Path | None:
    """Return the path of the history (XDG base directories); None for a user without a home."""
    state = os.environ.get("XDG_STATE_HOME", "")
    base = state if os.path.isabs(state) else os.path.expanduser("~/.local/state")  # unchanged where there is no home
    return Path(base) / "chatfile" / "history" if os.path.isabs(base) else None


def kept_history() -> History:
    """Return the history of earlier runs; one of this run only, where there is no place to keep it."""
    path = history_path()
    return InMemoryHistory() if path is None else KeptHistory(path)


class KeptHistory(History):
    """The history in a file. Where that can't be read or written, the history is that of this run only."""

    def __init__(self, path: Path) -> None:
        """Read and write nothing yet."""
        super().__init__()
        self._path = path

    def load_history_strings(self) -> Iterable[str]:
        """Return the latest lines, the last one first; none where they can't be read."""
        try:
            lines = self._read()
            if len(lines) > 2 * KEPT:
                self._shorten(lines[-KEPT:])
        except (OSError, RuntimeError):
            return []
        return reversed(lines[-KEPT:])

    def _read(self) -> list[str]:
        with self._path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LONGEST))
            return file.read(_LONGEST).decode(errors="surrogateescape").split("\n")[:-1]

    def store_string(self, string: str) -> None:
        """Add what was typed, each of its lines on its own where it was pasted."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(self._path, "ab", opener=_private) as file:
                file.write(_encoded(string.splitlines()))
        except (OSError, RuntimeError):
            pass

    def _shorten(self, lines: list[str]) -> None:
        beside = self._path.with_suffix(f".{os.getpid()}")
        with open(beside, "wb", opener=_private) as file:
            file.write(_encoded(lines))
        beside.replace(self._path)


def _encoded(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
