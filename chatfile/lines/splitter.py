"""The splitter of bytes into lines, pure: it knows neither a transport nor a clock."""

from __future__ import annotations

import enum
from collections.abc import Callable

from chatfile.lines.telnet import IAC, TelnetFilter


class Skipped(enum.Enum):
    """Returned in place of a line that is dropped."""

    TOO_LONG = "it has more bytes than a line may have, and is dropped to its end"


class LineSplitter:
    """Splits a stream that comes in pieces into lines, at a cost that is linear in its bytes (twisted#6357).

    A line ends in LF; one CR right before that is dropped. A line that is too long is dropped as its bytes come, up to
    the next one (twisted#3277, #6559).
    """

    __slots__ = ("_buffer", "_is_skipping", "_max_length", "_start", "_telnet", "count")

    def __init__(self, max_length: int, *, hears_telnet: bool) -> None:
        """Accept lines of `max_length` bytes without their ends; with `hears_telnet`, take telnet's bytes out."""
        self._max_length = max_length
        self._telnet = TelnetFilter() if hears_telnet else None
        self._buffer = b""
        self._start = 0  # of the bytes that were not returned yet
        self._is_skipping = False  # the rest of a line that is too long
        self.count = 0
        """How many lines have been returned or dropped so far."""

    @property
    def waiting(self) -> int:
        """Count the bytes that were fed and not returned yet."""
        return len(self._buffer) - self._start

    @property
    def is_amid_line(self) -> bool:
        """Tell whether a line has begun and its LF has not come."""
        if self._is_skipping or (self._telnet is not None and self._telnet.begun):
            return True
        return self._start < len(self._buffer) and self._buffer.find(b"\n", self._start) < 0

    def feed(self, data: bytes) -> None:
        """Take `data`, the next bytes of the stream."""
        if self._telnet is not None and (IAC in data or self._telnet.begun):
            data = self._telnet.text(data)
        self._buffer = self._buffer[self._start :] + data if self._start < len(self._buffer) else data
        self._start = 0

    def take_burst(self, take: Callable[[bytes, int], int]) -> bool:
        """Let `take(buffer, start)` handle many whole lines, and return where they end; return False if it takes none.

        The lines in `buffer` still have their ends.
        """
        if self._is_skipping:
            return False
        end = take(self._buffer, self._start)
        if end == self._start:
            return False
        self.count += self._buffer.count(b"\n", self._start, end)
        self._start = end
        return True

    def next_line(self) -> bytes | Skipped | None:
        """Return the next line without its end, or None if it is not complete.

        `Skipped.TOO_LONG` is returned once for a line, as soon as more bytes have come than it may have.
        """
        end = self._buffer.find(b"\n", self._start)
        if end >= 0 and self._is_skipping:
            self._is_skipping = False
            self.count += 1
            self._start = end + 1
            end = self._buffer.find(b"\n", self._start)
        if end < 0:
            return self._check_unfinished()
        line, self._start = self._buffer[self._start : end], end + 1
        return self._complete(line)

    def _complete(self, line: bytes) -> bytes | Skipped:
        self.count += 1
        line = line.removesuffix(b"\r")
        return line if len(line) <= self._max_length else Skipped.TOO_LONG

    def _check_unfinished(self) -> Skipped | None:
        is_new = not self._is_skipping and len(self._buffer[self._start :].removesuffix(b"\r")) > self._max_length
        if is_new or self._is_skipping:
            self._is_skipping = True
            self.take_rest()
        return Skipped.TOO_LONG if is_new else None

    def last_line(self) -> bytes | Skipped | None:
        """Return the last line if it has no LF, else None; call it once, at the end of the stream."""
        rest = self.take_rest()
        if self._telnet is not None:
            rest, self._telnet.begun = rest + self._telnet.begun, b""
        if self._is_skipping:
            self._is_skipping = False
            self.count += 1
            return None
        return self._complete(rest) if rest else None

    def take_rest(self) -> bytes:
        """Remove and return the bytes that were not returned yet."""
        rest, self._buffer, self._start = self._buffer[self._start :], b"", 0
        return rest
