"""Replies that carry a file: one into a descriptor, whatever its size, and one into memory."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.python.failure import Failure

from chatfile import errors, wire
from chatfile.disk import InThread
from chatfile.lines import PauseReason
from chatfile.pending.replies import PendingReply, ReplyConnection
from chatfile.receiving import FileReceiver, Hasher

Accept = Callable[[wire.FileHeader], "Deferred[int | None]"]
"""Called with the header of a file; gives the descriptor that its bytes are written to, or None to drop them."""


@dataclass(frozen=True, slots=True)
class Received:
    """A file that came: its header, the server's digest, and whether what came was found to match it.

    `computed` is the digest of what came, None where it could not be computed.
    """

    header: wire.FileHeader
    sha256: str | None
    verified: bool
    computed: str | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """A file that came into memory: its header, its bytes, and the server's digest, which they match."""

    header: wire.FileHeader
    content: bytes
    sha256: str | None
    broken: errors.ChatFileError | None = None
    """Why there are only the first bytes of it, where the connection was lost amid these."""

    @property
    def verified(self) -> bool:
        """Tell whether the bytes were found to match a digest: where they do not, there is a failure instead."""
        return self.sha256 is not None


@dataclass(frozen=True, slots=True)
class FileRequest:
    """What was asked for, and what is to be done with it; see `ChatFileClient.get`."""

    name: str
    offset: int
    """Bytes of the file that are there already, and taken into `hasher`."""
    accept: Accept
    hasher: Hasher | None
    in_thread: InThread
    progress: Callable[[int], None]


class FileBody:
    """The bytes of a file on their way from a connection to a descriptor, once the header was accepted.

    Made where they begin: the connection gives it bytes until the last one has come, then lines again.
    """

    def __init__(
        self, connection: ReplyConnection, request: FileRequest, header: wire.FileHeader, descriptor: int | None
    ) -> None:
        """Expect what `header` announces, and write it to `descriptor`; None drops it. Raises OSError."""
        self.header = header
        self._connection = connection
        self._hasher = None if descriptor is None else request.hasher  # what is dropped can't be verified
        self._receiver = FileReceiver(
            descriptor,
            header.size,
            hasher=self._hasher,
            in_thread=request.in_thread,
            owner=self,
            progress=request.progress,
        )
        if header.size:
            connection.receive_raw(self._take)

    @property
    def remaining(self) -> int:
        """Return how many bytes have not come yet."""
        return self._receiver.remaining

    @property
    def written(self) -> Deferred[None]:
        """Return what fires when all bytes have come, and are written and hashed; see `FileReceiver.done`."""
        return self._receiver.done

    def drop(self, why: Failure) -> None:
        """Write no more, though the bytes still come; `written` fails with `why`."""
        self._receiver.drop(why)

    def end(self, why: Failure) -> None:
        """Write what has come; `written` fails with `why` unless that is all."""
        self._receiver.end(why)

    def received(self, sha256: str | None) -> Received | None:
        """Return what came, given the server's digest; None where the digests differ. Called when it is `written`."""
        computed = None if self._hasher is None else self._hasher.hexdigest()
        if computed and sha256 and computed != sha256:
            return None
        return Received(self.header, sha256, bool(computed and sha256), computed)

    def _take(self, data: bytes) -> None:
        self._expect_line_if_complete(self._receiver.take(data))

    def _expect_line_if_complete(self, rest: bytes) -> None:
        if not self.remaining:
            self._connection.setLineMode(rest)

    # --- what the receiver asks of the connection ---

    def pause(self) -> None:
        """See `SocketOwner`."""
        self._connection.pause(PauseReason.DISK)

    def resume(self) -> None:
        """See `SocketOwner`."""
        self._connection.resume(PauseReason.DISK)

    def detach_socket(self) -> socket.socket | None:
        """See `SocketOwner`."""
        return self._connection.detach_socket()

    def reattach(self) -> None:
        """See `SocketOwner`."""
        self._expect_line_if_complete(b"")
        self._connection.resume(PauseReason.DETACHED)


class PendingFile(PendingReply[Received]):
    """A file: the line with its header, its bytes, and the line with its digest."""

    def __init__(self, connection: ReplyConnection, request: FileRequest) -> None:
        """Expect what was asked for by `request`."""
        super().__init__(connection)
        self.done = Deferred(lambda _: self._abandon())
        self._request = request
        self._body: FileBody | None = None  # before the header was accepted

    @property
    def came(self) -> int:
        """Return how many bytes have come of the part of the file that was asked for, whoever read them."""
        return 0 if self._body is None else self._body.header.size - self._body.remaining

    @property
    def hashing(self) -> int:
        """Return how many bytes the server may have to hash: the whole file, before it sends the digest."""
        return 0 if self._body is None or self._body.remaining else self._size_of(self._body)

    def _size_of(self, body: FileBody) -> int:
        return self._request.offset + body.header.size

    def receive(self, line: bytes) -> None:
        """Take the line before the bytes, or the one behind them. Raises `ProtocolViolation`."""
        if self._body is None:
            self._begin(wire.parse_reply(line, wire.FileHeader))
        else:
            self._end(self._body, wire.parse_reply(line, wire.End))

    def _begin(self, header: wire.FileHeader) -> None:
        _check_name(header, self._request.name)
        self._connection.pause(PauseReason.DISK)
        accepting = succeed(None) if self.done.called else maybeDeferred(self._request.accept, header)
        accepting.addCallback(self._receive_into, header)
        accepting.addErrback(self._reject, header)
        accepting.addCallback(lambda _: self._connection.resume(PauseReason.DISK))

    def _receive_into(self, descriptor: int | None, header: wire.FileHeader) -> None:
        if self.done.called:
            descriptor = None  # nobody wants it any more, and the descriptor may be another file's by now
        self._body = FileBody(self._connection, self._request, header, descriptor)
        self._body.written.addErrback(self.fail)

    def _reject(self, failure: Failure, header: wire.FileHeader) -> None:
        self.fail(failure)
        self._receive_into(None, header)

    def _end(self, body: FileBody, end: wire.End) -> None:
        """Complete the reply when the disk has the file as well; the next one may come before that."""
        self._connection.answered(self)
        body.written.addCallback(lambda _: self._verify(body, end))

    def _verify(self, body: FileBody, end: wire.End) -> None:
        if self.done.called:
            return
        received = body.received(end.sha256)
        if received is None:
            self.fail(errors.DigestMismatch(name=wire.printable(self._request.name)))
        else:
            self.finish(received)

    def fail(self, error: Exception | Failure) -> None:
        """Tell that there will be no file, because of `error`.

        What has come is written first: when `done` fires, the caller may use the file, or resume it.
        """
        if self._body is None or self._body.written.called:
            super().fail(error)
            return
        self._body.end(error if isinstance(error, Failure) else Failure(error))
        self._body.written.addBoth(lambda _: super(PendingFile, self).fail(error))

    def lose(self, error: errors.ChatFileError) -> None:
        """Fail because the connection is gone, maybe in the middle of the bytes."""
        if self._body is not None:
            error = _why_broken(error, self._request.name, self._body.remaining, self._size_of(self._body))
        self.fail(error)

    def _abandon(self) -> None:
        if self._body is not None:
            self._body.drop(Failure(CancelledError()))


class PendingContent(PendingReply[Content | None]):
    """A small file, into memory; its value is None where it is larger than was expected, and was dropped."""

    def __init__(self, connection: ReplyConnection, name: str, most: int) -> None:
        """Expect the file `name`, of at most so many bytes."""
        super().__init__(connection)
        self._name = name
        self._most = most
        self._header: wire.FileHeader | None = None
        self._pieces: list[bytes] = []
        self._remaining = 0

    @property
    def came(self) -> int:
        """Return how many bytes have come of the file."""
        return 0 if self._header is None else self._header.size - self._remaining

    @property
    def hashing(self) -> int:
        """Return how many bytes the server may have to hash before it sends the digest."""
        return 0 if self._header is None or self._remaining else self._header.size

    def receive(self, line: bytes) -> None:
        """Take the line before the bytes, or the one behind them. Raises `ProtocolViolation`."""
        if self._header is None:
            self._begin(wire.parse_reply(line, wire.FileHeader))
        else:
            self._end(self._header, wire.parse_reply(line, wire.End))

    def _begin(self, header: wire.FileHeader) -> None:
        _check_name(header, self._name)
        self._header, self._remaining = header, header.size
        if header.size > self._most and not self.done.called:
            self.done.callback(None)
        if header.size:
            self._connection.receive_raw(self._take)

    def _take(self, data: bytes) -> None:
        mine, rest = data[: self._remaining], data[self._remaining :]
        self._remaining -= len(mine)
        if not self.done.called:
            self._pieces.append(mine)
        if not self._remaining:
            self._connection.setLineMode(rest)

    def _end(self, header: wire.FileHeader, end: wire.End) -> None:
        content = b"".join(self._pieces)
        self._connection.answered(self)
        if self.done.called:
            return
        if end.sha256 is not None and hashlib.sha256(content).hexdigest() != end.sha256:
            self.fail(errors.DigestMismatch(name=wire.printable(self._name)))
        else:
            self.done.callback(Content(header, content, end.sha256))

    def lose(self, error: errors.ChatFileError) -> None:
        """Fail because the connection is gone, maybe in the middle of the bytes."""
        if self._header is None:
            self.fail(error)
            return
        why = _why_broken(error, self._name, self._remaining, self._header.size)
        if self._pieces and not self.done.called:
            self.done.callback(Content(self._header, b"".join(self._pieces), None, why))
        self.fail(why)


def _check_name(header: wire.FileHeader, name: str) -> None:
    """Raise `ProtocolViolation` where `header` is not that of the file `name`, or of one that no server may have."""
    if header.name != name:
        raise errors.ProtocolViolation(what=f'"{wire.printable(header.name)}", which was not asked for')
    wire.check_servable(header.name)


def _why_broken(error: errors.ChatFileError, name: str, remaining: int, size: int) -> errors.ChatFileError:
    """Return what a lost connection means for a file of which bytes are `remaining`."""
    if type(error) is not errors.ServerClosed or not remaining:
        return error
    return errors.TransferBroken(name=wire.printable(name), received=size - remaining, size=size)
