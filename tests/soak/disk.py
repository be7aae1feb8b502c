"""The disk under the server: files that grow, shrink, are rewritten or replaced, come and go, at the worst moments."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random

from chatfile import errors
from tests.soak.records import RECORD, records
from tests.soak.stage import Stage

COUNT = 3000
"""Records of a file: more than the system's buffers hold."""
LENGTH = COUNT * RECORD
LONGEST_LOG = 2 * LENGTH
PAUSE = 0.3
"""Seconds between changes, unless a reader is in the middle of a file."""


class Disk:
    """The folder that is served, and the ways in which its files change."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._outside = folder.parent / "outside.bin"
        self._outside.write_bytes(b"secret")
        self._version = 0
        self.now = threading.Event()
        """Set where a change would hurt most."""
        for name in CHANGES:
            self._replace(name, COUNT)

    def change(self, stage: Stage, rng: Random) -> None:
        """Wait for the moment and change them all."""
        self.now.wait(PAUSE)
        self.now.clear()
        for change, _ in CHANGES.values():
            change(self, rng)

    def _replace(self, name: str, count: int) -> None:
        """Another file in the place of whatever is there."""
        self._version += 1
        fresh = self._folder / ".fresh"
        fresh.write_bytes(records(0, count, self._version))
        self._clear(name)
        fresh.replace(self._folder / name)

    def _clear(self, name: str) -> None:
        path = self._folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)

    def append(self, rng: Random) -> None:
        path = self._folder / "log.txt"
        number = path.stat().st_size // RECORD
        if path.stat().st_size > LONGEST_LOG:
            self._replace("log.txt", COUNT)
        else:
            with path.open("ab") as file:
                file.write(records(number, rng.randint(1, 10), self._version))

    def rewrite(self, _: Random) -> None:
        """In place, so that who reads it meanwhile may get of both."""
        self._version += 1
        with (self._folder / "rewritten.bin").open("r+b") as file:
            file.write(records(0, COUNT, self._version))

    def truncate(self, rng: Random) -> None:
        """Shorter, or as long as before again."""
        path = self._folder / "truncated.bin"
        number = path.stat().st_size // RECORD
        if number > COUNT // 2:
            os.truncate(path, rng.randrange(COUNT // 2) * RECORD)
        else:
            with path.open("ab") as file:
                file.write(records(number, COUNT - number, self._version))

    def replace(self, _: Random) -> None:
        self._replace("replaced.bin", COUNT)

    def swap(self, rng: Random) -> None:
        """Nothing, a link to what is not served, a FIFO, a folder, or a file again."""
        path = self._folder / "swapped.bin"
        self._clear(path.name)
        path.unlink(missing_ok=True)
        make: list[Callable[[], object]] = [
            lambda: None,
            lambda: path.symlink_to(self._outside),
            lambda: os.mkfifo(path),
            path.mkdir,
            lambda: self._replace(path.name, COUNT),
        ]
        rng.choice(make)()


BROKEN = (errors.TransferBroken, errors.ServerClosed, errors.Changed, errors.DigestMismatch)
CHANGES: dict[str, tuple[Callable[[Disk, Random], None], tuple[type[Exception], ...]]] = {
    "log.txt": (Disk.append, ()),
    "replaced.bin": (Disk.replace, ()),
    "rewritten.bin": (Disk.rewrite, (errors.Changed, errors.DigestMismatch)),
    "truncated.bin": (Disk.truncate, BROKEN),
    "swapped.bin": (Disk.swap, (errors.NoSuchFile,)),
}
"""How each of the files changes, and how a download of it may then fail; otherwise it must be whole."""
MIXED = {"log.txt", "rewritten.bin", "truncated.bin"}
"""Files that may be of more than one version."""
