"""How results look: lines for people and pipes, or JSON."""

from __future__ import annotations

import dataclasses
import errno
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from chatfile import errors, wire
from chatfile.downloads import Download

_WIDEST = 64
"""Characters to which a column grows: one endless cell does not make every other row as long."""


class View:
    """Results on standard output, everything else on standard error."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        """`as_json`: one object a line instead of text. `quiet`: no notes."""
        self._as_json = as_json
        self._quiet = quiet

    def note(self, text: str) -> None:
        """Something worth knowing that is no result."""
        if not self._quiet:
            self._tell(text)

    def error(self, error: object) -> None:
        """What went wrong."""
        self._tell(f"chatfile-client: {wire.printable(str(error))}")

    def _tell(self, text: str) -> None:
        if sys.stderr is not None:  # closed by the caller; print would take standard output instead
            print(text, file=sys.stderr, flush=True)

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
        for row, text in zip(rows, _aligned(list(table), right=(4, 5)), strict=True):
            connected, disconnected = _time(row.connected), _time(row.disconnected)
            times = {"connected": connected, "disconnected": None if row.disconnected is None else disconnected}
            self._show(dataclasses.asdict(row) | times, text)

    def files(self, rows: Iterable[wire.FileRow]) -> None:
        """The listing."""
        rows = list(rows)
        table = ((str(row.size), _time(row.mtime), row.name) for row in rows)
        for row, text in zip(rows, _aligned(list(table), right=(0,)), strict=True):
            self._show({"name": row.name, "size": row.size, "mtime": _time(row.mtime)}, text)

    def help(self, rows: Iterable[str]) -> None:
        """The server's own words."""
        for row in rows:
            self._show({"help": row}, wire.printable(row))

    def digest(self, digest: wire.Digest) -> None:
        """As `sha256sum` writes it, so that it can check it."""
        shown = dataclasses.asdict(digest) | {"mtime": _time(digest.mtime)}
        self._show(shown, f"{digest.sha256 or '-'}  {wire.printable(digest.name)}")

    def download(self, download: Download, seconds: float) -> None:
        """A file that has arrived."""
        shown = dataclasses.asdict(download) | {"seconds": round(seconds, 3)}
        self._show(shown, wire.printable(download.path))
        resumed = f", resumed at {download.resumed_from}" if download.resumed_from else ""
        proof = "SHA-256 verified" if download.verified else "not verified, for the server does not hash"
        self.note(f"{wire.printable(download.name)}: {download.size} bytes in {seconds:.1f} s{resumed}, {proof}")

    def goodbye(self) -> None:
        """The session is over."""
        self.note("Bye.")

    def _show(self, as_object: dict[str, Any], text: str) -> None:
        try:
            if sys.stdout is None:
                raise OSError(errno.EBADF, "closed")
            print(json.dumps(as_object) if self._as_json else text, flush=True)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise errors.LocalFileError(path="standard output", why=errors.reason(error)) from error


def _time(seconds: int | None) -> str:
    return "-" if seconds is None else wire.format_time(seconds)


def _aligned(table: Sequence[tuple[str, ...]], right: tuple[int, ...]) -> Iterator[str]:
    """Columns of equal width, those in `right` flush right; the last one, and what is too wide, as long as it is."""
    table = [tuple(wire.printable(cell) for cell in row) for row in table]
    widths = [min(max(map(len, column)), _WIDEST) for column in zip(*table, strict=True)]
    for row in table:
        cells = [
            cell.rjust(width) if at in right else cell if at == len(row) - 1 else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells)
