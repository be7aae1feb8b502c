"""A folder whose files change, and everything that was ever in it."""

from __future__ import annotations

import os
from pathlib import Path

from chatfile import wire
from tests.support.serving import OLD

GROWTH = 900


class Shelf:
    """Each change has a moment of its own, which is the mtime of what it leaves as well."""

    CHANGES = ("replace", "rewrite", "lengthen", "truncate", "grow", "unlink", "link", "fifo", "folder")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.moment = 0
        self._past: dict[str, list[tuple[int, bytes | None]]] = {}
        self._damaged: dict[str, int] = {}

    # --- what was there ---

    def since(self, moment: int, name: str) -> list[bytes | None]:
        """Every content of the file from that moment on; None where it could not be served."""
        past = self._past.get(name, [])
        before = [content for at, content in past if at <= moment]
        return [before[-1] if before else None, *(content for at, content in past if at > moment)]

    def is_damaged(self, moment: int, name: str) -> bool:
        """Whether the file was written to in place since, other than at its end: only then who has it open loses."""
        return self._damaged.get(name, -1) > moment

    def content(self, name: str) -> bytes | None:
        return self.since(self.moment, name)[0]

    def mtime(self, name: str) -> int:
        return OLD + self._past[name][-1][0]

    def rows(self) -> list[wire.FileRow]:
        names = sorted(name for name in self._past if self.content(name) is not None)
        return [wire.FileRow(len(self.content(name) or b""), self.mtime(name), name) for name in names]

    # --- what becomes of it ---

    def change(self, name: str, how: str, size: int) -> None:
        """Make one of `CHANGES`; those of a file that is not there make a new one."""
        self.moment += 1
        content = self.content(name)
        path = self._folder / name
        if how in ("unlink", "link", "fifo", "folder"):
            _remove(path)
            _put_something_else(path, how)
            self._note(name, None)
        elif how == "replace" or content is None:
            self._replace(path, self._text(size))
        else:
            self._alter(path, how, content)

    def _text(self, size: int) -> bytes:
        return (b"%d|" % self.moment * (size + 1))[:size]

    def _replace(self, path: Path, content: bytes) -> None:
        fresh = self._folder / ".fresh"
        fresh.write_bytes(content)
        if not path.is_file():
            _remove(path)
        fresh.replace(path)
        self._settle(path, content)

    def _alter(self, path: Path, how: str, content: bytes) -> None:
        """In the same file: whoever has it open sees it."""
        if how != "grow":
            self._damaged[path.name] = self.moment
        size = len(content)
        kept, added = {
            "rewrite": (b"", self._text(size)),
            "lengthen": (b"", self._text(size + GROWTH)),
            "truncate": (content[: size // 2], b""),
            "grow": (content, self._text(GROWTH)),
        }[how]
        with path.open("r+b") as file:
            file.seek(len(kept))
            file.write(added)
            file.truncate()
        self._settle(path, kept + added)

    def _settle(self, path: Path, content: bytes) -> None:
        os.utime(path, (OLD + self.moment, OLD + self.moment))
        self._note(path.name, content)

    def _note(self, name: str, content: bytes | None) -> None:
        self._past.setdefault(name, []).append((self.moment, content))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def _put_something_else(path: Path, what: str) -> None:
    if what == "link":
        path.symlink_to("a target")
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
