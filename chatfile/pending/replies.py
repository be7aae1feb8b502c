"""Replies in lines."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatfile import errors, wire
from chatfile.lines import PauseReason

T = TypeVar("T")


class Connection(Protocol):
    """What a pending reply can do with its connection."""

    def answered(self, pending: Pending[Any]) -> None:
        """The reply is complete."""

    def setRawMode(self) -> None:
        """Bytes, not lines, from here on."""

    def setLineMode(self, extra: bytes = b"") -> None:
        """Lines again, `extra` first."""

    def pause(self, why: PauseReason) -> None:
        """Read nothing."""

    def resume(self, why: PauseReason) -> None:
        """Read again."""

    def detach_socket(self) -> socket.socket | None:
        """Let somebody else read, until `PauseReason.DETACHED` is released."""


class Pending(Generic[T]):
    """A reply that is due: `done` fires with its value."""

    hashing = 0
    """Bytes that the server may have to hash before its next line."""

    def __init__(self) -> None:
        """Nothing came yet. Who cancels `done` does not want the reply; it is taken all the same."""
        self.done: Deferred[T] = Deferred()
        self._connection: Connection | None = None

    @property
    def came(self) -> int:
        """Bytes of a file that have come so far."""
        return 0

    def join(self, connection: Connection) -> None:
        """The request goes out on `connection`."""
        self._connection = connection

    def is_own(self, line: bytes) -> bool:  # noqa: ARG002 -- for heirs whose reply may look like an error
        """Whether `line` is of this reply even if it looks like an ERROR."""
        return False

    def receive(self, line: bytes) -> None:
        """Take a line of the reply. Raises `ProtocolViolation`."""
        raise NotImplementedError

    def fail(self, error: Exception | Failure) -> None:
        """There will be no reply, because of `error`."""
        if not self.done.called:
            self.done.errback(error)

    def lose(self, error: errors.ChatFileError) -> None:
        """The connection is gone."""
        self.fail(error)

    def finish(self, value: T) -> None:
        """The reply is complete."""
        assert self._connection is not None  # noqa: S101 -- joined before anything can come
        self._connection.answered(self)
        if not self.done.called:
            self.done.callback(value)


class AckPending(Pending[str]):
    """The acknowledgement of a message."""

    def __init__(self, text: str) -> None:
        """For the message `text`."""
        super().__init__()
        self._reply = wire.format_reply(wire.Ack(text))

    def is_own(self, line: bytes) -> bool:
        """A message may begin with ERROR."""
        return line == self._reply

    def receive(self, line: bytes) -> None:
        """Nothing else will do."""
        if line != self._reply:
            raise errors.ProtocolViolation(what=f'"{_quotation(line)}" instead of an acknowledgement')
        self.finish(line.decode())


class LinePending(Pending[T]):
    """A reply of one line."""

    def __init__(self, kind: type[T], is_right: Callable[[T], bool]) -> None:
        """Of that kind, and `is_right`."""
        super().__init__()
        self._kind = kind
        self._is_right = is_right

    def receive(self, line: bytes) -> None:
        """Take the line."""
        reply = wire.parse_reply(line, self._kind)
        if not self._is_right(reply):
            raise errors.ProtocolViolation(what=f'"{_quotation(line)}", which was not asked for')
        self.finish(reply)


Counted = type[wire.StatusHeader] | type[wire.ListHeader] | type[wire.HelpHeader]


class RowsPending(Pending[wire.Rows[T]]):
    """A line with a count, then so many rows."""

    def __init__(self, header: Counted, parse: Callable[[bytes], T]) -> None:
        """Expect a `header` of that kind; `parse` gives the value of a row, or raises `ProtocolViolation`."""
        super().__init__()
        self._header = header
        self._rows = wire.Rows(parse)
        self.left: int | None = None
        """Rows that are still to come; None before the header."""

    def receive(self, line: bytes) -> None:
        """Take the header or a row."""
        if self.left is None:
            self.left = wire.parse_reply(line, self._header).count
            if self.left > wire.MAX_ROWS:
                raise errors.ProtocolViolation(what=f"{self.left} rows, more than the {wire.MAX_ROWS} accepted")
        else:
            if self._rows.size + len(line) > wire.MAX_ROWS_BYTES:
                raise errors.ProtocolViolation(what=f"rows of more than {wire.MAX_ROWS_BYTES} bytes")
            self._rows.append(line)
            self.left -= 1
        if not self.left:
            self.finish(self._rows)


class TextPending(RowsPending[str]):
    """The rows of `help`, which are text for a person."""

    def __init__(self) -> None:
        """Take any text for a row."""
        super().__init__(wire.HelpHeader, _text)

    def is_own(self, line: bytes) -> bool:
        """A text may look like an error; those that come before the server closes are taken for what they are."""
        return self.left is not None and not line.startswith(
            (b"ERROR timeout ", b"ERROR shutdown ", b"ERROR internal ")
        )


def _text(line: bytes) -> str:
    return line.decode(errors="replace")


def _quotation(line: bytes) -> str:
    """The beginning of `line`, which may end within a character."""
    return wire.printable(line[:100].decode(errors="replace"))
