"""The files that stay as they are, with their digests known beforehand."""

from __future__ import annotations

import hashlib
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


@dataclass(frozen=True, slots=True)
class Known:
    """What a file on the server is, for certain."""

    size: int
    sha256: str


def lay_out(folder: Path, rng: Random) -> dict[str, Known]:
    """Write the files; the result tells what they are, by name."""
    return {name: _write(folder / name, rng.randbytes(size)) for name, size in SIZES.items()}


def _write(path: Path, content: bytes) -> Known:
    path.write_bytes(content)
    return Known(len(content), hashlib.sha256(content).hexdigest())
