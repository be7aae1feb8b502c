"""Standard input, output and error: made ready at the start, written in a thread, checked for a reader at the end.

In a thread, so that a terminal that stands still (Ctrl-S), or a full pipe, blocks nothing else.
"""

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

from chatfile.cli.exits import ExitCode

_STANDARD = (0, 1, 2)
_A_MOMENT = 0.05
"""Seconds in which a program that has read all it wants, such as `head -1`, has ended."""
_MOST = 65536
"""Bytes waiting to be written, from which on `Writer.put` waits, too."""


def prepare() -> None:
    """Let the standard streams take any text, and open closed ones, so that no file of ours gets their descriptors."""
    for descriptor in _STANDARD:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    for stream in (sys.stdout, sys.stderr):
        if not hasattr(stream, "reconfigure"):
            continue
        os.set_blocking(stream.fileno(), True)  # another program may have changed that, and then text is lost
        if stream is sys.stdout and not stream.isatty():  # for programs: names byte for byte
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
        else:  # text that the locale can't show is escaped
            stream.reconfigure(errors="backslashreplace")


# --- written in a thread ---


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
    if error is not None and (error.isatty() or (_polled(error, 0) is not None and not _is_same_file(out, error))):
        sys.stderr = cast("TextIO", Outlet(error, _writer))
    try:
        yield
    finally:
        drain()
        sys.stdout, sys.stderr = out, error


def _is_same_file(one: TextIO | None, other: TextIO) -> bool:
    return one is not None and os.path.sameopenfile(one.fileno(), other.fileno())


# --- readers ---


def _polled(stream: TextIO | None, events: int, patience: float = 0) -> bool | None:
    """Tell whether one of `events`, or a hang-up, comes within `patience` seconds; None where `stream` has no reader.

    Only a pipe or a socket has one.
    """
    try:
        descriptor = stream.fileno()  # type: ignore[union-attr]
        kind = os.fstat(descriptor).st_mode
    except (OSError, ValueError, AttributeError):  # it is closed, or has no descriptor
        return None
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)):
        return None
    poll = select.poll()
    poll.register(descriptor, events)
    return bool(poll.poll(patience * 1000))


def is_free(stream: TextIO | None) -> bool:
    """Tell whether a few words can be written to `stream` at once; if not, callers leave out what is soon outdated."""
    return stream.is_free if isinstance(stream, Outlet) else _polled(stream, select.POLLOUT) is not False


def is_unread(stream: TextIO | None, patience: float = 0) -> bool:
    """Tell whether `stream` is a pipe or a socket that nobody reads any more; wait `patience` seconds for that."""
    return bool(_polled(stream, 0, patience))


def forget_output() -> None:
    """Discard what could not be written to standard output: the interpreter would try again at exit, and complain.

    What waits to be written in a thread is written before.
    """
    if sys.stdout is not None:
        drain()
        _lead_nowhere(sys.stdout.fileno())


def _lead_nowhere(descriptor: int) -> None:
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
    except OSError:  # there are no more descriptors: make do with this one
        os.close(descriptor)
        nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def concluded(code: ExitCode) -> ExitCode:
    """Return the exit code of a run that wrote to standard output and ends with `code`.

    It is `UNREAD` where the reader is gone, also where that happened after the last write.
    """
    if is_unread(sys.stdout, _A_MOMENT):
        code = ExitCode.UNREAD
    if code in (ExitCode.UNREAD, ExitCode.LOCAL_FILE):
        forget_output()
    return code
