"""How results look: lines for people and pipes, or JSON."""

from __future__ import annotations

import dataclasses
import errno
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from chatfile import errors, wire
from chatfile.cli import units
from chatfile.cli.exits import Exit, error_word, exit_code
from chatfile.downloads import Download

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
        self._quiet = quiet
        self._output_is_taken = output_is_taken
        self.aside: Callable[[], AbstractContextManager[None]] = nullcontext
        """What is around everything that is written: a display makes room for it."""

    def note(self, text: str) -> None:
        """Something worth knowing that is no result."""
        if not self._quiet:
            self._tell(text)

    def error(self, error: errors.ChatFileError, name: str | None = None) -> None:
        """What went wrong, with the file `name`."""
        self.failure(error_word(error), exit_code(error), str(error), name)

    def failure(self, word: str, code: Exit, sentence: str, name: str | None = None) -> None:
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
        self.event("error", code="interrupted", exit=int(Exit.INTERRUPTED), message=sentence, **about)

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
        self._show({"message": text, "reply": reply}, wire.printable(reply))

    def clients(self, rows: Iterable[wire.ClientRow]) -> None:
        """The cache of the server."""
        rows = list(rows)
        table = (
            (row.name, row.address, _time(row.connected), _time(row.disconnected), str(row.files), str(row.bytes))
            for row in rows
        )
        for row, text in zip(rows, aligned(list(table), right=(4, 5)), strict=True):
            connected, disconnected = _time(row.connected), _time(row.disconnected)
            times = {"connected": connected, "disconnected": None if row.disconnected is None else disconnected}
            self._show(dataclasses.asdict(row) | times, text)

    def files(self, rows: Iterable[wire.FileRow]) -> None:
        """The listing."""
        rows = list(rows)
        table = ((str(row.size), _time(row.mtime), row.name) for row in rows)
        for row, text in zip(rows, aligned(list(table), right=(0,)), strict=True):
            self._show({"name": row.name, "size": row.size, "mtime": _time(row.mtime)}, text)

    def help(self, rows: Iterable[str]) -> None:
        """The server's own words."""
        for row in rows:
            self._show({"help": row}, wire.printable(row))

    def script(self, text: str) -> None:
        """What a shell is to read."""
        self._show({}, text.rstrip("\n"))

    def digest(self, digest: wire.Digest) -> None:
        """As `sha256sum` writes it, so that it can check it."""
        shown = dataclasses.asdict(digest) | {"mtime": _time(digest.mtime)}
        self._show(shown, f"{digest.sha256 or '-'}  {wire.printable(digest.name)}")

    def download(self, download: Download, seconds: float) -> None:
        """A file that has arrived."""
        shown = dataclasses.asdict(download) | {"seconds": round(seconds, 3)}
        with self.aside():
            self._show(shown, wire.printable(download.path))
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

    def goodbye(self) -> None:
        """The session is over."""
        self.note("Bye.")

    def _show(self, as_object: dict[str, Any], text: str) -> None:
        try:
            self._print(as_object, text)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise errors.LocalFileError(path="standard output", why=errors.reason(error)) from error

    def _print(self, as_object: dict[str, Any], text: str) -> None:
        stream = sys.stderr if self._output_is_taken else sys.stdout
        if stream is None:
            raise OSError(errno.EBADF, "closed")
        with self.aside():
            print(json.dumps(as_object) if self.as_json else text, file=stream, flush=True)


def _how_it_came(download: Download, seconds: float) -> str:
    if download.already:
        return f"already complete, {units.size(download.size)}, SHA-256 verified"
    resumed = f", resumed at {units.percentage(download.resumed_from, download.size)} %"
    proof = "SHA-256 verified" if download.verified else "not verified, for the server does not hash"
    return f"{units.size(download.size)} in {seconds:.1f} s{resumed if download.resumed_from else ''}, {proof}"


def _time(seconds: int | None) -> str:
    return "-" if seconds is None else wire.format_time(seconds)


def aligned(table: Sequence[tuple[str, ...]], right: tuple[int, ...]) -> Iterator[str]:
    """Columns of equal width, those in `right` flush right; the last one, and what is too wide, as long as it is."""
    table = [tuple(wire.printable(cell) for cell in row) for row in table]
    widths = [min(max(map(len, column)), _WIDEST) for column in zip(*table, strict=True)]
    for row in table:
        cells = [
            cell.rjust(width) if at in right else cell if at == len(row) - 1 else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells)
