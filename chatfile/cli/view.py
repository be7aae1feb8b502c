"""Results and messages as text: tables for people, exact rows for programs, or JSON. All text is escaped here."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from chatfile import errors, wire
from chatfile.cli.exits import ExitCode, error_word, exit_code
from chatfile.cli.format import (
    WIDEST,
    clients_table,
    elapsed,
    files_table,
    format_rate,
    format_size,
    join_row,
    latest_clients,
    percentage,
    pluralize,
    sorted_files,
)
from chatfile.cli.streams import is_free, is_unread
from chatfile.cli.terminal import is_coloured, window_size

if TYPE_CHECKING:  # so that --help does not load Twisted
    from chatfile.downloads import Download, Removal

Row = TypeVar("Row")
KEPT = "The part received so far is kept; get it again to go on."
_BLOCK = 10_000
"""Rows of one table, at most."""
_NOT_VERIFIED = "not verified, for the server does not hash"
_LONG = 1.0
"""Seconds above which a rate is worth telling."""
_BOLD, _RED, _PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[0m"


class View:
    """Shows results on standard output, and all else on standard error. Callers give text unescaped."""

    def __init__(
        self,
        *,
        as_json: bool,
        quiet: bool,
        output_is_taken: bool = False,
        as_tables: bool = False,
        width: Callable[[], int] = lambda: window_size(sys.stdout).columns,
    ) -> None:
        """Choose how to show: `as_json`: one object a line instead of text. `quiet`: no notes.

        `output_is_taken`: standard output is for a file's bytes, and objects go to standard error. `as_tables`: a user
        looks at standard output, in a window that is `width()` columns wide.
        """
        self.as_json = as_json
        """Whether JSON is shown, for programs."""
        self.has_written = False
        """Whether a result went to standard output, or was meant to."""
        self._quiet = quiet
        self._output_is_taken = output_is_taken
        self._as_tables = as_tables and not as_json
        self._width = width
        is_seen = self._as_tables or (sys.stdout is not None and sys.stdout.isatty())
        self._shown = wire.printable if is_seen else wire.exact
        self.aside: Callable[[], AbstractContextManager[None]] = nullcontext
        """The context in which everything is written: the display of progress makes room for it."""

    # --- notes, errors and events ---

    def note(self, text: str) -> None:
        """Show a note to the user, which is no result; nothing where the view is quiet."""
        if not self._quiet:
            self._tell(wire.printable(text))

    def error(self, error: errors.ChatFileError, name: str | None = None) -> None:
        """Show an error, which is about the file `name`."""
        self._tell(f"chatfile-client: {wire.printable(str(error))}")
        with suppress(OSError):  # the text has been shown already
            self._failure(error_word(error), exit_code(error), str(error), name)

    def interrupted(self, what_now: str, name: str | None) -> None:
        """Show that Ctrl-C ended the command, while the file `name` was under way, and the sentence `what_now`."""
        sentence = f"Interrupted. {what_now}".rstrip()
        self.note(sentence)
        self._failure("interrupted", ExitCode.INTERRUPTED, sentence, name)

    def _failure(self, code: str, exit_code: ExitCode, message: str, name: str | None) -> None:
        about = {} if name is None else {"name": name}
        self.event("error", code=code, exit=int(exit_code), message=message, **about)

    def event(self, event: str, **about: object) -> None:
        """Show an event, to programs alone: nothing without JSON. Raises OSError."""
        if self.as_json:
            self._print({"event": event} | about, "")

    def _tell(self, text: str) -> None:
        """Write `text`, which is escaped already, to standard error."""
        if sys.stderr is None:  # print would take standard output instead
            return
        try:
            with self.aside():
                print(text, file=sys.stderr, flush=True)
        except OSError:
            sys.stderr = None  # a full disk, or nobody reads it: results and exit code have to do

    # --- results ---

    def ack(self, text: str, reply: str) -> None:
        """Show the answer to a message."""
        self._show({"message": text, "reply": reply}, self._shown(reply))

    def clients(self, rows: Sequence[wire.ClientRow], *, me: str = "", everyone: bool = False) -> None:
        """Show the clients that the server remembers; `me` is our own name.

        In a table, only the latest of those that left are shown, unless `everyone` is set.
        """
        if not self._as_tables:
            objects = list(map(_client_object, rows))
            self._rows(objects, self._widths(objects), right=(4, 5))
            return
        shown = rows if everyone else latest_clients(rows)
        more = len(rows) - len(shown)
        below = [f"{more} more left earlier: status --all"] if more else []
        self._tables(shown, lambda some: clients_table(some, me, time.time(), self._width()), *below)

    def files(self, rows: Sequence[wire.FileRow], *, sort: str | None = None) -> None:
        """Show a listing sorted by "name", "size" (the largest first) or "time" (the latest first).

        Without `sort`, a table is sorted by name, and rows and objects are in the order of the server.
        """
        rows = sorted_files(rows, sort or ("name" if self._as_tables else None))
        if not self._as_tables:
            widest = len(str(max((row.size for row in rows), default=0)))
            self._rows(map(_file_object, rows), (widest, 0, 0), right=(0,))  # all times have the same width
        elif not rows:
            self.note("There is no file on the server.")
        else:
            total = f"{pluralize(len(rows), 'file')}, {format_size(sum(row.size for row in rows))}"
            self._tables(rows, lambda some: files_table(some, time.time(), self._width()), total)

    def help(self, rows: Iterable[str]) -> None:
        """Show the lines of the server's help."""
        for row in rows:
            self._show({"help": row}, self._shown(row))

    def text(self, text: str) -> None:
        """Show `text` as it is, without an end of line. Raises BrokenPipeError, `LocalFileError`."""
        self._show({}, text, end="")

    def lines(self, lines: Iterable[str]) -> None:
        """Show lines of text that are not the server's."""
        for line in lines:
            self._show({"text": line}, self._shown(line))

    def digest(self, digest: wire.Digest) -> None:
        """Show a digest in the format of `sha256sum`, so that `sha256sum --check` can read it."""
        shown = dataclasses.asdict(digest) | {"mtime": _time(digest.mtime)}
        name = "./-" if digest.name == "-" else digest.name  # `-` alone would mean standard input
        self._show(shown, f"{digest.sha256 or '-'}  {self._shown(name)}")

    def download(self, download: Download, seconds: float, rate: float | None = None) -> None:
        """Show a file that was saved within `seconds`, at a `rate` in bytes a second while it was received."""
        if self.as_json:
            self._show(dataclasses.asdict(download) | {"seconds": round(seconds, 3)}, "")
            return
        path, story = self._shown(_as_utf8(download.path)), _how_it_came(download, seconds, rate)
        if self._as_tables:
            self._show({}, f"{path}: {story}")
            return
        with self.aside():
            self._show({}, path)
            self.note(f"{download.name}: {story}")

    def removed(self, path: str, removal: Removal) -> None:
        """Show what became of a file that the server has no more."""
        self._show(
            {"event": "removed", "name": path, "outcome": removal.name.lower()}, f"{self._shown(path)}: {removal.value}"
        )

    def mirrored(self, counts: Mapping[str, int]) -> None:
        """Show how many files a mirror has fetched, left as they were, and removed."""
        self.event("mirrored", **counts)
        told = {"same": "the same", "removed": "removed", "kept": "changed here and kept"}
        parts = [f"{counts[name]} {words}" for name, words in told.items() if counts[name]]
        if parts:
            self.note(f"{', '.join(parts)}.")

    def would_remove(self, path: str) -> None:
        """Show a file that would be removed."""
        self._show({"event": "would-remove", "name": path}, f"remove {self._shown(path)}")

    def would_fetch(self, row: wire.FileRow) -> None:
        """Show a file that would be fetched."""
        self._show({"event": "would-fetch"} | _file_object(row), f"fetch {self._shown(row.name)}")

    def copied(self, copy: Download, seconds: float) -> None:
        """Show that a file went to standard output; people are told only where it is not verified."""
        if self.as_json:
            self._show(dataclasses.asdict(copy) | {"seconds": round(seconds, 3)}, "")
        elif not copy.verified:
            self.note(f"{copy.name}: {_NOT_VERIFIED}")

    def look(self, at: str, clients: list[dict[str, object]], lines: Sequence[str]) -> None:
        """Show one look of `watch`: the `clients` as objects, or the `lines` of their table; `at` is the time."""
        self._show({"event": "look", "time": at, "clients": clients}, "\n".join(lines))

    # --- the reader ---

    @property
    def is_free(self) -> bool:
        """Tell whether an event can be written without waiting for its reader."""
        return is_free(sys.stderr if self._output_is_taken else sys.stdout)

    def look_for_readers(self) -> None:
        """Raise BrokenPipeError where nobody reads standard output any more, while there is nothing to write."""
        if is_unread(sys.stdout):
            raise BrokenPipeError

    # --- how it is written ---

    def _rows(self, objects: Iterable[dict[str, Any]], widths: Sequence[int], right: tuple[int, ...]) -> None:
        """Show objects one by one: there may be a million, whose text is never in memory all at once."""
        for each in objects:
            self._show(each, "" if self.as_json else join_row(self._cells(each), widths, right, len))

    def _cells(self, about: dict[str, Any]) -> Iterable[str]:
        return (self._shown("-" if value is None else str(value)) for value in about.values())

    def _widths(self, objects: Iterable[dict[str, Any]]) -> list[int]:
        """Return the width of each column, in characters."""
        columns = zip(*map(self._cells, objects), strict=True)
        return [min(max(map(len, column)), WIDEST) for column in columns]

    def _tables(self, rows: Sequence[Row], table: Callable[[Sequence[Row]], list[str]], *below: str) -> None:
        """Show a table of the rows and the lines `below`; several tables where one of them all would fill memory."""
        bold, plain = (_BOLD, _PLAIN) if is_coloured() else ("", "")
        for start in range(0, len(rows), _BLOCK):
            titles, *lines = table(rows[start : start + _BLOCK])
            is_last = start + _BLOCK >= len(rows)
            self._lines([f"{bold}{titles}{plain}", *lines, *(below if is_last else ())])

    def _lines(self, lines: Iterable[str]) -> None:
        self._show({}, "\n".join(lines))

    def _show(self, as_object: dict[str, Any], text: str, end: str = "\n") -> None:
        """Write a result, whose text is escaped already. Raises BrokenPipeError, `LocalFileError`."""
        try:
            self._print(as_object, text, end)
        except ConnectionError as error:  # of a pipe or a socket
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


class PromptView(View):
    """A view for the prompt: tables, and errors as sentences that tell what to type there."""

    def __init__(self, *, quiet: bool, width: Callable[[], int]) -> None:
        """See `View`. Errors are red only on a terminal."""
        super().__init__(as_json=False, quiet=quiet, as_tables=True, width=width)
        self._errors_are_red = is_coloured() and sys.stderr is not None and sys.stderr.isatty()

    def prompt_help(self, commands: Iterable[tuple[str, str]], below: str) -> None:
        """Show the help of the prompt: commands with what they mean, and the text `below`."""
        width = min(self._width(), 76)
        for command, meaning in commands:
            self._lines(textwrap.wrap(f"{command:<17}{meaning}", width, subsequent_indent=" " * 17))
        for text in below.splitlines():
            self._lines(textwrap.wrap(text, width) or [""])

    def error(self, error: errors.ChatFileError, name: str | None = None) -> None:  # noqa: ARG002 -- it is said in it
        """Show an error, with advice that fits the prompt."""
        said = wire.printable(str(error))
        if isinstance(error, errors.TargetExists):
            said = said.replace("--force replaces it", '"get!" instead of "get" replaces it')
        self._tell(f"{_RED}{said}{_PLAIN}" if self._errors_are_red else said)

    def _tell(self, text: str) -> None:
        super()._tell(textwrap.fill(text, self._width(), break_long_words=False, break_on_hyphens=False))


def _how_it_came(download: Download, seconds: float, rate: float | None) -> str:
    """Return the sentence for a finished download."""
    proof = "SHA-256 verified" if download.verified else _NOT_VERIFIED
    if download.already:
        proof = proof if download.sha256 else "of the same size and time"
        return f"already complete, {format_size(download.size)}, {proof}"
    came = f"{format_size(download.size - download.resumed_from)} in {elapsed(seconds)}"
    speed = f" ({format_rate(rate)})" if rate is not None and seconds >= _LONG else ""
    share = percentage(download.resumed_from, download.size)
    resumed = f", resumed at {share} %" if download.resumed_from else ""
    return f"{came}{speed}{resumed}, {proof}"


def _time(seconds: int | None) -> str:
    return "-" if seconds is None else wire.format_time(seconds)


def _client_object(row: wire.ClientRow) -> dict[str, Any]:
    disconnected = None if row.disconnected is None else _time(row.disconnected)
    return dataclasses.asdict(row) | {"connected": _time(row.connected), "disconnected": disconnected}


def _file_object(row: wire.FileRow) -> dict[str, Any]:
    return {"size": row.size, "mtime": _time(row.mtime), "name": row.name}


def _as_utf8(path: str) -> str:
    """Return `path` with its bytes decoded as UTF-8: the locale may have decoded them otherwise."""
    return os.fsencode(path).decode(errors="surrogateescape")
