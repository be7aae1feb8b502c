"""Requests in, replies out, in order: how each request is answered.

A message is answered at once. What needs the disk is a coroutine; while it is under way no further line is taken.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, ClassVar

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from chatfile import errors, wire
from chatfile.admission import Seat
from chatfile.digests import Digests, FileChanged
from chatfile.disk import InThread, acquire, behind
from chatfile.lines import LineProtocol, PauseReason, Phase
from chatfile.repository import OpenFile, Repository
from chatfile.sending import FileSender, file_sender
from chatfile.server.events import Events
from chatfile.server.listings import Listings
from chatfile.server.promised import PromisedSize
from chatfile.server.visitors import Visitors


class Reply(enum.Enum):
    """What is under way for the client."""

    NONE = "nothing"
    WORKING = "the disk or a digest is waited for; an ERROR line could still come instead"
    SENDING = "a promised count is being sent; only a reset could cut it short"


class Conversation(LineProtocol):
    """One admitted client's requests and their answers."""

    __slots__ = (
        "_answering", "_digests", "_events", "_in_thread", "_listings", "_promised", "_repository", "_room",
        "_visitors", "reply", "seat", "sender",
    )  # fmt: skip
    TURN = 32
    """Lines; each costs some 20 microseconds where it is a bad one."""

    seat: Seat
    why_left = ""
    """Why the connection ends, where we know it before it does."""

    def __init__(
        self,
        clock: IReactorTime,
        repository: Repository,
        listings: Listings,
        digests: Digests | None,
        visitors: Visitors,
        events: Events,
        in_thread: InThread,
    ) -> None:
        """Serve the files of `repository` and the rows of `visitors`; without `digests`, hash nothing.

        `in_thread` makes the calls of this client that open and read files.
        """
        super().__init__(clock)
        self.reply = Reply.NONE
        self.sender: FileSender | None = None
        self._repository = repository
        self._listings = listings
        self._digests = digests
        self._visitors = visitors
        self._events = events
        self._in_thread = in_thread
        self._answering: Deferred[None] | None = None
        self._room: Deferred[None] | None = None
        self._promised = PromisedSize(clock)

    # --- one line, one answer ---

    def lineReceived(self, line: bytes) -> None:
        """Answer a request, or begin to."""
        try:
            request = wire.parse_request(line)
        except errors.Refusal as refusal:
            self.refuse(refusal)
            return
        if isinstance(request, wire.Message):
            self.say(wire.Ack(request.text))
        else:
            self._begin(self._ANSWERS[type(request)](self, request))

    def linesReceived(self, buffer: bytes, start: int) -> int:
        """Answer many messages at once."""
        answers, end = wire.acknowledge(buffer, start)
        if answers:
            self.transport.write(answers)
        return end

    def greet(self) -> None:
        """The first word is ours."""
        self.say(wire.Welcome(self.seat.name))

    def lineTooLong(self) -> None:
        """Say so; the rest of that line is dropped."""
        self.refuse(errors.LineTooLong(limit=self.MAX_LENGTH))

    def say(self, reply: wire.Reply) -> None:
        """Send one line."""
        self.sendLine(wire.format_reply(reply))

    def refuse(self, refusal: errors.Refusal) -> None:
        """Send an ERROR line; the conversation goes on."""
        self.say(wire.Error(refusal.code, str(refusal)))

    def _begin(self, answer: Coroutine[Deferred[Any], Any, None]) -> None:
        self.reply = Reply.WORKING
        self.pause(PauseReason.BUSY)
        self._answering = answering = Deferred.fromCoroutine(answer)
        answering.addErrback(self._failed)
        answering.addCallback(self._end_reply)

    def _end_reply(self, _: None) -> None:
        self._answering = None
        self._promised.end()
        self.reply = Reply.NONE
        self.replied()
        self.resume(PauseReason.BUSY)

    def replied(self) -> None:
        """An answer that took a while is complete."""

    def _failed(self, failure: Failure) -> None:
        """Where the answer could not be given: say why, or cut what was promised."""
        error = failure.value
        if self.phase is not Phase.OPEN:
            return
        if self.reply is Reply.SENDING:
            self._log_cut(failure)
            self.abort()
        elif isinstance(error, errors.Refusal):
            self.refuse(error)
        elif not isinstance(error, CancelledError):
            self._events.failed(self.seat, failure)
            self.refuse(errors.Internal())
            self.close()

    def _log_cut(self, failure: Failure) -> None:
        expected = (errors.FileShrank, errors.TransferAborted, OSError, CancelledError)
        if failure.check(*expected) is None:
            self._events.failed(self.seat, failure)
        elif not failure.check(errors.TransferAborted, CancelledError):
            self._events.cut(self.seat, failure.getErrorMessage())

    def stop_answering(self) -> None:
        """Give up what is under way, if anything is."""
        if self._answering is not None:
            self._answering.cancel()

    # --- backpressure ---

    def resumeProducing(self) -> None:
        """The transport has written everything."""
        super().resumeProducing()  # first: who waited may fill the transport again at once
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)

    async def _write(self, data: bytes) -> None:
        """Write, and wait until the peer has taken enough of it."""
        self.transport.write(data)
        if self.is_paused_for(PauseReason.BACKPRESSURE):
            self._room = Deferred()
            await self._room

    async def _say_rows(self, header: wire.Reply, slices: Iterable[bytes]) -> None:
        self.reply = Reply.SENDING
        self._promised.begin(self.transport)
        self.say(header)
        for rows in slices:
            await self._write(rows)

    # --- the answers ---

    async def _status(self, _: wire.Status) -> None:
        count, rows = self._visitors.rows()
        await self._say_rows(wire.StatusHeader(count), rows)

    async def _list(self, _: wire.List) -> None:
        try:
            listing = await self._listings.ask()
        except OSError as error:
            raise errors.FolderUnavailable(why=errors.reason(error)) from error
        await self._say_rows(wire.ListHeader(listing.count), listing.pieces)

    async def _help(self, _: wire.Help) -> None:
        self._promised.begin(self.transport)
        self.transport.write(_HELP)

    async def _exit(self, _: wire.Exit) -> None:
        self.say(wire.Bye(self.seat.name))
        self.why_left = "exit"
        self.close()

    async def _hash(self, request: wire.Hash) -> None:
        opened = await self._open(request.name, self._look)
        try:
            sha256 = await self._begin_digest(opened)
        except FileChanged as error:
            raise errors.Changed(name=request.name) from error
        except OSError as error:
            raise errors.Unavailable(name=request.name, why=errors.reason(error)) from error
        finally:
            self._close(opened)
        self.say(wire.Digest(sha256, opened.size, opened.mtime, request.name))

    async def _get(self, request: wire.Get) -> None:
        await self._send_file(request.name, 0)

    async def _resume(self, request: wire.Resume) -> None:
        await self._send_file(request.name, request.offset)

    async def _send_file(self, name: str, offset: int) -> None:
        opened = await self._open(name, self._repository.open)
        try:
            if offset > opened.size:
                raise errors.BadOffset(name=name, size=opened.size)
            await self._send_opened(opened, offset)
        finally:
            self._close(opened)

    async def _send_opened(self, opened: OpenFile, offset: int) -> None:
        digest = self._begin_digest(opened)
        try:
            await self._stream(opened, offset)
        except BaseException:
            digest.addErrback(lambda _: None)
            digest.cancel()
            raise
        self.reply = Reply.WORKING
        try:
            self.say(wire.End(await digest))
        except (FileChanged, OSError) as error:
            raise errors.Changed(name=opened.name) from error
        self.seat.count_file()

    # --- files ---

    async def _open(self, name: str, how: Callable[[str], OpenFile]) -> OpenFile:
        """Open in a thread; if the client has gone by then, it is closed again."""
        try:
            return await acquire(self._calls_about(name), OpenFile.close, how, name)
        except OSError as error:
            raise errors.Unavailable(name=name, why=errors.reason(error)) from error

    def _look(self, name: str) -> OpenFile:
        """In a thread: open the file, and close it again where its digest is known, or none is wanted."""
        opened = self._repository.open(name)
        if self._digests is None or self._digests.knows(opened.status):
            opened.close()
        return opened

    def _close(self, opened: OpenFile) -> None:
        if opened.is_open:
            behind(self._calls_about(opened.name), opened.close)

    def _calls_about(self, name: str) -> InThread:
        return partial(self._in_thread, about=name)

    def _begin_digest(self, opened: OpenFile) -> Deferred[str | None]:
        if self._digests is None:
            return succeed(None)
        digest: Deferred[Any] = self._digests.digest(opened.descriptor, opened.status)
        return digest

    async def _stream(self, opened: OpenFile, offset: int) -> None:
        """Promise the rest of the file and send it. The sender has the transport's producer slot meanwhile."""
        count = opened.size - offset
        began, sent_before = self.clock.seconds(), self.seat.record().bytes
        self.reply = Reply.SENDING
        self._promised.begin(self.transport)
        self.say(wire.FileHeader(count, opened.mtime, opened.name))
        self.transport.unregisterProducer()
        self.resume(
            PauseReason.BACKPRESSURE
        )  # if the header was too much for the transport, it is the sender's turn to wait
        self.sender = file_sender(
            self.transport,
            opened.detach(),
            offset=offset,
            count=count,
            in_thread=self._calls_about(opened.name),
            progress=self.seat.count_bytes,
        )
        try:
            await self.sender.start()
            self.transport.registerProducer(self, True)
        finally:
            self.sender = None
            sent = self.seat.record().bytes - sent_before
            self._events.sent(self.seat, opened.name, sent, count, self.clock.seconds() - began)

    _ANSWERS: ClassVar[dict[type, Callable[[Conversation, Any], Coroutine[Deferred[Any], Any, None]]]] = {
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
