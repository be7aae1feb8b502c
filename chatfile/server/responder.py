"""Requests in, responses out, in order: one coroutine for each request.

A message is answered at once. What needs the disk is a coroutine; while it is under way no further line is taken. Where
several requests for files came together, these are taken together, and small files are read ahead of their turns.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.python.failure import Failure

from chatfile import errors, wire
from chatfile.admission import Seat
from chatfile.digests import FileChanged
from chatfile.disk import InThread, acquire, run_unawaited
from chatfile.lines import PauseReason
from chatfile.repository import OpenFile
from chatfile.server.context import ServerContext
from chatfile.server.small_files import ReadAhead, SmallFile, close_opened
from chatfile.server.transfer import ClientConnection, FileTransfer, PromisedSize


class ResponseState(enum.Enum):
    """What is under way for the client."""

    IDLE = "nothing"
    WORKING = "the disk or a digest is waited for; an ERROR line could still come instead"
    SENDING = "a promised count is being sent; only a reset could cut it short"


class Responder:
    """Answers the requests of one client that has a seat."""

    __slots__ = (
        "_ahead",
        "_connection",
        "_context",
        "_in_thread",
        "_promised",
        "_rate",
        "_response",
        "_room",
        "_transfer",
        "seat",
        "state",
    )

    def __init__(self, connection: ClientConnection, seat: Seat, context: ServerContext) -> None:
        """Answer the client of `seat` on `connection`."""
        self.seat = seat
        self.state = ResponseState.IDLE
        self._connection = connection
        self._context = context
        self._in_thread = context.queue()
        self._promised = PromisedSize(context.clock)
        self._rate = None if context.rates is None else context.rates.client(connection.transport, seat.host)
        self._transfer: FileTransfer | None = None
        self._response: Deferred[None] | None = None
        self._room: Deferred[None] | None = None
        self._ahead: ReadAhead | None = None

    # --- one line, one response ---

    def welcome(self) -> None:
        """Greet the client by its name."""
        self.send_reply(wire.Welcome(self.seat.name))

    def handle_line(self, line: bytes) -> None:
        """Answer a request, or begin to."""
        try:
            request = wire.parse_request(line, has_tree=self._context.repository.is_recursive)
        except errors.Refusal as refusal:
            self.send_error(refusal)
            return
        if isinstance(request, wire.Message):
            self.send_reply(wire.Ack(request.text))
        else:
            self._begin((request,))

    def handle_requests(self, requests: Sequence[wire.Get | wire.Hash]) -> None:
        """Begin to answer several requests, in their order; small files are read ahead."""
        names = [request.name for request in requests]
        in_thread = partial(self._in_thread, about=self)
        self._ahead = ReadAhead(self._context.reader, names, in_thread, self._context.clock)
        self._begin(requests)

    def send_reply(self, reply: wire.Reply) -> None:
        """Send one line."""
        self._connection.sendLine(wire.format_reply(reply))

    def send_error(self, refusal: errors.Refusal) -> None:
        """Send an ERROR line; the conversation goes on."""
        self.send_reply(wire.Error(refusal.code, str(refusal)))

    def cancel(self) -> None:
        """Give up the response that is under way, if there is one."""
        if self._response is not None:
            self._response.cancel()

    def take_back_promise(self) -> None:
        """Have a close end the connection as usual, without a reset; call it before each close."""
        self._promised.take_back()

    def end(self) -> None:
        """Give up whatever is under way, and leave nothing behind: the connection is gone."""
        self.take_back_promise()
        self.cancel()
        if self._rate is not None:
            self._rate.end()

    def _begin(self, requests: Sequence[wire.Request]) -> None:
        self._context.under_way.add(self)
        self._connection.pause(PauseReason.BUSY)
        self._response = Deferred.fromCoroutine(self._respond(requests))

    async def _respond(self, requests: Sequence[wire.Request]) -> None:
        """Answer one request after the other, and then take further lines."""
        for request in requests:
            self.state = ResponseState.WORKING
            try:
                await self._RESPONSES[type(request)](self, request)
            except Exception:  # a refusal is told the client, a defect the log as well
                self._fail(Failure())
            self._promised.end()
            self.state = ResponseState.IDLE
            self._connection.responseFinished()
            if not self._connection.is_receiving:
                break
        self._response = self._ahead = None
        self._context.under_way.discard(self)
        self._connection.resume(PauseReason.BUSY)

    def _fail(self, failure: Failure) -> None:
        """Send an ERROR line in place of the response, or reset the connection if a count was promised already."""
        error = failure.value
        if not self._connection.is_receiving:
            return
        if self.state is ResponseState.SENDING:
            self._log_cut(failure)
            self._connection.abort()
        elif isinstance(error, errors.Refusal):
            self.send_error(error)
        elif not isinstance(error, CancelledError):
            self._context.events.failed(self.seat, failure)
            self.send_error(errors.Internal())
            self._connection.close()

    def _log_cut(self, failure: Failure) -> None:
        expected = (errors.FileShrank, errors.TransferAborted, OSError, CancelledError)
        if failure.check(*expected) is None:
            self._context.events.failed(self.seat, failure)
        elif not failure.check(errors.TransferAborted, CancelledError):
            self._context.events.cut(self.seat, failure.getErrorMessage())

    # --- backpressure ---

    @property
    def is_blocked(self) -> bool:
        """Tell whether a file is being sent, and it is the peer that is waited for."""
        return self._transfer is not None and self._transfer.is_blocked

    def output_drained(self) -> None:
        """Write on: the transport has written everything."""
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)

    async def _write(self, data: bytes) -> None:
        """Write, and wait until the peer has taken enough of it."""
        self._connection.transport.write(data)
        if self._connection.is_paused_for(PauseReason.BACKPRESSURE):
            self._room = Deferred()
            await self._room

    def _promise(self, header: wire.Reply) -> None:
        """Send the header of a counted reply: from here on, only a reset can cut it short."""
        self.state = ResponseState.SENDING
        self._promised.begin(self._connection.transport)
        self.send_reply(header)

    async def _send_rows(self, header: wire.Reply, pieces: Iterable[bytes]) -> None:
        self._promise(header)
        for rows in pieces:
            await self._write(rows)

    # --- the responses ---

    async def _status(self, _: wire.Status) -> None:
        count, rows = await self._context.status.rows()
        await self._send_rows(wire.StatusHeader(count), rows)

    async def _list(self, _: wire.List) -> None:
        await self._send_listing(wire.ListHeader)

    async def _tree(self, request: wire.Tree) -> None:
        await self._send_listing(wire.TreeHeader, request.folder)

    async def _send_listing(self, header: Callable[[int], wire.Reply], tree: str | None = None) -> None:
        try:
            listing = await self._context.listings.ask(tree)
        except OSError as error:
            raise errors.Unavailable.folder(why=errors.reason(error)) from error
        await self._send_rows(header(listing.count), listing.pieces)

    async def _help(self, _: wire.Help) -> None:
        self._promised.begin(self._connection.transport)
        self._connection.transport.write(_HELP[self._context.repository.is_recursive])

    async def _exit(self, _: wire.Exit) -> None:
        self.send_reply(wire.Bye(self.seat.name))
        self._connection.close_reason = "exit"
        self._connection.close()

    async def _hash(self, request: wire.Hash) -> None:
        opened = await self._open(request.name, self._context.reader.open_to_hash)
        if isinstance(opened, SmallFile):
            sha256 = opened.sha256
        else:
            sha256 = await self._digest_once(opened)
        self.send_reply(wire.Digest(sha256, opened.size, opened.mtime, request.name))

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

    async def _get(self, request: wire.Get) -> None:
        await self._send_file(request.name, 0)

    async def _resume(self, request: wire.Resume) -> None:
        await self._send_file(request.name, request.offset)

    async def _send_file(self, name: str, offset: int) -> None:
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
        self.seat.count_file()

    async def _send_small(self, small: SmallFile, offset: int) -> None:
        """Send the header, the bytes and the digest in one write, unless a rate is to be kept to."""
        if self._rate is not None:
            await self._send_content(small, small.content[offset:])
            self.send_reply(wire.End(small.sha256))
            return
        self.state = ResponseState.SENDING
        self._promised.begin(self._connection.transport)
        count = small.size - offset
        header = wire.format_reply(wire.FileHeader(count, small.mtime, small.name))
        self.seat.count_bytes(count)
        self._context.events.sent(self.seat, small.name, count, count, 0.0)
        await self._write(b"%b\n%b%b\n" % (header, small.content[offset:], wire.format_reply(wire.End(small.sha256))))

    async def _send_content(self, small: SmallFile, content: bytes) -> None:
        """Promise the bytes of a small file, and send them."""
        self._promise(wire.FileHeader(len(content), small.mtime, small.name))
        self._transfer = transfer = FileTransfer(self._connection, len(content), self._rate)
        with self._logging(small.name, transfer):
            await transfer.write(content, self._write, self.seat.count_bytes)

    async def _send_large(self, opened: OpenFile, offset: int) -> None:
        with self._hashing(opened) as digest:
            await self._send_range(opened, opened.size - offset)
            self.state = ResponseState.WORKING
            await self._send_end(opened.name, digest)

    async def _send_range(self, opened: OpenFile, count: int) -> None:
        """Promise the last `count` bytes of a file, and send them."""
        self._promise(wire.FileHeader(count, opened.mtime, opened.name))
        self._transfer = transfer = FileTransfer(self._connection, count, self._rate)
        with self._logging(opened.name, transfer):
            await transfer.run(opened, self._calls_about(opened.name), self.seat.count_bytes)

    @contextmanager
    def _logging(self, name: str, transfer: FileTransfer) -> Iterator[None]:
        """Log a transfer at its end, whatever that is."""
        began = self._context.clock.seconds()
        try:
            yield
        finally:
            self._transfer = None
            seconds = self._context.clock.seconds() - began
            self._context.events.sent(self.seat, name, transfer.sent, transfer.count, seconds)

    async def _send_end(self, name: str, digest: Deferred[str | None]) -> None:
        try:
            self.send_reply(wire.End(await digest))
        except (FileChanged, OSError) as error:
            raise errors.Changed(name=name) from error

    # --- files and digests ---

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
            digest.addErrback(lambda _: None)
            digest.cancel()
            raise

    _RESPONSES: ClassVar[dict[type, Callable[[Responder, Any], Coroutine[Deferred[Any], Any, None]]]] = {
        wire.Status: _status,
        wire.List: _list,
        wire.Tree: _tree,
        wire.Help: _help,
        wire.Exit: _exit,
        wire.Hash: _hash,
        wire.Get: _get,
        wire.Resume: _resume,
    }


def _format_help(rows: Sequence[str]) -> bytes:
    return b"".join([wire.format_reply(wire.HelpHeader(len(rows))) + b"\n", *(f"{row}\n".encode() for row in rows)])


_HELP = {False: _format_help(wire.HELP), True: _format_help(wire.HELP_WITH_TREE)}
"""The reply to `help`, of a server without subfolders and of one with them."""
