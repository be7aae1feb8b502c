"""What is fuzzed: a function that takes bytes, and raises only where a promise is broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.fuzz import client, names, proxied, replies, server, waiting

TARGETS: dict[str, Callable[[bytes], None]] = {
    "server": server.check,
    "waiting": waiting.check,
    "proxied": proxied.check,
    "client": client.check,
    "replies": replies.check,
    "names": names.check,
}
CORPUS = Path(__file__).parent / "corpus"
