"""Exactly so many bytes of a connection, moved into a descriptor: the mirror of sending."""

from __future__ import annotations

from chatfile.receiving.following import Hasher
from chatfile.receiving.receiver import FileReceiver, Source

__all__ = ["FileReceiver", "Hasher", "Source"]
