"""Receiving by hand: bytes that the connection has read are written in threads, a batch at a time."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol

from twisted.python.failure import Failure

from chatfile.disk import InThread
from chatfile.receiving.incoming_file import IncomingFile


class SocketOwner(Protocol):
    """A connection whose bytes are received, as far as a receiver decides who reads them, and when."""

    def pause(self) -> None:
        """Read nothing more for now: the disk is behind."""

    def resume(self) -> None:
        """Read again after `pause`."""

    def detach_socket(self) -> socket.socket | None:
        """Return the socket, and leave reading it to the receiver until `reattach`.

        None where that can't be: over TLS, say, or while a byte that was read has not been delivered.
        """

    def reattach(self) -> None:
        """Read again after `detach_socket`: the receiver does not, for now, or all bytes have come."""


class BufferedReceiver:
    """Writes the bytes that it is given into a file; asks the connection to pause where the disk is behind."""

    BATCH = 1 << 20
    """Bytes that may wait for the disk before the connection is asked to pause."""

    def __init__(
        self,
        file: IncomingFile,
        in_thread: InThread,
        owner: SocketOwner,
        ended: Callable[[Failure | None], None],
    ) -> None:
        """Write into `file`. `ended(None)` is called behind each batch, `ended(failure)` when one was not written."""
        self._file = file
        self._in_thread = in_thread
        self._owner = owner
        self._ended = ended
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._is_writing = False
        self._has_paused = False

    @property
    def is_idle(self) -> bool:
        """Tell whether everything that was given is written, and no thread uses the file."""
        return not self._is_writing and not self._waiting

    def take(self, data: bytes) -> None:
        """Write `data` behind what was given before."""
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self._write()
        if self._waiting_bytes > self.BATCH and not self._has_paused:
            self._has_paused = True
            self._owner.pause()

    def discard(self) -> None:
        """Begin no more batches: what waits is not wanted any more."""
        self._waiting, self._waiting_bytes = [], 0

    def _write(self) -> None:
        if not self._is_writing and self._waiting:
            batch = b"".join(self._waiting)
            self.discard()
            self._is_writing = True
            self._in_thread(self._file.write, batch).addCallbacks(self._written, self._failed)

    def _written(self, count: int) -> None:
        self._is_writing = False
        self._file.written(count)
        self._write()
        self._resume()
        self._ended(None)

    def _failed(self, failure: Failure) -> None:
        self._is_writing = False
        self._ended(failure)  # before more bytes come, which must not be written behind the gap
        self._resume()

    def _resume(self) -> None:
        if self._has_paused:
            self._has_paused = False
            self._owner.resume()
