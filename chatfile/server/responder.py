"""Requests in, responses out, in order: one coroutine for each request.

A message is answered at once. What needs the disk is a coroutine; while it is under way no further line is taken.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Coroutine, Iterable, Iterator
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
from chatfile.server.transfer import ClientConnection, FileTransfer, PromisedSize


class ResponseState(enum.Enum):
    """What is under way for the client."""

    IDLE = "nothing"
    WORKING = "the disk or a digest is waited for; an ERROR line could still come instead"
    SENDING = "a promised count is being sent; only a reset could cut it short"


class Responder:
    """Answers the requests of one client that has a seat."""

    __slots__ = (
        "_connection",
        "_context",
        "_in_thread",
        "_promised",
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
        self._transfer: FileTransfer | None = None
        self._response: Deferred[None] | None = None
        self._room: Deferred[None] | None = None

    # --- one line, one response ---

    def welcome(self) -> None:
        """Greet the client by its name."""
        self.send_reply(wire.Welcome(self.seat.name))

    def handle_line(self, line: bytes) -> None:
        """Answer a request, or begin to."""
        try:
            request = wire.parse_request(line)
        except errors.Refusal as refusal:
            self.send_error(refusal)
            return
        if isinstance(request, wire.Message):
            self.send_reply(wire.Ack(request.text))
        else:
            self._begin(self._RESPONSES[type(request)](self, request))

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

    def _begin(self, response: Coroutine[Deferred[Any], Any, None]) -> None:
        self.state = ResponseState.WORKING
        self._context.under_way.add(self)
        self._connection.pause(PauseReason.BUSY)
        self._response = under_way = Deferred.fromCoroutine(response)
        under_way.addErrback(self._fail)
        under_way.addCallback(self._finish)

    def _finish(self, _: None) -> None:
        self._response = None
        self._promised.end()
        self.state = ResponseState.IDLE
        self._context.under_way.discard(self)
        self._connection.responseFinished()
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
        count, rows = self._context.status.rows()
        await self._send_rows(wire.StatusHeader(count), rows)

    async def _list(self, _: wire.List) -> None:
        try:
            listing = await self._context.listings.ask()
        except OSError as error:
            raise errors.Unavailable.folder(why=errors.reason(error)) from error
        await self._send_rows(wire.ListHeader(listing.count), listing.pieces)

    async def _help(self, _: wire.Help) -> None:
        self._promised.begin(self._connection.transport)
        self._connection.transport.write(_HELP)

    async def _exit(self, _: wire.Exit) -> None:
        self.send_reply(wire.Bye(self.seat.name))
        self._connection.close_reason = "exit"
        self._connection.close()

    async def _hash(self, request: wire.Hash) -> None:
        opened = await self._open(request.name, self._open_to_hash)
        try:
            sha256 = await self._digest(opened)
        except FileChanged as error:
            raise errors.Changed(name=request.name) from error
        except OSError as error:
            raise errors.Unavailable(name=request.name, why=errors.reason(error)) from error
        finally:
            self._close(opened)
        self.send_reply(wire.Digest(sha256, opened.size, opened.mtime, request.name))

    async def _get(self, request: wire.Get) -> None:
        await self._send_file(request.name, 0)

    async def _resume(self, request: wire.Resume) -> None:
        await self._send_file(request.name, request.offset)

    async def _send_file(self, name: str, offset: int) -> None:
        opened = await self._open(name, self._context.repository.open)
        try:
            if offset > opened.size:
                raise errors.BadOffset(name=name, size=opened.size)
            with self._hashing(opened) as digest:
                await self._send_range(opened, opened.size - offset)
                self.state = ResponseState.WORKING
                await self._send_end(opened.name, digest)
        finally:
            self._close(opened)
        self.seat.count_file()

    async def _send_range(self, opened: OpenFile, count: int) -> None:
        """Promise the last `count` bytes of a file, and send them."""
        self._promise(wire.FileHeader(count, opened.mtime, opened.name))
        self._transfer = transfer = FileTransfer(self._connection, count)
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

    async def _open(self, name: str, how: Callable[[str], OpenFile]) -> OpenFile:
        """Open a file in a thread by `how(name)`; it is closed again if the client has gone by then."""
        try:
            return await acquire(self._calls_about(name), OpenFile.close, how, name)
        except OSError as error:
            raise errors.Unavailable(name=name, why=errors.reason(error)) from error

    def _close(self, opened: OpenFile) -> None:
        """Close in a thread, unless a transfer had the descriptor, or it is closed already."""
        if opened.is_open:
            run_unawaited(self._calls_about(opened.name), opened.close)

    def _open_to_hash(self, name: str) -> OpenFile:
        """Open the file, in a thread, and close it again where its digest is known, or none is wanted."""
        opened = self._context.repository.open(name)
        digests = self._context.digests
        if digests is None or digests.find(opened.status) is not None:
            opened.close()
        return opened

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
        wire.Help: _help,
        wire.Exit: _exit,
        wire.Hash: _hash,
        wire.Get: _get,
        wire.Resume: _resume,
    }


_HELP = b"".join(
    [wire.format_reply(wire.HelpHeader(len(wire.HELP))) + b"\n", *(f"{row}\n".encode() for row in wire.HELP)]
)
