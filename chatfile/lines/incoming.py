"""From bytes to lines: splitting, turns, and what holds them."""

from __future__ import annotations

import socket

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.protocols.basic import LineReceiver
from zope.interface import implementer

from chatfile.lines.states import Input, PauseReason, Phase
from chatfile.telnet import TelnetFilter
from chatfile.transports import ILineTransport, plain_socket


@implementer(IPushProducer)
class LineInput(LineReceiver):
    """The lines that come in. An heir implements `lineReceived`, `rawDataReceived`, `lineTooLong`, `inputEnded`."""

    # An idle client is to cost little, and a dict of so many attributes is 1.5 KB.
    __slots__ = (
        "_holds", "_next_turn", "_reading", "_skipping", "_start", "_telnet", "clock", "input", "lines", "phase",
    )  # fmt: skip
    delimiter = b"\n"
    MAX_LENGTH = 4096
    TURN = 64
    """Lines delivered before the other connections have their turn."""
    READ_AHEAD = 16 * 1024
    """Bytes kept while lines are held before reading stops too; as long as we read, a reset is noticed at once."""
    HEARS_TELNET = True
    """Whether the peer may be a telnet client: then its commands and negotiation are taken out."""
    LAST_LINE_COUNTS = True
    """Whether what the peer said last is a line even without LF."""

    transport: ILineTransport

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock
        self.phase = Phase.OPEN
        self.input = Input.OPEN
        self._telnet = TelnetFilter()
        self._holds: set[PauseReason] = set()
        self._reading = True
        self._start = 0  # of what is not delivered yet, in _buffer
        self._skipping = False  # the rest of a line that is too long
        self._next_turn: IDelayedCall | None = None
        self.lines = 0
        """How many lines have been delivered or dropped so far."""

    # --- from bytes to lines ---

    def dataReceived(self, data: bytes) -> None:
        """Deliver the lines that are complete with `data`, as far as nothing holds them."""
        if self.phase is not Phase.OPEN:
            return
        if data and self._is_fresh():  # most of what comes: whole messages, answered without the steps below
            end = self.linesReceived(data, 0)
            self.lines += data.count(b"\n", 0, end)
            if end == len(data):
                self.inputSettled()
                return
            data = data[end:]
        if data and self.HEARS_TELNET:
            data = self._telnet.text(data)
        if data:
            self._buffer = self._buffer[self._start :] + data if self._start < len(self._buffer) else data
            self._start = 0
        if self._busyReceiving:
            return
        self._busyReceiving = True
        try:
            self._deliver()
        finally:
            self._busyReceiving = False
        self._apply_holds()

    def _is_fresh(self) -> bool:
        """Whether what comes now has nothing before it and nothing in its way."""
        return not (
            self._holds
            or self._start < len(self._buffer)
            or self._telnet.begun
            or self._skipping
            or self._busyReceiving
            or not self.line_mode
        )

    def _deliver(self) -> None:
        turn = self.TURN
        while self._start < len(self._buffer) and self.phase is Phase.OPEN and not self._holds:
            if turn == 0:
                self._holds.add(PauseReason.YIELD)
                self._next_turn = self.clock.callLater(0, self._take_turn)
            elif not (self._deliver_some_lines() if self.line_mode else self._deliver_raw()):
                break
            turn -= 1
        if self.input is Input.ENDED and self.phase is Phase.OPEN and not self._holds:
            self._deliver_end()

    def _deliver_raw(self) -> bool:
        self.rawDataReceived(self.clearLineBuffer())
        return True

    def _deliver_some_lines(self) -> bool:
        """Deliver many lines at once where the heir can take them so, else the next one."""
        end = self._start if self._skipping else self.linesReceived(self._buffer, self._start)
        if end == self._start:
            return self._deliver_line()
        self.lines += self._buffer.count(b"\n", self._start, end)
        self._start = end
        return True

    def _deliver_line(self) -> bool:
        """Deliver the next line; False where it is not complete."""
        end = self._buffer.find(b"\n", self._start)
        if end < 0:
            self._check_unfinished()
            return False
        line, self._start = self._buffer[self._start : end], end + 1
        self._deliver_one(line)
        return True

    def _deliver_one(self, line: bytes) -> None:
        self.lines += 1
        line = line.removesuffix(b"\r")
        if self._skipping:
            self._skipping = False
        elif len(line) > self.MAX_LENGTH:
            self.lineTooLong()
        else:
            self.lineReceived(line)

    def _check_unfinished(self) -> None:
        """Tell of a line that is too long as soon as that is sure, and keep nothing of it."""
        unfinished = self._buffer[self._start :].removesuffix(b"\r")
        if not self._skipping and len(unfinished) > self.MAX_LENGTH:
            self._skipping = True
            self.lineTooLong()
        if self._skipping:
            self.clearLineBuffer()

    def _deliver_end(self) -> None:
        """At the peer's end: what it said last, then that there is no more."""
        last, self._telnet.begun = self.clearLineBuffer() + self._telnet.begun, b""
        if last and self.line_mode and self.LAST_LINE_COUNTS:
            self._deliver_one(last)
        if self.phase is Phase.OPEN and not self._holds:
            self.input = Input.DONE
            self.inputEnded()

    def clearLineBuffer(self) -> bytes:
        """Take what was not delivered yet."""
        rest, self._buffer, self._start = self._buffer[self._start :], b"", 0
        return rest

    def unfinished_line(self) -> bool:
        """Whether a line has begun and its LF has not come."""
        if self._skipping or self._telnet.begun:
            return True
        return self._start < len(self._buffer) and self._buffer.find(b"\n", self._start) < 0

    # --- what an heir says ---

    def lineReceived(self, line: bytes) -> None:
        """A line came; it is given without its end."""
        raise NotImplementedError

    def linesReceived(self, buffer: bytes, start: int) -> int:  # noqa: ARG002 -- for heirs
        """Whole lines may be waiting in `buffer` from `start` on: the result is the end of those that were dealt with.

        The others come one by one, to `lineReceived`.
        """
        return start

    def rawDataReceived(self, data: bytes) -> None:
        """Bytes came, in raw mode."""
        raise NotImplementedError

    def lineTooLong(self) -> None:
        """A line of more than MAX_LENGTH bytes is being dropped; the next one is delivered again."""
        raise NotImplementedError

    def inputEnded(self) -> None:
        """The peer has half-closed, and every line of it was delivered."""
        raise NotImplementedError

    def inputSettled(self) -> None:
        """After a burst of lines, or a change of what holds them."""

    # --- holding ---

    def pause(self, why: PauseReason) -> None:
        """Deliver nothing, and read little, until `why` is released."""
        self._holds.add(why)
        self._apply_holds()

    def resume(self, why: PauseReason) -> None:
        """The inverse of `hold`: what waited is delivered now if nothing else holds it."""
        self._holds.discard(why)
        if not self._holds:
            self.dataReceived(b"")

    def detach_socket(self) -> socket.socket | None:
        """Let somebody else read, until `PauseReason.DETACHED` is over; None where they would not read what we would.

        So it is over TLS, and where bytes wait here.
        """
        if self.phase is not Phase.OPEN or self.input is not Input.OPEN or self._holds or self._unread():
            return None
        lent = plain_socket(self.transport)
        if lent is not None:
            self.pause(PauseReason.DETACHED)
        return lent

    def _unread(self) -> int:
        return len(self._buffer) - self._start

    def is_paused_for(self, why: PauseReason) -> bool:
        """Whether `why` is a reason at present."""
        return why in self._holds

    def _take_turn(self) -> None:
        self._next_turn = None
        self.resume(PauseReason.YIELD)

    def _give_up_turn(self) -> None:
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None

    def _apply_holds(self) -> None:
        """Read or don't; once per burst of lines, for each change is a system call."""
        if self._busyReceiving or self.phase is not Phase.OPEN:
            return
        self.paused = bool(self._holds)
        wanted = not self._holds or (PauseReason.DETACHED not in self._holds and self._unread() < self.READ_AHEAD)
        if wanted != self._reading:
            self._reading = wanted
            if not wanted:
                self.transport.pauseProducing()
            elif self.input is Input.OPEN:
                self.transport.resumeProducing()
        self.inputSettled()

    def pauseProducing(self) -> None:
        """The transport has enough to write: ask for nothing that makes more of it."""
        self.pause(PauseReason.BACKPRESSURE)

    def resumeProducing(self) -> None:
        """The transport has written everything."""
        self.resume(PauseReason.BACKPRESSURE)

    def stopProducing(self) -> None:
        """The connection is going away, as `connectionLost` will tell."""
