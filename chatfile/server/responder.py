"""Requests in, responses out, in order: one coroutine for each request.

A message is answered at once. What needs the disk is a coroutine; while it is under way no further line is taken. Where
several requests for files came together, these are taken together, and small files are read ahead of their turns.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ClassVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from chatfile import errors, wire
from chatfile.admission import Seat
from chatfile.lines import PauseReason
from chatfile.server.activity import LeaveReason
from chatfile.server.context import ServerContext
from chatfile.server.file_responses import FileResponses
from chatfile.server.response_writer import ResponseState, ResponseWriter
from chatfile.server.transfer import ClientConnection

_EXPECTED = (errors.Refusal, errors.FileShrank, errors.TransferAborted, OSError, CancelledError)
"""What may end a response that can't be answered with an ERROR line any more; all else is a fault of ours."""


class Responder:
    """Answers the requests of one client that has a seat."""

    __slots__ = ("_connection", "_context", "_files", "_response", "_writer", "seat")

    def __init__(self, connection: ClientConnection, seat: Seat, context: ServerContext) -> None:
        """Answer the client of `seat` on `connection`."""
        self.seat = seat
        self._connection = connection
        self._context = context
        self._writer = ResponseWriter(connection, context.clock)
        self._files: FileResponses | None = None
        self._response: Deferred[None] | None = None

    # --- one line, one response ---

    def welcome(self) -> None:
        """Greet the client by its name."""
        self._writer.send_reply(wire.Welcome(self.seat.name))

    def handle_line(self, line: bytes) -> None:
        """Answer a request, or begin to."""
        try:
            request = wire.parse_request(line, has_tree=self._context.repository.is_recursive)
        except errors.Refusal as refusal:
            self._writer.send_error(refusal)
            return
        if isinstance(request, wire.Message):
            self._writer.send_reply(wire.Ack(request.text))
        else:
            self._begin((request,))

    def handle_requests(self, requests: Sequence[wire.Get | wire.Hash]) -> None:
        """Begin to answer several requests, in their order; small files are read ahead."""
        self._file_responses().read_ahead([request.name for request in requests])
        self._begin(requests)

    def _begin(self, requests: Sequence[wire.Request]) -> None:
        self._context.under_way.add(self)
        self._connection.pause(PauseReason.BUSY)
        self._response = Deferred.fromCoroutine(self._respond(requests))
        self._response.addErrback(self._break_off)

    async def _respond(self, requests: Sequence[wire.Request]) -> None:
        """Answer one request after the other, and then take further lines."""
        for request in requests:
            self._writer.begin()
            try:
                await self._RESPONSES[type(request)](self, request)
            except Exception:  # a refusal is told the client, a defect the log as well
                self._fail(Failure())
            self._writer.end()
            self._connection.responseFinished()
            if not self._connection.is_receiving:
                break
        self._response = None
        if self._files is not None:
            self._files.forget_ahead()
        self._context.under_way.discard(self)
        self._connection.resume(PauseReason.BUSY)

    # --- what goes wrong ---

    def _fail(self, failure: Failure) -> None:
        """Send an ERROR line in place of the response, or reset the connection if a count was promised already."""
        error = failure.value
        if not self._connection.is_receiving:
            self._log_fault(failure)
        elif self._writer.state is ResponseState.SENDING:
            self._log_fault(failure)
            self._log_cut(failure)
            self._connection.abort()
        elif isinstance(error, errors.Refusal):
            self._writer.send_error(error)
        elif not isinstance(error, CancelledError):
            self._context.events.failed(self.seat, failure)
            self._writer.send_error(errors.Internal())
            self._connection.close()

    def _log_fault(self, failure: Failure) -> None:
        if failure.check(*_EXPECTED) is None:
            self._context.events.failed(self.seat, failure)

    def _log_cut(self, failure: Failure) -> None:
        if failure.check(errors.FileShrank, OSError) is not None:
            self._context.events.cut(self.seat, failure.getErrorMessage())

    def _break_off(self, failure: Failure) -> None:
        """Hear of a fault behind a response, as in the lines that had to wait: else they would wait for ever."""
        self._context.under_way.discard(self)
        self._context.events.failed(self.seat, failure)
        self._connection.abort()

    # --- what the connection asks and tells ---

    @property
    def state(self) -> ResponseState:
        """Tell what is under way."""
        return self._writer.state

    @property
    def is_transferring(self) -> bool:
        """Tell whether a file is being sent that is not sent in one write."""
        return self._files is not None and self._files.is_transferring

    @property
    def is_blocked(self) -> bool:
        """Tell whether a file is being sent, and it is the peer that is waited for."""
        return self._files is not None and self._files.is_blocked

    def output_drained(self) -> None:
        """Write on: the transport has written everything."""
        self._writer.drained()

    def cancel(self) -> None:
        """Give up the response that is under way, if there is one."""
        if self._response is not None:
            self._response.cancel()

    def take_back_promise(self) -> None:
        """Have a close end the connection as usual, without a reset; call it before each close."""
        self._writer.take_back_promise()

    def end(self) -> None:
        """Give up whatever is under way, and leave nothing behind: the connection is gone."""
        self.take_back_promise()
        self.cancel()
        if self._files is not None:
            self._files.end()

    # --- the responses ---

    def _file_responses(self) -> FileResponses:
        if self._files is None:
            self._files = FileResponses(self._connection, self.seat, self._context, self._writer)
        return self._files

    async def _get(self, request: wire.Get) -> None:
        await self._file_responses().send(request.name, 0)

    async def _resume(self, request: wire.Resume) -> None:
        await self._file_responses().send(request.name, request.offset)

    async def _hash(self, request: wire.Hash) -> None:
        await self._file_responses().hash(request.name)

    async def _list(self, _: wire.List) -> None:
        await self._send_listing(wire.ListHeader)

    async def _tree(self, request: wire.Tree) -> None:
        await self._send_listing(wire.TreeHeader, request.folder)

    async def _send_listing(self, header: Callable[[int], wire.Reply], tree: str | None = None) -> None:
        try:
            listing = await self._context.listings.ask(tree)
        except OSError as error:
            raise errors.Unavailable.folder(why=errors.reason(error)) from error
        await self._writer.send_rows(header(listing.count), listing.pieces)

    async def _status(self, _: wire.Status) -> None:
        count, rows = await self._context.status.rows()
        await self._writer.send_rows(wire.StatusHeader(count), rows)

    async def _help(self, _: wire.Help) -> None:
        self._writer.promise()
        self._connection.sendLine(_HELP[self._context.repository.is_recursive])

    async def _exit(self, _: wire.Exit) -> None:
        self._writer.send_reply(wire.Bye(self.seat.name))
        self._connection.close_reason = LeaveReason.EXIT
        self._connection.close()

    _RESPONSES: ClassVar[dict[type, Callable[[Responder, Any], Coroutine[Deferred[Any], Any, None]]]] = {
        wire.Get: _get,
        wire.Resume: _resume,
        wire.Hash: _hash,
        wire.List: _list,
        wire.Tree: _tree,
        wire.Status: _status,
        wire.Help: _help,
        wire.Exit: _exit,
    }


def _format_help(rows: Sequence[str]) -> bytes:
    return b"\n".join([wire.format_reply(wire.HelpHeader(len(rows))), *(row.encode() for row in rows)])


_HELP = {False: _format_help(wire.HELP), True: _format_help(wire.HELP_WITH_TREE)}
"""The reply to `help`, of a server without subfolders and of one with them, but for its last LF."""
