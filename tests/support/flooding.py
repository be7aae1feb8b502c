"""A client that floods a server, a little whenever it is told to, and what that costs the server."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import ServerProcess

KIB, MIB = 1 << 10, 1 << 20
PIECE = 256 * 1024
"""Bytes sent at a time."""


@dataclass(frozen=True)
class Flood:
    """What is sent: `first` once, then `again` over and over, `size` bytes if they are taken; are the answers read?"""

    again: bytes
    first: bytes = b""
    reads: bool = False
    size: int = 8 * MIB


class Flooder:
    """Floods, without ever waiting."""

    def __init__(self, server: ServerProcess, flood: Flood) -> None:
        self.client = server.greeted()
        self.client.socket.setblocking(False)
        self.left = flood.size
        """Bytes to be sent still."""
        self._flood = flood
        self.received = 0
        """Bytes."""
        self._next = flood.first
        self._again = flood.again * (PIECE // len(flood.again))

    def floods(self) -> int:
        """Send as much as is taken now, a few MiB at most; receive what is there, if it reads at all.

        The result grows for as long as that does anything.
        """
        with suppress(BlockingIOError):
            for _ in range(16):
                self._send()
        with suppress(BlockingIOError):
            while self._flood.reads:
                self.received += len(self.client.socket.recv(PIECE))
        return self.received - self.left

    def _send(self) -> None:
        self._next = (self._next or self._again)[: self.left]
        if self._next:
            sent = self.client.socket.send(self._next)
            self._next, self.left = self._next[sent:], self.left - sent


class Memory:
    """How much more of it a process came to need, from now on."""

    def __init__(self, process: int) -> None:
        self._folder = Path(f"/proc/{process}")
        (self._folder / "clear_refs").write_text("5")  # the peak is what it is now (proc(5))
        self._before = self._peak()

    def grown(self) -> int:
        """Bytes, at the peak."""
        return self._peak() - self._before

    def _peak(self) -> int:
        found = re.search(r"VmHWM:\s+(\d+) kB", (self._folder / "status").read_text())
        assert found
        return int(found.group(1)) * 1024
