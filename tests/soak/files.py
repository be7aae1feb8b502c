"""The files that stay as they are, with their digests known beforehand, and what is no file."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from random import Random

BIG = "big.bin"
"""More than the system's buffers hold."""
SMALL = "small.bin"
"""Less than that."""
SIZES = {
    "empty.bin": 0,
    "one.bin": 1,
    "a page less one.bin": 4095,
    "ein Name, grün.txt": 65_537,
    SMALL: 200_000,
    "million.bin": 1_000_003,
    BIG: 30_000_000,
}

NOT_SERVED = ("link.bin", "pipe.bin", "folder.bin", ".hidden", "nothing.bin", "..", "../etc/passwd", "empty.bin/")
"""Names that lead to something else than a file of the folder, or to nothing."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a file on the server is, for certain."""

    size: int
    sha256: str


MANY, SIZE = 100, 4096


def lay_out_many(folder: Path, rng: Random) -> dict[str, Known]:
    """Write many small files into a folder in the folder; the result tells what they are, by path."""
    (folder / "many").mkdir()
    names = [f"many/{number}.bin" for number in range(MANY)]
    return {name: _write(folder / name, rng.randbytes(SIZE)) for name in names}


def lay_out(folder: Path, rng: Random) -> dict[str, Known]:
    """Write the files, and what is none; the result tells what they are, by name."""
    (folder / ".hidden").write_bytes(b"secret")
    (folder / "link.bin").symlink_to(".hidden")
    (folder / "folder.bin").mkdir()
    os.mkfifo(folder / "pipe.bin")
    return {name: _write(folder / name, rng.randbytes(size)) for name, size in SIZES.items()}


def _write(path: Path, content: bytes) -> Known:
    path.write_bytes(content)
    return Known(len(content), hashlib.sha256(content).hexdigest())
