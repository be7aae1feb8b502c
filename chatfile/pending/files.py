"""A reply that carries a file."""

from __future__ import annotations

import enum
import socket
from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.python.failure import Failure

from chatfile import errors, wire
from chatfile.disk import InThread
from chatfile.lines import PauseReason
from chatfile.pending.replies import Connection, Pending
from chatfile.receiving import FileReceiver, Hasher

Accept = Callable[[wire.FileHeader], "Deferred[int | None]"]
"""Shown the header of a file, says where its bytes go: a descriptor, or None to drop them."""


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

    @property
    def came(self) -> int:
        """Those of this part of the file, whoever read them."""
        return 0 if self._header is None or self._receiver is None else self._header.size - self._receiver.remaining

    def receive(self, line: bytes) -> None:
        """The line before the bytes, or the one behind them."""
        if self._stage is Stage.HEADER:
            self._begin(wire.parse_reply(line, wire.FileHeader))
        else:
            self._end(wire.parse_reply(line, wire.End))

    def _begin(self, header: wire.FileHeader) -> None:
        if header.name != self._name:
            raise errors.ProtocolViolation(what=f'"{wire.printable(header.name)}", which was not asked for')
        wire.check_servable(header.name)
        self._header = header
        self.connection.pause(PauseReason.DISK)
        accepting = succeed(None) if self.done.called else maybeDeferred(self._accept, header)
        accepting.addCallback(self._receive_into, header.size)
        accepting.addErrback(self._reject, header.size)
        accepting.addCallback(lambda _: self.connection.resume(PauseReason.DISK))

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
            owner=self,
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
        self._expect_end_if_complete(self._receiver.take(data))

    def pause(self) -> None:
        """The disk is behind."""
        self.connection.pause(PauseReason.DISK)

    def resume(self) -> None:
        """It is not any more."""
        self.connection.resume(PauseReason.DISK)

    def detach_socket(self) -> socket.socket | None:
        """Let the receiver read, if it can be."""
        return self.connection.detach_socket()

    def reattach(self) -> None:
        """The receiver has read what it wanted."""
        self._expect_end_if_complete(b"")
        self.connection.resume(PauseReason.DETACHED)

    def _expect_end_if_complete(self, rest: bytes) -> None:
        assert self._receiver is not None  # noqa: S101 -- it was given the bytes
        if not self._receiver.remaining:
            self._expect_end()
            self.connection.setLineMode(rest)

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

    def fail(self, error: Exception | Failure) -> None:
        """What has come is written first: whoever waits for `done` may use the file, or resume it, from then on."""
        if self._receiver is None or self._receiver.done.called:
            super().fail(error)
            return
        self._receiver.end(error if isinstance(error, Failure) else Failure(error))
        self._receiver.done.addBoth(lambda _: super(FilePending, self).fail(error))

    def lose(self, error: errors.ChatFileError) -> None:
        """The connection is gone, maybe in the middle of the bytes."""
        if type(error) is errors.ServerClosed and self._header and self._receiver and self._receiver.remaining:
            size = self._offset + self._header.size
            received = size - self._receiver.remaining
            error = errors.TransferBroken(name=wire.printable(self._name), received=received, size=size)
        self.fail(error)

    def _abandon(self) -> None:
        if self._receiver is not None:
            self._receiver.drop(Failure(CancelledError()))
