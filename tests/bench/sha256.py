"""`python -m tests.bench.sha256`: SHA-256 by every implementation that is installed, in turns."""

from __future__ import annotations

import hashlib
import importlib
import ssl
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

SIZES = {4 << 10: 1000, 256 << 10: 50, 64 << 20: 1}
"""Bytes, and how often so many are hashed in one run."""
RUNS = 7


def _cryptography(hashes: Any) -> Callable[[bytes], bytes]:
    def digest(data: bytes) -> bytes:
        one = hashes.Hash(hashes.SHA256())
        one.update(data)
        return bytes(one.finalize())

    return digest


WAYS: dict[str, tuple[str, Callable[[Any], Callable[[bytes], bytes]]]] = {
    f"hashlib, {' '.join(ssl.OPENSSL_VERSION.split()[:2])}": (
        "hashlib",
        lambda it: lambda data: it.sha256(data).digest(),
    ),
    "CPython's own": ("_sha256", lambda it: lambda data: it.sha256(data).digest()),
    "cryptography": ("cryptography.hazmat.primitives.hashes", _cryptography),
    "pycryptodome": ("Crypto.Hash.SHA256", lambda it: lambda data: it.new(data).digest()),
    "PyNaCl": ("nacl.bindings", lambda it: it.crypto_hash_sha256),
}
"""The module of each, and what makes a digest with it."""


def present() -> Iterator[tuple[str, Callable[[bytes], bytes]]]:
    """Yield those that are installed."""
    for name, (module, make) in WAYS.items():
        try:
            yield name, make(importlib.import_module(module))
        except ImportError:
            sys.stderr.write(f"{name}: not installed\n")


def seconds(digest: Callable[[bytes], bytes], data: bytes, times: int) -> float:
    """Return how long one digest takes; raise ValueError if it is not the right one."""
    if digest(data) != hashlib.sha256(data).digest():
        raise ValueError(digest)
    began = time.perf_counter()
    for _ in range(times):
        digest(data)
    return (time.perf_counter() - began) / times


def main() -> None:
    """Print the medians."""
    ways = dict(present())
    for size, times in SIZES.items():
        data = bytes(range(256)) * (size // 256)
        took: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(RUNS):
            for name, digest in ways.items():
                took[name].append(seconds(digest, data, times))
        for name, each in took.items():
            median = statistics.median(each)
            sys.stdout.write(f"{size >> 10} KiB  {name}: {median * 1e6:.1f} µs, {size / median / 1e9:.2f} GB/s\n")


if __name__ == "__main__":
    main()
