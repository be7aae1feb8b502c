"""A terminal that obeys what steers it: its screen is what a person would have before them."""

from __future__ import annotations

import re
from pathlib import Path

import pyte

from tests.support.terminals import Terminal


class Window(Terminal):
    """`cells` is the screen, `screen` its text."""

    def __init__(self, *command: str, folder: Path, columns: int = 80, rows: int = 24, **environment: str) -> None:
        self.cells = pyte.Screen(columns, rows)
        self.cells.write_process_input = self.type
        self._stream = pyte.Stream(self.cells)
        super().__init__(*command, folder=folder, columns=columns, rows=rows, **environment)

    def _show(self, text: str) -> None:
        self._stream.feed(text)
        self.screen = "\n".join(line.rstrip() for line in self.cells.display)

    def see(self, pattern: str) -> re.Match[str]:
        """Wait until it stands on the screen, and leave it there."""
        return self._read_until(lambda: re.search(pattern, self.screen))

    def see_in_reverse(self, text: str) -> None:
        """Wait until this, and nothing else, is shown in reverse: what is drawn at once may be read in parts."""
        self._read_until(lambda: self._in_reverse() == [text])

    def _in_reverse(self) -> list[str]:
        lines = (self.cells.buffer[number] for number in range(self.cells.lines))
        columns = range(self.cells.columns)
        found = ("".join(line[column].data for column in columns if line[column].reverse).strip() for line in lines)
        return [text for text in found if text]
