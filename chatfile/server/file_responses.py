"""The responses to requests for files: what opens a file, digests it, sends it, and closes it however that ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.python.failure import Failure

from chatfile import errors, wire
from chatfile.admission import Seat
from chatfile.digests import FileChanged
from chatfile.disk import InThread, acquire, run_unawaited
from chatfile.repository import OpenFile
from chatfile.server.context import ServerContext
from chatfile.server.response_writer import ResponseWriter
from chatfile.server.small_files import ReadAhead, SmallFile, close_opened
from chatfile.server.transfer import ClientConnection, FileTransfer


class FileResponses:
    """Answers the requests of one client for files; it is made for the first of them."""

    __slots__ = ("_ahead", "_connection", "_context", "_in_thread", "_rate", "_seat", "_transfer", "_writer")

    def __init__(
        self, connection: ClientConnection, seat: Seat, context: ServerContext, writer: ResponseWriter
    ) -> None:
        """Answer the client of `seat` on `connection` by `writer`."""
        self._connection = connection
        self._seat = seat
        self._context = context
        self._writer = writer
        self._in_thread = context.queue()
        self._rate = None if context.rates is None else context.rates.client(connection.transport, seat.host)
        self._transfer: FileTransfer | None = None
        self._ahead: ReadAhead | None = None

    @property
    def is_transferring(self) -> bool:
        """Tell whether a file is being sent that is not sent in one write."""
        return self._transfer is not None

    @property
    def is_blocked(self) -> bool:
        """Tell whether a file is being sent, and it is the peer that is waited for."""
        return self._transfer is not None and self._transfer.is_blocked

    def read_ahead(self, names: Sequence[str]) -> None:
        """Read small files ahead of their turns: the next requests are for these, in this order."""
        in_thread = partial(self._in_thread, about=self)
        self._ahead = ReadAhead(self._context.reader, names, in_thread, self._context.clock)

    def forget_ahead(self) -> None:
        """Forget what was read ahead: all these requests were answered."""
        self._ahead = None

    def end(self) -> None:
        """Give the share of the rate back: the connection is gone, and so is the response."""
        if self._rate is not None:
            self._rate.end()

    # --- the digest alone ---

    async def hash(self, name: str) -> None:
        """Answer `hash`."""
        opened = await self._open(name, self._context.reader.open_to_hash)
        sha256 = opened.sha256 if isinstance(opened, SmallFile) else await self._digest_once(opened)
        self._writer.send_reply(wire.Digest(sha256, opened.size, opened.mtime, name))

    async def _digest_once(self, opened: OpenFile) -> str | None:
        """Return the digest of `opened`, and close that."""
        try:
            return await self._digest(opened)
        except FileChanged as error:
            raise errors.Changed(name=opened.name) from error
        except OSError as error:
            raise errors.Unavailable(name=opened.name, why=errors.reason(error)) from error
        finally:
            self._close(opened)

    # --- the bytes, and the digest behind them ---

    async def send(self, name: str, offset: int) -> None:
        """Answer `get` or `resume`."""
        opened = await self._open(name, self._context.reader.open_to_send)
        try:
            if offset > opened.size:
                raise errors.BadOffset(name=name, size=opened.size)
            if isinstance(opened, SmallFile):
                await self._send_small(opened, offset)
            else:
                await self._send_large(opened, offset)
        finally:
            self._close(opened)
        self._seat.count_file()

    async def _send_small(self, small: SmallFile, offset: int) -> None:
        """Send the header, the bytes and the digest in one write, unless a rate is to be kept to."""
        if self._rate is not None:
            await self._send_content(small, small.content[offset:])
            self._writer.send_reply(wire.End(small.sha256))
            return
        self._writer.promise()
        count = small.size - offset
        header = wire.format_reply(wire.FileHeader(count, small.mtime, small.name))
        end = wire.format_reply(wire.End(small.sha256))
        self._seat.count_bytes(count)
        self._context.events.sent(self._seat, small.name, count, count, 0.0)
        await self._writer.write(b"%b\n%b%b\n" % (header, small.content[offset:], end))

    async def _send_content(self, small: SmallFile, content: bytes) -> None:
        """Promise the bytes of a small file, and send them."""
        with self._transferring(small, len(content)) as transfer:
            await transfer.write(content, self._writer.write, self._seat.count_bytes)

    async def _send_large(self, opened: OpenFile, offset: int) -> None:
        with self._hashing(opened) as digest:
            with self._transferring(opened, opened.size - offset) as transfer:
                await transfer.run(opened, self._calls_about(opened.name), self._seat.count_bytes)
            self._writer.end_promise()
            await self._send_end(opened.name, digest)

    @contextmanager
    def _transferring(self, file: OpenFile | SmallFile, count: int) -> Iterator[FileTransfer]:
        """Promise the last `count` bytes of a file, and log their transfer at its end, whatever that is."""
        self._writer.promise()
        self._writer.send_reply(wire.FileHeader(count, file.mtime, file.name))
        self._transfer = transfer = FileTransfer(self._connection, count, self._rate)
        began = self._context.clock.seconds()
        try:
            yield transfer
        finally:
            self._transfer = None
            seconds = self._context.clock.seconds() - began
            self._context.events.sent(self._seat, file.name, transfer.sent, count, seconds)

    async def _send_end(self, name: str, digest: Deferred[str | None]) -> None:
        try:
            self._writer.send_reply(wire.End(await digest))
        except (FileChanged, OSError) as error:
            raise errors.Changed(name=name) from error

    # --- the file ---

    def _calls_about(self, name: str) -> InThread:
        return partial(self._in_thread, about=name)

    async def _open(self, name: str, how: Callable[[str], OpenFile | SmallFile]) -> OpenFile | SmallFile:
        """Return the next file that was read ahead, or else open one in a thread by `how(name)`.

        It is closed again if the client has gone by then.
        """
        small = None if self._ahead is None else await self._ahead.take()
        if small is not None:
            return small
        try:
            return await acquire(self._calls_about(name), close_opened, how, name)
        except OSError as error:
            raise errors.Unavailable(name=name, why=errors.reason(error)) from error

    def _close(self, opened: OpenFile | SmallFile) -> None:
        """Close in a thread, unless a transfer had the descriptor, or it is closed already."""
        if isinstance(opened, OpenFile) and opened.is_open:
            run_unawaited(self._calls_about(opened.name), opened.close)

    def _digest(self, opened: OpenFile) -> Deferred[str | None]:
        if self._context.digests is None:
            return succeed(None)
        digest: Deferred[Any] = self._context.digests.digest(opened.descriptor, opened.status)
        return digest

    @contextmanager
    def _hashing(self, opened: OpenFile) -> Iterator[Deferred[str | None]]:
        """Yield the digest, which is computed meanwhile; cancel it if an exception leaves the context."""
        digest = self._digest(opened)
        try:
            yield digest
        except BaseException:
            digest.addErrback(self._digest_unwanted)
            digest.cancel()
            raise

    def _digest_unwanted(self, failure: Failure) -> None:
        if failure.check(CancelledError, FileChanged, OSError) is None:
            self._context.events.failed(self._seat, failure)
