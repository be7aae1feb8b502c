"""How results look at the prompt: made for people, where those of single commands are made for pipes too."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from chatfile import errors, wire
from chatfile.cli import tables, units
from chatfile.cli.prompt.commands import HELP, HELP_BELOW
from chatfile.cli.views import View
from chatfile.downloads import Download

Row = TypeVar("Row")
_COMMANDS = 17
"""Columns of the help that the commands have."""
_WIDEST_TEXT = 76
_BLOCK = 10_000
"""Rows of one table."""
_BOLD, _RED, _PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[0m"


class HumanView(View):
    """Tables that fit the window, sizes and times as people say them."""

    def __init__(self, *, quiet: bool, is_coloured: bool, me: Callable[[], str], width: Callable[[], int]) -> None:
        """`me` is what the server calls us now. What goes elsewhere than to a terminal is never coloured."""
        super().__init__(as_json=False, quiet=quiet)
        self._is_coloured = is_coloured
        self._errors_are_coloured = is_coloured and sys.stderr is not None and sys.stderr.isatty()
        self._me = me
        self._width = width

    def clients(self, rows: Sequence[wire.ClientRow]) -> None:
        """The cache of the server."""
        self._tables(rows, lambda some: tables.clients(some, self._me(), time.time(), self._width()))

    def files(self, rows: Sequence[wire.FileRow]) -> None:
        """The listing."""
        if not rows:
            self.note("There is no file on the server.")
            return
        total = f"{counted(len(rows), 'file')}, {units.size(sum(row.size for row in rows))}"
        self._tables(rows, lambda some: tables.files(some, time.time(), self._width()), total)

    def _tables(self, rows: Sequence[Row], table: Callable[[Sequence[Row]], list[str]], *below: str) -> None:
        """Show a table of the rows: as several, each with its titles, where there are so many that they fill memory."""
        for start in range(0, len(rows), _BLOCK):
            first, *lines = table(rows[start : start + _BLOCK])
            titles = f"{_BOLD}{first}{_PLAIN}" if self._is_coloured else first
            self._lines([titles, *lines, *(below if start + _BLOCK >= len(rows) else ())])

    def prompt_help(self) -> None:
        """What can be typed here."""
        width = min(self._width(), _WIDEST_TEXT)
        indent = " " * _COMMANDS
        for command, meaning in HELP:
            self._lines(textwrap.wrap(f"{command:<{_COMMANDS}}{meaning}", width, subsequent_indent=indent))
        for text in HELP_BELOW.splitlines():
            self._lines(textwrap.wrap(text, width) or [""])

    def download(self, download: Download, seconds: float) -> None:
        """A file that has arrived."""
        path = wire.printable(download.path)
        proof = "SHA-256 verified" if download.verified else "not verified, for the server does not hash"
        if download.already:
            self._lines([f"{path}: already complete, {units.size(download.size)}, {proof}"])
            return
        share = units.percentage(download.resumed_from, download.size)
        resumed = f", resumed at {share} %" if download.resumed_from else ""
        self._lines([f"{path}: {units.size(download.size)} in {tables.spent(seconds)}{resumed}, {proof}"])

    def error(self, error: errors.ChatFileError, name: str | None = None) -> None:  # noqa: ARG002 -- it is said in it
        """What went wrong, and what to do about it here."""
        said = wire.printable(str(error))
        if isinstance(error, errors.TargetExists):
            said = said.replace("--force replaces it", '"get!" instead of "get" replaces it')
        self._tell(f"{_RED}{said}{_PLAIN}" if self._errors_are_coloured else said)

    def _tell(self, text: str) -> None:
        super()._tell(textwrap.fill(text, self._width(), break_long_words=False, break_on_hyphens=False))

    def _lines(self, lines: Iterable[str]) -> None:
        self._show({}, "\n".join(lines))


def counted(count: int, what: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count} {what}{'' if count == 1 else 's'}"
