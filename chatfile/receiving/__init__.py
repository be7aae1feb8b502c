"""Moves exactly so many bytes of a connection into a file: the mirror of `chatfile.sending`.

A `FileReceiver` uses two ways in turn, one class for each: `BufferedReceiver` writes the bytes that the connection has
read, and `SplicingReceiver` reads the socket itself. Both fill the same `IncomingFile`.
"""

from __future__ import annotations

from chatfile.receiving.buffered import SocketOwner
from chatfile.receiving.incoming_file import Hasher
from chatfile.receiving.receiver import FileReceiver

__all__ = ["FileReceiver", "Hasher", "SocketOwner"]
