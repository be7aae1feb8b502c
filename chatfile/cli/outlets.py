"""Output written in a thread, so that a terminal that stands still (Ctrl-S), or a full pipe, blocks nothing else."""

from __future__ import annotations

import contextlib
import io
import os
import select
import stat
import sys
import threading
from collections import deque
from collections.abc import Iterator
from typing import TextIO, cast

_MOST = 65536
"""Bytes waiting to be written, from which on `Writer.put` waits, too."""


class Writer:
    """Writes in order, in a thread, to descriptors that may block for long."""

    def __init__(self) -> None:
        """Start no thread before something is to be written."""
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._count = 0
        self._failed: dict[int, OSError] = {}
        self._is_running = False

    @property
    def is_free(self) -> bool:
        """Tell whether everything is written."""
        return self._count == 0

    def put(self, descriptor: int, data: bytes) -> None:
        """Write `data` after all else; block where too much is waiting.

        Raises OSError where an earlier write to `descriptor` failed, for the same reason.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._count < _MOST)
            if failed := self._failed.get(descriptor):
                raise OSError(failed.errno, failed.strerror)
            self._waiting.append((descriptor, data))
            self._count += len(data)
            self._changed.notify_all()
        if not self._is_running:
            self._start()

    def drain(self, patience: float | None = None) -> None:
        """Wait until everything is written, at most for `patience` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_free, patience)

    def _start(self) -> None:
        self._is_running = True
        try:
            threading.Thread(target=self._run, daemon=True).start()
        except RuntimeError:  # no thread is to be had: write here, and block
            self._is_running = False
            while self._waiting:
                self._write(*self._waiting.popleft())

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                descriptor, data = self._waiting.popleft()
            self._write(descriptor, data)

    def _write(self, descriptor: int, data: bytes) -> None:
        try:
            if descriptor not in self._failed:
                _write_all(descriptor, data)
        except OSError as error:
            self._failed[descriptor] = error
        with self._changed:
            self._count -= len(data)
            self._changed.notify_all()


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # another program has made it non-blocking
            select.select([], [descriptor], [])


class Outlet(io.TextIOBase):
    """Takes the place of a stream; what is written to it is written to the system by a `Writer`."""

    def __init__(self, stream: TextIO, writer: Writer) -> None:
        """Take the place of `stream`, which has a descriptor."""
        self._stream = stream
        self._writer = writer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Return the encoding of the stream."""
        return self._stream.encoding

    @property
    def is_free(self) -> bool:
        """Tell whether a text written now would be written at once."""
        return self._writer.is_free

    def fileno(self) -> int:
        """See `TextIO`."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """See `TextIO`."""
        return self._stream.isatty()

    def write(self, text: str) -> int:
        """Give `text` to the writer. Raises OSError where an earlier write failed."""
        data = text.encode(self.encoding, self._stream.errors or "strict")
        if data:
            self._writer.put(self.fileno(), data)
        return len(text)


_writer = Writer()
drain = _writer.drain


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Let output to a terminal, and to a pipe on standard error, block nothing within this context; then write it all.

    Where standard output and standard error are the same pipe, it is written to directly: the order counts.
    """
    out, error = sys.stdout, sys.stderr
    if out is not None and out.isatty():
        sys.stdout = cast("TextIO", Outlet(out, _writer))
    if error is not None and (error.isatty() or (_may_stand_still(error) and not _is_same_file(out, error))):
        sys.stderr = cast("TextIO", Outlet(error, _writer))
    try:
        yield
    finally:
        drain()
        sys.stdout, sys.stderr = out, error


def is_free(stream: TextIO | None) -> bool:
    """Tell whether a few words can be written to `stream` at once; if not, callers leave out what is soon outdated."""
    if isinstance(stream, Outlet):
        return stream.is_free
    if stream is None or not _may_stand_still(stream):
        return True
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLOUT)
    return bool(poll.poll(0))


def _may_stand_still(stream: TextIO) -> bool:
    try:
        kind = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError):  # it has no descriptor
        return False
    return stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)


def _is_same_file(one: TextIO | None, other: TextIO) -> bool:
    return one is not None and os.path.sameopenfile(one.fileno(), other.fileno())
