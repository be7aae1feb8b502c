"""Something that stands on a terminal and is drawn anew in its place."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console, RenderableType
from rich.live import Live

from chatfile.cli.outlets import is_free

MARGIN = 3
"""Columns that stay free at the end of a line: what the terminal shows of a Ctrl-C must not begin another."""


class _Console(Console):
    """One that leaves the cursor to be seen: whatever ends the program, the terminal is as it was."""

    def show_cursor(self, show: bool = True) -> bool:  # noqa: ARG002 -- as Console has it
        """Not at all."""
        return False


class Redrawn:
    """The last lines on the terminal `stream`."""

    def __init__(self, stream: TextIO) -> None:
        """Nothing is shown yet."""
        self._stream = stream
        self._console = _Console(file=stream, force_terminal=True, force_interactive=True, highlight=False)
        self._live: Live | None = None

    @property
    def width(self) -> int:
        """Columns that the terminal has now."""
        return self._console.width

    def draw(self, what: RenderableType) -> None:
        """Show it, instead of what was shown before; not where that is still being written: it may stand still."""
        if not is_free(self._stream):
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
            self._live.start()
        self._live.update(what, refresh=True)

    def leave(self) -> None:
        """What is shown stays, and other lines come below it."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def clear(self) -> None:
        """What is shown goes."""
        if self._live is not None:
            self._live.transient = True
        self.leave()
