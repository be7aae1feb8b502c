"""What people see is written in a thread: a terminal that stands still (Ctrl-S), or a full pipe, holds up nothing."""

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
"""Bytes that wait to be written, above which whoever writes waits, too."""


class Writer:
    """Writes in order, to descriptors that may take nothing for long."""

    def __init__(self) -> None:
        """There is no thread before something is to be written."""
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._count = 0
        self._failed: dict[int, OSError] = {}
        self._is_running = False

    @property
    def is_free(self) -> bool:
        """Whether everything is written."""
        return self._count == 0

    def put(self, descriptor: int, data: bytes) -> None:
        """Write `data` behind all else; wait where too much waits. Raises OSError: why the last one failed."""
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
        """Wait until everything is written, or for so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_free, patience)

    def _start(self) -> None:
        self._is_running = True
        try:
            threading.Thread(target=self._run, daemon=True).start()
        except RuntimeError:  # the system gives no more: then it is done here
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
        except BlockingIOError:  # another program has made it so
            select.select([], [descriptor], [])


class Outlet(io.TextIOBase):
    """Takes the place of a stream; what is written to it is written to the system by a `Writer`."""

    def __init__(self, stream: TextIO, writer: Writer) -> None:
        """`stream` is one of the system's."""
        self._stream = stream
        self._writer = writer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream."""
        return self._stream.encoding

    @property
    def is_free(self) -> bool:
        """Whether what is written now would be seen now."""
        return self._writer.is_free

    def fileno(self) -> int:
        """See `TextIO`."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """See `TextIO`."""
        return self._stream.isatty()

    def write(self, text: str) -> int:
        """Write it in a moment. Raises OSError."""
        data = text.encode(self.encoding, self._stream.errors or "strict")
        if data:
            self._writer.put(self.fileno(), data)
        return len(text)


_writer = Writer()
drain = _writer.drain


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Until its end, nobody waits for a terminal, nor for whoever reads standard error; then all of it is written.

    A pipe that has results and everything else is written to directly: their order counts.
    """
    out, error = sys.stdout, sys.stderr
    if out is not None and out.isatty():
        sys.stdout = cast("TextIO", Outlet(out, _writer))
    if error is not None and (error.isatty() or (_may_stand_still(error) and not _is_same(out, error))):
        sys.stderr = cast("TextIO", Outlet(error, _writer))
    try:
        yield
    finally:
        drain()
        sys.stdout, sys.stderr = out, error


def is_free(stream: TextIO | None) -> bool:
    """Whether a few words can be written to `stream` now; if not, what is of this moment only is left out."""
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
    except (OSError, ValueError):  # none of the system's
        return False
    return stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)


def _is_same(one: TextIO | None, other: TextIO) -> bool:
    return one is not None and os.path.sameopenfile(one.fileno(), other.fileno())
