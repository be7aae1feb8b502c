"""What a client waits for: one object for each request under way, which takes the lines of its reply."""

from __future__ import annotations

import enum
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.python.failure import Failure

from chatfile import errors, wire
from chatfile.lines import Hold
from chatfile.receiving import FileReceiver, Hasher
from chatfile.threads import InThread

T = TypeVar("T")
Accept = Callable[[wire.FileHeader], "Deferred[int | None]"]
"""Shown the header of a file, says where its bytes go: a descriptor, or None to drop them."""


class Connection(Protocol):
    """What a pending reply can do with its connection."""

    def answered(self, pending: Pending[Any]) -> None:
        """The reply is complete."""

    def setRawMode(self) -> None:
        """Bytes, not lines, from here on."""

    def setLineMode(self, extra: bytes = b"") -> None:
        """Lines again, `extra` first."""

    def hold(self, why: Hold) -> None:
        """Read nothing."""

    def release(self, why: Hold) -> None:
        """Read again."""

    def lend_socket(self) -> socket.socket | None:
        """Let somebody else read, until `Hold.LENT` is released."""


class Pending(Generic[T]):
    """A reply that is due: `done` fires with its value."""

    hashing = 0
    """Bytes that the server may have to hash before its next line."""

    def __init__(self) -> None:
        """Nothing came yet. Who cancels `done` does not want the reply; it is taken all the same."""
        self.done: Deferred[T] = Deferred()
        self._connection: Connection | None = None

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
            what = wire.printable(line[:100].decode(errors="replace"))
            raise errors.ProtocolViolation(what=f'"{what}" instead of an acknowledgement')
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
            raise errors.ProtocolViolation(what=f'"{wire.printable(line[:100].decode())}", which was not asked for')
        self.finish(reply)


Counted = type[wire.StatusHeader] | type[wire.ListHeader] | type[wire.HelpHeader]


class RowsPending(Pending[list[T]]):
    """A line with a count, then so many rows."""

    def __init__(self, header: Counted, row: type[T]) -> None:
        """Of these kinds."""
        super().__init__()
        self._header = header
        self._row = row
        self._rows: list[T] = []
        self._bytes = 0
        self.left: int | None = None
        """Rows that are still to come; None before the header."""

    def receive(self, line: bytes) -> None:
        """Take the header or a row."""
        if self.left is None:
            self.left = wire.parse_reply(line, self._header).count
            if self.left > wire.MAX_ROWS:
                raise errors.ProtocolViolation(what=f"{self.left} rows, more than the {wire.MAX_ROWS} accepted")
        else:
            self._bytes += len(line)
            if self._bytes > wire.MAX_ROWS_BYTES:
                raise errors.ProtocolViolation(what=f"rows of more than {wire.MAX_ROWS_BYTES} bytes")
            self._rows.append(self.parse_row(line))
            self.left -= 1
        if not self.left:
            self.finish(self._rows)

    def parse_row(self, line: bytes) -> T:
        """A row's value."""
        return wire.parse_reply(line, self._row)


class TextPending(RowsPending[str]):
    """The rows of `help`, which are text for a person."""

    def __init__(self) -> None:
        """Always the same."""
        super().__init__(wire.HelpHeader, str)

    def is_own(self, line: bytes) -> bool:
        """A text may look like an error; those that come before the server closes are taken for what they are."""
        return self.left is not None and not line.startswith(
            (b"ERROR timeout ", b"ERROR shutdown ", b"ERROR internal ")
        )

    def parse_row(self, line: bytes) -> str:
        """Any text."""
        return line.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Received:
    """A file that came: its header, the server's digest, and whether what came was found to match it."""

    header: wire.FileHeader
    sha256: str | None
    verified: bool


class Stage(enum.Enum):
    """What of a file comes next."""

    HEADER = "FILE"
    BYTES = "its bytes"
    END = "END"


class FilePending(Pending[Received]):
    """A file: header, bytes, end."""

    def __init__(
        self,
        name: str,
        offset: int,
        into: int | Accept,
        hasher: Hasher | None,
        in_thread: InThread,
        progress: Callable[[int], None],
    ) -> None:
        """See `ChatFileClient.get`."""
        super().__init__()
        self.done = Deferred(lambda _: self._abandon())
        self._name = name
        self._offset = offset
        self._accept: Accept = (lambda _: succeed(into)) if isinstance(into, int) else into
        self._hasher = hasher
        self._in_thread = in_thread
        self._progress = progress
        self._stage = Stage.HEADER
        self._header: wire.FileHeader | None = None
        self._receiver: FileReceiver | None = None

    @property
    def connection(self) -> Connection:
        """The one that the request went out on."""
        assert self._connection is not None  # noqa: S101 -- joined before anything can come
        return self._connection

    def receive(self, line: bytes) -> None:
        """The line before the bytes, or the one behind them."""
        if self._stage is Stage.HEADER:
            self._begin(wire.parse_reply(line, wire.FileHeader))
        else:
            self._end(wire.parse_reply(line, wire.End))

    def _begin(self, header: wire.FileHeader) -> None:
        if header.name != self._name:
            raise errors.ProtocolViolation(what=f'"{wire.printable(header.name)}", which was not asked for')
        self._header = header
        self.connection.hold(Hold.DISK)
        accepting = succeed(None) if self.done.called else maybeDeferred(self._accept, header)
        accepting.addCallback(self._receive_into, header.size)
        accepting.addErrback(self._reject, header.size)
        accepting.addCallback(lambda _: self.connection.release(Hold.DISK))

    def _receive_into(self, descriptor: int | None, size: int) -> None:
        if self.done.called:
            descriptor = None  # nobody wants it any more, and the descriptor may be another file's by now
        if descriptor is None:
            self._hasher = None  # what is dropped can't be verified
        self._receiver = FileReceiver(
            descriptor,
            size,
            hasher=self._hasher,
            in_thread=self._in_thread,
            source=self,
            progress=self._progress,
        )
        self._receiver.done.addErrback(self.fail)
        if size:
            self._stage = Stage.BYTES
            self.connection.setRawMode()
        else:
            self._expect_end()

    def _reject(self, failure: Failure, size: int) -> None:
        self.fail(failure)
        self._receive_into(None, size)

    def receive_bytes(self, data: bytes) -> None:
        """Bytes of the file, and maybe what lies behind it."""
        assert self._receiver is not None  # noqa: S101 -- raw mode begins with it
        rest = self._receiver.take(data)
        if not self._receiver.remaining:
            self._expect_end()
            self.connection.setLineMode(rest)

    def pause(self) -> None:
        """The disk is behind."""
        self.connection.hold(Hold.DISK)

    def resume(self) -> None:
        """It is not any more."""
        self.connection.release(Hold.DISK)

    def lend(self) -> socket.socket | None:
        """Let the receiver read, if it can be."""
        return self.connection.lend_socket()

    def take_back(self) -> None:
        """The receiver has read what it wanted."""
        assert self._receiver is not None  # noqa: S101 -- it is the receiver that calls
        if not self._receiver.remaining:
            self._expect_end()
            self.connection.setLineMode()
        self.connection.release(Hold.LENT)

    def _expect_end(self) -> None:
        assert self._header is not None  # noqa: S101 -- it came first
        self._stage = Stage.END
        self.hashing = self._offset + self._header.size

    def _end(self, end: wire.End) -> None:
        """Complete, when the disk has it as well."""
        self.connection.answered(self)
        assert self._receiver is not None  # noqa: S101 -- the bytes came first
        self._receiver.done.addCallback(lambda _: self._verify(end))

    def _verify(self, end: wire.End) -> None:
        assert self._header is not None  # noqa: S101 -- it came first
        if self.done.called:
            return
        computed = self._hasher.hexdigest() if self._hasher else None
        if computed and end.sha256 and computed != end.sha256:
            self.fail(errors.DigestMismatch(name=wire.printable(self._name)))
        else:
            self.finish(Received(self._header, end.sha256, verified=bool(computed and end.sha256)))

    def lose(self, error: errors.ChatFileError) -> None:
        """What has come is written first, for a resumption."""
        if self._header is None or self._receiver is None:
            self.fail(error)
            return
        if type(error) is errors.ServerClosed and self._receiver.remaining:
            size = self._header.size
            error = errors.TransferBroken(received=size - self._receiver.remaining, size=size)
        self._receiver.end(Failure(error))
        self._receiver.done.addCallback(lambda _: self.fail(error))

    def _abandon(self) -> None:
        if self._receiver is not None:
            self._receiver.drop(Failure(CancelledError()))
