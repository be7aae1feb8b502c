"""What was counted, and what went wrong; actors in threads and in the reactor share it."""

from __future__ import annotations

import threading
from collections import Counter

TOO_MANY = 50
"""Wrongs after which nothing more is to be learnt from going on."""


class Tally:
    """Counts by name, and every broken promise in words."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._names: set[str] = set()
        self.wrongs: list[str] = []
        self.delays: list[float] = []
        """Seconds for which a line was waited for, by who asks one at a time."""

    def __getitem__(self, what: str) -> int:
        return self._counts[what]

    def count(self, what: str, times: int = 1) -> None:
        with self._lock:
            self._counts[what] += times

    def admit(self, name: str) -> None:
        """A client was let in; no two ever have the same name."""
        with self._lock:
            self._counts["admitted"] += 1
            is_new = name not in self._names
            self._names.add(name)
        if not is_new:
            self.wrong(f"{name} was admitted twice")

    def wrong(self, what: str) -> None:
        with self._lock:
            self.wrongs.append(what)

    @property
    def is_hopeless(self) -> bool:
        return len(self.wrongs) >= TOO_MANY
