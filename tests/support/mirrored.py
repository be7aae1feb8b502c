"""A server with subfolders, and mirrors of it into a local folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from chatfile import wire
from chatfile.downloads import Download, Mirror, Removal
from chatfile.downloads.manifest import NAME
from tests.support.linked import Link, outcome
from tests.support.serving import OLD, Server
from tests.support.transports import at_once, turn_over
from tests.support.trees import tree

FILES = {
    "top": b"top",
    "docs/a": b"a" * 100,
    "docs/b c": b"",
    "docs/deep/er/x": b"x" * 70_000,
    "other/y": b"y",
}


class Mirrored:
    """A server with subfolders, a local folder, and mirrors of one into the other."""

    def __init__(self, folder: Path, files: dict[str, bytes] = FILES) -> None:
        (folder / "served").mkdir()
        self.server = Server(folder / "served", limit=1000, recursive=True)
        self.local = folder / "local"
        self.requests: list[bytes] = []
        for path, content in files.items():
            self.put(path, content)

    def put(self, path: str, content: bytes, *, time: int = OLD) -> None:
        place = self.server.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        os.utime(place, (time, time))

    def remove(self, path: str) -> None:
        (self.server.folder / path).unlink()

    def rows(self, link: Link, folder: str) -> Sequence[wire.FileRow]:
        listing = link.client.tree(folder)
        link.carry()
        rows: Sequence[wire.FileRow] = outcome(listing)
        return rows

    def mirror(
        self, folder: str = "", *, delete: bool = False, rows: Sequence[wire.FileRow] | None = None, **options: Any
    ) -> tuple[dict[str, Any], dict[str, Removal]]:
        """Mirror; what came of each file that was fetched or failed, and of each that was removed."""
        link = Link(self.server, self.local)
        listed = self.rows(link, folder) if rows is None else rows
        mirror = Mirror(listed, folder, str(self.local), in_thread=at_once, **options)
        removed: dict[str, Removal] = {}
        self.run(link, mirror.begin())
        if delete:
            self.run(link, mirror.remove_gone(removed.__setitem__))
        results: dict[str, Any] = {}
        for number, row in enumerate(mirror.rows):
            result = self.run(link, mirror.download(link.client, number))
            if not isinstance(result, Download) or not result.already:
                results[row.name] = result
        assert self.run(link, mirror.finish()) is None
        self.requests = link.requests
        link.cut()
        return results, removed

    def run(self, link: Link, coroutine: Any) -> Any:
        running = Deferred.fromCoroutine(coroutine)
        for _ in range(4):
            link.carry()
            turn_over(self.server.clock)
        return outcome(running)

    def files(self) -> dict[str, bytes]:
        return {
            name: content for name, content in tree(self.local).items() if isinstance(content, bytes) and name != NAME
        }
