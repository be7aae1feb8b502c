"""What is promised (docs/threats.md), asserted while a world goes on and when it has come to rest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from twisted.internet.defer import CancelledError

from chatfile import errors
from tests.support.shelf import Shelf


class Broken(AssertionError):
    """A promise was not kept."""


class Promises:
    """Those of one world. What is found out amid a callback, where an error would be swallowed, is told by `check`."""

    def __init__(self) -> None:
        self._broken: list[str] = []

    def hold(self, is_kept: bool, promise: str, what: object) -> None:
        if not is_kept:
            self._broken.append(f"{promise}: {what}")

    def check(self) -> None:
        """Raise `Broken` for what was found out since."""
        if self._broken:
            raise Broken("\n".join(self._broken))


def is_whole(content: bytes, past: list[bytes | None]) -> bool:
    """Tell whether a file ever was that: of one that was rewritten and is longer now, it is as much as was promised."""
    versions = [each for each in past if each is not None]
    return any(content == each[: len(content)] for each in versions) and len(content) in map(len, versions)


@dataclass
class Circumstances:
    """What may have gone wrong for one operation of a client, and is then no fault of anybody's."""

    network: bool = False
    """Its connection was disturbed, or broken, or the server went down."""
    reset: bool = False
    """A file that it was sent before may have been written to in place: it may have got shorter."""
    server_disk: bool = False
    client_disk: bool = False
    shared: bool = False
    """Others write into the same folder, or files of the user's own are there."""
    cancelled: bool = False
    changes: list[list[bytes | None]] = field(default_factory=list)
    """For each file that it was about, every content since its client came: it may have been asked for ahead."""
    damaged: bool = False
    """One of these was written to in place."""
    stale: bool = False
    """It was the rest of one that has changed since."""

    def excuse(self, error: BaseException) -> bool:
        """Tell whether `error` is an honest answer."""
        return any(self._excuses(error))

    def _excuses(self, error: BaseException) -> Iterator[bool]:
        lost = (errors.ServerClosed, errors.NoConnection, errors.NoGreeting, errors.Shutdown, errors.ServerSilent)
        contents = [content for past in self.changes for content in past]
        lengths = {len(content) for content in contents if content is not None}
        yield self.cancelled and isinstance(error, CancelledError)
        is_bad = self.network or self.client_disk or self.server_disk
        yield isinstance(error, errors.Full)
        yield isinstance(error, errors.IdleTimeout) and is_bad
        yield isinstance(error, lost) and (is_bad or self.reset)
        yield isinstance(error, errors.NoSuchFile) and None in contents
        yield isinstance(error, errors.BadOffset) and len(lengths) > 1
        yield isinstance(error, errors.Unavailable) and self.server_disk
        yield isinstance(error, errors.Changed) and (self.damaged or self.server_disk)
        yield isinstance(error, errors.DigestMismatch) and (self.damaged or self.stale)
        yield isinstance(error, errors.TargetExists | errors.DownloadBusy) and self.shared
        yield isinstance(error, errors.LocalFileError | OSError) and self.client_disk


class LocalFolder:
    """Where clients save what they fetch, beside files of their user's own."""

    def __init__(self, path: Path, own: dict[str, bytes], shelf: Shelf, promises: Promises) -> None:
        self.path = str(path)
        self.own = own
        """The user's own files, which nobody may touch."""
        self._shelf = shelf
        self._promises = promises
        path.mkdir()
        for name, content in own.items():
            (path / name).write_bytes(content)

    def contents(self) -> dict[str, bytes]:
        with os.scandir(self.path) as found:
            return {entry.name: Path(entry.path).read_bytes() for entry in found}

    def check(self) -> None:
        """Nothing under its final name is partial, and nothing is touched that is the user's."""
        found = self.contents()
        for name, content in self.own.items():
            self._promises.hold(found.get(name) == content, "exact", f"the user's own {name!r} is not what it was")
        for name, content in found.items():
            if name not in self.own and not name.startswith("."):
                whole = is_whole(content, self._shelf.since(0, name))
                self._promises.hold(whole, "exact", f"{name!r} never was that: {len(content)}, {content[:9]!r}")

    def check_complete(self) -> None:
        """It is what is served, and nothing else is left of that but what a mirror notes."""
        found = self.contents()
        for row in self._shelf.rows():
            if row.name not in self.own:
                is_same = found.get(row.name) == self._shelf.content(row.name)
                self._promises.hold(is_same, "comes to a good end", f"{row.name!r} is not what is served")
                left = [name for name in (f".{row.name}.part", f".{row.name}.note") if name in found]
                self._promises.hold(not left, "leaves nothing behind", left)
