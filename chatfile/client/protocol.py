"""The protocol of a client: one call for each request, and what becomes of the connection."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from chatfile import disk, errors, wire
from chatfile.disk import InThread
from chatfile.endpoints import why_lost
from chatfile.lines import LineProtocol, PauseReason
from chatfile.pending import (
    Accept,
    Content,
    FileRequest,
    PendingAck,
    PendingContent,
    PendingFile,
    PendingGreeting,
    PendingLine,
    PendingReply,
    PendingRows,
    Received,
    pending_help,
    pending_tree,
)
from chatfile.receiving import Hasher
from chatfile.timeouts import Timer
from chatfile.transports import is_tcp, take_small_turns

if TYPE_CHECKING:
    import socket

    from chatfile.receiving.limit import ReceivingLimit

CLOSING = (errors.Full, errors.IdleTimeout, errors.Shutdown, errors.Internal)
"""Refusals after which the server closes."""
HASHING_RATE = 20_000_000
"""Bytes a second that a server's hashing is given, at least."""
LONGEST_HASHING = 86_400.0
"""Seconds that it is given at most: a server that lies about a size is not waited for until the end of the world."""


class ChatFileClient(LineProtocol):
    """One connection to a server. Use `connect` to get one."""

    MAX_LENGTH = wire.MAX_REPLY
    LAST_LINE_COUNTS = False
    HEARS_TELNET = False
    name = ""
    """What the server calls us, from the greeting on."""
    position = 0
    """Where we are in the waiting line, or were at last; 0 where we have not waited."""
    _take_raw: Callable[[bytes], None]
    """Takes what comes in raw mode; `receive_raw` sets both."""

    def __init__(
        self,
        clock: IReactorTime,
        *,
        timeout: float = 60.0,
        in_thread: InThread = disk.in_thread,
        waiting: Callable[[int], None] | None = None,
        limit_rate: int = 0,
    ) -> None:
        """Give up after `timeout` seconds of `clock` (0: never) in which a reply is due and makes no progress.

        Progress is a whole line, or bytes of a file. With `waiting`, wait in the line of a server that is full, if it
        has one, and tell each position. At most `limit_rate` bytes of files are read a second (0: no limit); below a
        few thousand, a server may take the client for one that has stalled.
        """
        super().__init__(clock)
        self.closed: Deferred[errors.ChatFileError] = Deferred()
        """Fires, with the reason, when the connection is gone."""
        self.greeted: Deferred[None] = Deferred()
        """Fires when the server has answered to the name that it gave us."""
        self.timeout = timeout
        self._in_thread = in_thread
        self._waiting = waiting
        self._limit = _limit(self, clock, limit_rate) if limit_rate else None
        self._pending: deque[PendingReply[Any]] = deque()
        self._silence = Timer(clock, self._silent_for_too_long)
        self._progress: object = None  # how far the replies were when the timeout was last restarted
        self._end: errors.ChatFileError | None = None  # why the connection is about to go

    # --- requests ---

    def send(self, text: str) -> Deferred[str]:
        """Send a message; the result is the server's answer, `text` with ` ACK` behind it.

        Raises `IsCommand`, `BadLine` or `LineTooLong` for what is no message.
        """
        return self._ask(wire.Message(text), PendingAck(self, text))

    def status(self) -> Deferred[wire.Rows[wire.ClientRow]]:
        """Return a row for each client that is or was connected."""
        return self._ask(wire.Status(), PendingRows(self, wire.StatusHeader, _parse_client))

    def listing(self) -> Deferred[wire.Rows[wire.FileRow]]:
        """Return a row for each file that there is."""
        return self._ask(wire.List(), PendingRows(self, wire.ListHeader, wire.parse_listed))

    def tree(self, folder: str = "") -> Deferred[wire.Rows[wire.FileRow]]:
        """Return a row for each file of `folder`, a path, and of those in it, or of all; their names are whole paths.

        Fails with `NoSubfolders` where the server has none, which `listing` is for.
        """
        return self._ask(wire.Tree(folder), pending_tree(self, folder))

    def help(self) -> Deferred[wire.Rows[str]]:
        """Return what the server says of its commands, in rows of text."""
        return self._ask(wire.Help(), pending_help(self))

    def hash(self, name: str, *, size: int = 0) -> Deferred[wire.Digest]:
        """Return the digest of a file, with its size and time; the server is given time to hash `size` bytes."""

        def is_right(digest: wire.Digest) -> bool:
            return digest.name == name and wire.is_servable_path(name)

        return self._ask(wire.Hash(name), PendingLine(self, wire.Digest, is_right, hashing=size))

    def get(
        self,
        name: str,
        into: int | Accept,
        *,
        offset: int = 0,
        hasher: Hasher | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Deferred[Received]:
        """Fetch a file from byte `offset` on into a descriptor, and verify it.

        `into` is the descriptor, written from where it stands, or a function that is shown the `FileHeader` and
        gives a Deferred of the descriptor, or of None to drop the bytes. `hasher`, a `hashlib.sha256()`, has taken the
        first `offset` bytes; without it what is resumed can't be verified. `progress(n)` is told of n more bytes.

        Fails with a `Refusal`, `TransferBroken`, `DigestMismatch`, or the OSError of a write. After a failure, and
        when it is cancelled, bytes that still come are dropped: the connection can be used on.
        """
        request = wire.Resume(offset, name) if offset else wire.Get(name)
        if hasher is None and not offset:
            hasher = hashlib.sha256()
        accept: Accept = (lambda _: succeed(into)) if isinstance(into, int) else into
        asked = FileRequest(name, offset, accept, hasher, self._in_thread, progress)
        return self._ask(request, PendingFile(self, asked))

    def read(self, name: str, *, most: int) -> Deferred[Content | None]:
        """Fetch a small file into memory, and verify it; None if it has more than `most` bytes, which are dropped.

        Fails with a `Refusal`, `TransferBroken` or `DigestMismatch`.
        """
        return self._ask(wire.Get(name), PendingContent(self, name, most))

    def exit(self) -> Deferred[None]:
        """Say goodbye; the result comes when the connection is closed."""
        leaving = self._ask(wire.Exit(), PendingLine(self, wire.Bye, lambda bye: bye.name == self.name))
        return leaving.addCallback(lambda _: self._hang_up())

    @property
    def is_waiting(self) -> bool:
        """Tell whether a reply, or what is left of one that nobody wants any more, is still to come."""
        return bool(self._pending)

    @property
    def is_dropping(self) -> bool:
        """Tell whether what is still to come begins with what nobody wants any more."""
        return bool(self._pending) and self._pending[0].done.called

    def _hang_up(self) -> Deferred[None]:
        gone: Deferred[None] = Deferred()

        def tell(why: errors.ChatFileError) -> errors.ChatFileError:
            gone.callback(None)
            return why

        self.closed.addCallback(tell)
        self.close()
        return gone

    def _ask(self, request: wire.Request, pending: PendingReply[Any]) -> Deferred[Any]:
        line = wire.format_request(request)
        if not self.is_receiving or self._end is not None:
            raise self._end or errors.ServerClosed
        self._pending.append(pending)
        self.sendLine(line)
        self.readStateChanged()
        return pending.done

    # --- the connection ---

    def connectionMade(self) -> None:
        """Wait for the greeting, and answer it with the name that it gives."""
        if is_tcp(self.transport):
            self.transport.setTcpNoDelay(True)
        if self._limit is not None:
            take_small_turns(self.transport, self._limit.piece)
            self.READ_AHEAD = min(self.READ_AHEAD, self._limit.piece)
        greeting = PendingGreeting(self, None if self._waiting is None else self._moved_up)
        self._pending.append(greeting)
        self.readStateChanged()
        greeting.done.addCallback(self._introduce)
        greeting.done.addCallbacks(lambda _: self.greeted.callback(None), self.greeted.errback)

    def _moved_up(self, position: int) -> None:
        self._end = None  # it is not full for us
        self.position = position
        if self._waiting is not None:
            self._waiting(position)

    def _introduce(self, welcome: wire.Welcome) -> Deferred[str]:
        self._end = None
        self.name = welcome.name
        return self.send(welcome.name)

    def lineReceived(self, line: bytes) -> None:
        """Take a line of the reply that is due, or an ERROR, which may come at any time."""
        pending = self._pending[0] if self._pending else None
        try:
            refusal = None if pending is not None and pending.is_own(line) else parse_refusal(line)
            if refusal is not None:
                self._refused(refusal)
            elif pending is None:
                raise errors.ProtocolViolation(what=f'"{wire.printable(line[:100].decode(errors="replace"))}" unasked')
            else:
                pending.receive(line)
        except errors.ProtocolViolation as violation:
            self.violated(violation)

    def receive_raw(self, take: Callable[[bytes], None]) -> None:
        """Give bytes to `take`, until `setLineMode`."""
        self._take_raw = take
        self.setRawMode()  # type: ignore[no-untyped-call]  # it is Twisted's

    def answered(self, pending: PendingReply[Any]) -> None:
        """Give the next line to the reply behind `pending`, which is complete."""
        if self._pending and self._pending[0] is pending:
            self._pending.popleft()

    def _refused(self, refusal: errors.Refusal) -> None:
        if isinstance(refusal, CLOSING):
            self._end = refusal
        if isinstance(refusal, errors.Full) and self._wait_in_line():
            return
        if self._pending:
            self._pending.popleft().fail(refusal)

    def _wait_in_line(self) -> bool:
        """Ask for a place in the waiting line; return False where that is not wanted, or was refused already.

        A server that has none closes the connection, as one does that did not hear of it in time.
        """
        greeting = self._pending[0] if self._pending else None
        if not isinstance(greeting, PendingGreeting) or not greeting.wait():
            return False
        self.sendLine(wire.format_request(wire.Wait()))
        return True

    def violated(self, violation: errors.ChatFileError) -> None:
        """Reset the connection: nothing more that comes is to be trusted."""
        self._end = violation
        self.abort()

    def lineTooLong(self) -> None:
        """Take it for a violation: no server that speaks chatfile/1 sends such a line."""
        self.violated(errors.ProtocolViolation(what=f"a line of more than {self.MAX_LENGTH} bytes"))

    def rawDataReceived(self, data: bytes) -> None:
        """Take bytes of a file."""
        if self._limit is not None:
            self._limit.count(len(data))
        self._take_raw(data)

    def detach_socket(self) -> socket.socket | None:
        """See `LineProtocol`; with a limit, bytes are counted as they are read, which nothing else may do."""
        return None if self._limit is not None else super().detach_socket()

    def readStateChanged(self) -> None:
        """Restart the timeout where there is progress, a whole line or bytes of a file; pause it while we do not read.

        What comes in trickles is no progress before its line is whole, nor is another request of ours.
        """
        if not self._pending or not self.is_receiving:
            self._silence.restart(0)
            return
        due = self._pending[0]
        progress = (self.splitter.count, due.came, due.hashing)
        if progress != self._progress:
            self._progress = progress
            extra = min(due.hashing / HASHING_RATE, LONGEST_HASHING) + due.interval
            self._silence.restart(self.timeout + extra if self.timeout else 0)
        if self.paused:
            self._silence.pause()
        else:
            self._silence.resume()

    def _silent_for_too_long(self) -> None:
        self.violated(self._end or errors.ServerSilent(seconds=self.timeout))

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Fail everything that was waited for, and say why."""
        super().connectionLost(reason)
        self._silence.stop()
        if self._limit is not None:
            self._limit.stop()
        end = self._end or why_lost(reason, greeted=bool(self.name), is_asked=bool(self._pending))
        while self._pending:
            self._pending.popleft().lose(end)
        self.closed.callback(end)


def _limit(client: ChatFileClient, clock: IReactorTime, rate: int) -> ReceivingLimit:
    from chatfile.receiving.limit import ReceivingLimit  # noqa: PLC0415 -- only where there is one

    why = PauseReason.RATE
    return ReceivingLimit(clock, rate, pause=partial(client.pause, why), resume=partial(client.resume, why))


def _parse_client(line: bytes) -> wire.ClientRow:
    return wire.parse_reply(line, wire.ClientRow)


def parse_refusal(line: bytes) -> errors.Refusal | None:
    """Return the error that an ERROR line tells of; None where it is no such line."""
    if not line.startswith(b"ERROR "):
        return None
    said = wire.parse_reply(line, wire.Error)
    refusal = errors.REFUSALS.get(said.code, errors.Refusal)(said.sentence)
    refusal.code = said.code
    return refusal
