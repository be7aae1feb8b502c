"""How results look: lines for people and pipes, or JSON."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from chatfile import errors, wire
from chatfile.cli import units
from chatfile.cli.exits import ExitCode, error_word, exit_code
from chatfile.cli.outlets import is_free
from chatfile.cli.streams import is_unread

if TYPE_CHECKING:  # Twisted is not loaded for what a view shows of --help
    from chatfile.downloads import Download

Row = TypeVar("Row")
_WIDEST = 64
"""Characters to which a column grows: one endless cell does not make every other row as long."""


KEPT = "What came is kept; get it again to go on."


class View:
    """Results on standard output, everything else on standard error."""

    def __init__(self, *, as_json: bool, quiet: bool, output_is_taken: bool = False) -> None:
        """`as_json`: one object a line instead of text. `quiet`: no notes.

        `output_is_taken`: standard output is for a file's bytes, and objects go to standard error.
        """
        self.as_json = as_json
        """Whether programs read it."""
        self.has_written = False
        """Whether a result went to standard output, or was meant to."""
        self._quiet = quiet
        self._output_is_taken = output_is_taken
        self._shown = wire.printable if sys.stdout is not None and sys.stdout.isatty() else wire.exact
        self.aside: Callable[[], AbstractContextManager[None]] = nullcontext
        """What is around everything that is written: a display makes room for it."""

    def note(self, text: str) -> None:
        """Something worth knowing that is no result."""
        if not self._quiet:
            self._tell(text)

    def error(self, error: errors.ChatFileError, name: str | None = None) -> None:
        """What went wrong, with the file `name`."""
        self.failure(error_word(error), exit_code(error), str(error), name)

    def failure(self, word: str, code: ExitCode, sentence: str, name: str | None = None) -> None:
        """What went wrong, in a word and in a sentence."""
        self._tell(f"chatfile-client: {wire.printable(sentence)}")
        about = {} if name is None else {"name": name}
        try:
            self.event("error", code=word, exit=int(code), message=sentence, **about)
        except OSError:
            pass  # it has been told already

    def interrupted(self, what_now: str, name: str | None) -> None:
        """Ctrl-C ended it, amid the file `name`."""
        sentence = f"Interrupted. {what_now}".rstrip()
        self.note(sentence)
        about = {} if name is None else {"name": name}
        self.event("error", code="interrupted", exit=int(ExitCode.INTERRUPTED), message=sentence, **about)

    def event(self, event: str, **about: object) -> None:
        """Something that is no result, for programs alone. Raises OSError."""
        if self.as_json:
            self._print({"event": event} | about, "")

    def _tell(self, text: str) -> None:
        if sys.stderr is None:  # print would take standard output instead
            return
        try:
            with self.aside():
                print(text, file=sys.stderr, flush=True)
        except OSError:
            sys.stderr = None  # a full disk, or nobody reads it: results and exit code tell enough

    def ack(self, text: str, reply: str) -> None:
        """The answer to a message."""
        self._show({"message": text, "reply": reply}, self._shown(reply))

    def clients(self, rows: Sequence[wire.ClientRow]) -> None:
        """The cache of the server."""
        widths = column_widths([] if self.as_json else map(_client_cells, rows), self._shown)
        self._table(rows, _client_object, _client_cells, widths, right=(4, 5))

    def files(self, rows: Sequence[wire.FileRow]) -> None:
        """The listing."""
        widest = 0 if self.as_json else len(str(max((row.size for row in rows), default=0)))
        self._table(rows, _file_object, _file_cells, (widest, 0, 0), right=(0,))  # times are as wide as each other

    def _table(
        self,
        rows: Sequence[Row],
        as_object: Callable[[Row], dict[str, Any]],
        cells: Callable[[Row], tuple[str, ...]],
        widths: Sequence[int],
        right: tuple[int, ...],
    ) -> None:
        """Show rows one by one, as they are looked at: there may be a million, which are never held all at once."""
        for row in rows:
            if self.as_json:
                self._show(as_object(row), "")
            else:
                self._show({}, aligned(cells(row), widths, right, self._shown))

    def help(self, rows: Iterable[str]) -> None:
        """The server's own words."""
        for row in rows:
            self._show({"help": row}, self._shown(row))

    def text(self, text: str) -> None:
        """Show `text` as it is, behind what others have shown. Raises BrokenPipeError, `LocalFileError`."""
        self._show({}, text, end="")

    def lines(self, lines: Iterable[str]) -> None:
        """Lines of text from here."""
        for line in lines:
            self._show({"text": line}, self._shown(line))

    def digest(self, digest: wire.Digest) -> None:
        """As `sha256sum` writes it, so that it can check it."""
        shown = dataclasses.asdict(digest) | {"mtime": _time(digest.mtime)}
        name = "./-" if digest.name == "-" else digest.name  # alone it would be its standard input
        self._show(shown, f"{digest.sha256 or '-'}  {self._shown(name)}")

    def download(self, download: Download, seconds: float) -> None:
        """A file that has arrived."""
        shown = dataclasses.asdict(download) | {"seconds": round(seconds, 3)}
        with self.aside():
            self._show(shown, self._shown(_as_utf8(download.path)))
            self.note(f"{wire.printable(download.name)}: {_how_it_came(download, seconds)}")

    def copied(self, copy: Download, seconds: float) -> None:
        """A file that went to standard output."""
        if self.as_json:
            self._show(dataclasses.asdict(copy) | {"seconds": round(seconds, 3)}, "")
        elif not copy.verified:
            self.note(f"{wire.printable(copy.name)}: not verified, for the server does not hash")

    def look(self, at: str, clients: list[dict[str, object]], lines: Sequence[str]) -> None:
        """Who is connected, and what they are sent."""
        self._show({"event": "look", "time": at, "clients": clients}, "\n".join(lines))

    @property
    def is_free(self) -> bool:
        """Whether an event can be written without waiting for whoever reads them."""
        return is_free(sys.stderr if self._output_is_taken else sys.stdout)

    def look_for_readers(self) -> None:
        """Raise BrokenPipeError where nobody would read what there is nothing of just now."""
        if is_unread(sys.stdout):
            raise BrokenPipeError

    def goodbye(self) -> None:
        """The session is over."""
        self.note("Bye.")

    def _show(self, as_object: dict[str, Any], text: str, end: str = "\n") -> None:
        try:
            self._print(as_object, text, end)
        except ConnectionError as error:  # a pipe's, or a socket's
            raise BrokenPipeError from error
        except OSError as error:
            raise errors.LocalFileError(path="standard output", why=errors.reason(error)) from error

    def _print(self, as_object: dict[str, Any], text: str, end: str = "\n") -> None:
        stream = sys.stderr if self._output_is_taken else sys.stdout
        if stream is None:
            raise OSError(errno.EBADF, "closed")
        self.has_written = self.has_written or stream is sys.stdout
        with self.aside():
            print(json.dumps(as_object) if self.as_json else text, end=end, file=stream, flush=True)


def _how_it_came(download: Download, seconds: float) -> str:
    proof = "SHA-256 verified" if download.verified else "not verified, for the server does not hash"
    if download.already:
        return f"already complete, {units.size(download.size)}, {proof}"
    resumed = f", resumed at {units.percentage(download.resumed_from, download.size)} %"
    return f"{units.size(download.size)} in {seconds:.1f} s{resumed if download.resumed_from else ''}, {proof}"


def _time(seconds: int | None) -> str:
    return "-" if seconds is None else wire.format_time(seconds)


def _client_object(row: wire.ClientRow) -> dict[str, Any]:
    disconnected = None if row.disconnected is None else _time(row.disconnected)
    return dataclasses.asdict(row) | {"connected": _time(row.connected), "disconnected": disconnected}


def _client_cells(row: wire.ClientRow) -> tuple[str, ...]:
    return row.name, row.address, _time(row.connected), _time(row.disconnected), str(row.files), str(row.bytes)


def _file_object(row: wire.FileRow) -> dict[str, Any]:
    return {"name": row.name, "size": row.size, "mtime": _time(row.mtime)}


def _file_cells(row: wire.FileRow) -> tuple[str, ...]:
    return str(row.size), _time(row.mtime), row.name


def _as_utf8(path: str) -> str:
    """What the bytes of `path` say, whatever the locale took them for."""
    return os.fsencode(path).decode(errors="surrogateescape")


def column_widths(table: Iterable[tuple[str, ...]], shown: Callable[[str], str] = wire.printable) -> list[int]:
    """Tell how wide each column of a table is, in characters."""
    widths: list[int] = []
    for row in table:
        found = [min(len(shown(cell)), _WIDEST) for cell in row]
        widths = list(map(max, widths, found)) if widths else found
    return widths


def aligned(
    row: tuple[str, ...],
    widths: Sequence[int],
    right: tuple[int, ...],
    shown: Callable[[str], str] = wire.printable,
) -> str:
    """Write a row in columns of these widths, those in `right` flush right.

    The last one, and what is too wide, is as long as it is.
    """
    cells = [
        cell.rjust(width) if at in right else cell if at == len(row) - 1 else cell.ljust(width)
        for at, (cell, width) in enumerate(zip(map(shown, row), widths, strict=True))
    ]
    return "  ".join(cells)
