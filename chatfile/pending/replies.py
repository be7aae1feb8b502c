"""Replies in lines."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatfile import errors, wire
from chatfile.lines import PauseReason

T = TypeVar("T")


class ReplyConnection(Protocol):
    """The connection that a reply is due on, as far as a pending reply uses it."""

    def answered(self, pending: PendingReply[Any]) -> None:
        """Give the next line to the reply behind `pending`, which is complete."""

    def receive_raw(self, take: Callable[[bytes], None]) -> None:
        """Give bytes to `take`, not lines to the reply, from here on."""

    def setLineMode(self, extra: bytes = b"") -> None:
        """Give lines again, those of `extra` first."""

    def pause(self, reason: PauseReason) -> None:
        """Read nothing until `resume` is called with the same reason."""

    def resume(self, reason: PauseReason) -> None:
        """Read again, unless there is another reason not to."""

    def detach_socket(self) -> socket.socket | None:
        """Let the caller read the socket until it resumes `PauseReason.DETACHED`; None where that can't be."""


class PendingReply(ABC, Generic[T]):
    """A reply that is due: `done` fires with its value, or fails with the reason why there is none."""

    def __init__(self, connection: ReplyConnection) -> None:
        """Expect the reply on `connection`. It is taken all the same where somebody cancels `done`."""
        self.done: Deferred[T] = Deferred()
        self._connection = connection

    @property
    def came(self) -> int:
        """Return how many bytes of a file have come so far."""
        return 0

    @property
    def hashing(self) -> int:
        """Return how many bytes the server may have to hash before its next line."""
        return 0

    def is_own(self, line: bytes) -> bool:  # noqa: ARG002 -- for replies that may look like an error
        """Tell whether `line` belongs to this reply even if it looks like an ERROR."""
        return False

    @abstractmethod
    def receive(self, line: bytes) -> None:
        """Take a line of the reply, without its end. Raises `ProtocolViolation` for one that does not fit."""

    def fail(self, error: Exception | Failure) -> None:
        """Tell that there will be no reply, because of `error`."""
        if not self.done.called:
            self.done.errback(error)

    def lose(self, error: errors.ChatFileError) -> None:
        """Fail because the connection is gone, with `error` as the reason."""
        self.fail(error)

    def finish(self, value: T) -> None:
        """Complete the reply: `value` is what it says."""
        self._connection.answered(self)
        if not self.done.called:
            self.done.callback(value)


class PendingAck(PendingReply[str]):
    """The acknowledgement of a message: its value is the line that the server sends."""

    def __init__(self, connection: ReplyConnection, text: str) -> None:
        """Expect that of the message `text`."""
        super().__init__(connection)
        self._reply = wire.format_reply(wire.Ack(text))

    def is_own(self, line: bytes) -> bool:
        """Tell whether `line` is the acknowledgement: a message may begin with ERROR."""
        return line == self._reply

    def receive(self, line: bytes) -> None:
        """Take the acknowledgement. Raises `ProtocolViolation` for any other line."""
        if line != self._reply:
            raise errors.ProtocolViolation(what=f'"{_quotation(line)}" instead of an acknowledgement')
        self.finish(line.decode())


class PendingLine(PendingReply[T]):
    """A reply of one line, of a kind that the wire knows."""

    def __init__(
        self, connection: ReplyConnection, kind: type[T], is_right: Callable[[T], bool], *, hashing: int = 0
    ) -> None:
        """Expect a line of `kind` for which `is_right` is true; the server may have to hash `hashing` bytes for it."""
        super().__init__(connection)
        self._kind = kind
        self._is_right = is_right
        self._hashing = hashing

    @property
    def hashing(self) -> int:
        """Return how many bytes the server may have to hash for the line."""
        return self._hashing

    def receive(self, line: bytes) -> None:
        """Take the line. Raises `ProtocolViolation` where it is of another kind, or not right."""
        reply = wire.parse_reply(line, self._kind)
        if not self._is_right(reply):
            raise errors.ProtocolViolation(what=f'"{_quotation(line)}", which was not asked for')
        self.finish(reply)


Counted = type[wire.StatusHeader] | type[wire.ListHeader] | type[wire.TreeHeader] | type[wire.HelpHeader]


class PendingRows(PendingReply[wire.Rows[T]]):
    """A line with a count, then so many rows."""

    def __init__(
        self,
        connection: ReplyConnection,
        header: Counted,
        parse: Callable[[bytes], T],
        is_row: Callable[[bytes], bool] = lambda _: False,
        *,
        check: Callable[[T], None] = lambda _: None,
        most: int = wire.MAX_ROWS,
        instead: tuple[bytes, errors.ChatFileError] | None = None,
    ) -> None:
        """Expect a `header`, then at most so many rows of which `parse` gives the value, or raises `ProtocolViolation`.

        `is_row` tells of a line that looks like an ERROR, and comes amid the rows, whether it is one of them. `check`
        is given each row in turn, and raises as well. `instead` is a line that may come in place of the header, and
        the error that it stands for.
        """
        super().__init__(connection)
        self._header = header
        self._rows = wire.Rows(parse)
        self._is_row = is_row
        self._check = check
        self._most = most
        self._instead = instead
        self._left: int | None = None  # rows that are still to come; None before the header

    def is_own(self, line: bytes) -> bool:
        """Tell whether `line` is a row even if it looks like an ERROR."""
        return self._left is not None and self._is_row(line)

    def receive(self, line: bytes) -> None:
        """Take the header or a row. Raises `ProtocolViolation` where there are more than a client takes."""
        if self._left is None:
            if self._instead is not None and line == self._instead[0]:
                self._connection.answered(self)
                self.fail(self._instead[1])
                return
            self._left = self._parse_count(line)
        else:
            self._append(line)
            self._left -= 1
        if not self._left:
            self.finish(self._rows)

    def _parse_count(self, line: bytes) -> int:
        count = wire.parse_reply(line, self._header).count
        if count > self._most:
            raise errors.ProtocolViolation(what=f"{count} rows, more than the {self._most} accepted")
        return count

    def _append(self, line: bytes) -> None:
        if self._rows.size + len(line) > wire.MAX_ROWS_BYTES:
            raise errors.ProtocolViolation(what=f"rows of more than {wire.MAX_ROWS_BYTES} bytes")
        self._check(self._rows.append(line))


def pending_tree(connection: ReplyConnection, folder: str) -> PendingRows[wire.FileRow]:
    """Return the reply to `tree`, of `folder`: a server without subfolders takes that for a message."""
    request = wire.format_request(wire.Tree(folder)).decode()
    return PendingRows(
        connection,
        wire.TreeHeader,
        wire.parse_in_tree,
        check=wire.TreeOrder(folder).check,
        most=wire.MAX_TREE_ROWS,
        instead=(wire.format_reply(wire.Ack(request)), errors.NoSubfolders()),
    )


def pending_help(connection: ReplyConnection) -> PendingRows[str]:
    """Return the reply to `help`, whose rows are text for a person, and may look like an ERROR."""
    return PendingRows(connection, wire.HelpHeader, _decode_text, _is_text)


def _decode_text(line: bytes) -> str:
    return line.decode(errors="replace")


def _is_text(line: bytes) -> bool:
    """Tell an error that help describes from those that come before the server closes."""
    return not line.startswith((b"ERROR timeout ", b"ERROR shutdown ", b"ERROR internal "))


def _quotation(line: bytes) -> str:
    """Return the beginning of `line`, which may end within a character, for a message."""
    return wire.printable(line[:100].decode(errors="replace"))
