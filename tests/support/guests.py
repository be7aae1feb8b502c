"""A guest of a server: says, reads and goes as it likes, and knows when it was cut off too early."""

from __future__ import annotations

from dataclasses import dataclass

from chatfile import errors, wire
from chatfile.server import Timeouts
from tests.support.judging import Asked, Judge
from tests.support.serving import Server
from tests.support.shelf import Shelf
from tests.support.wires import Wire

ROUNDING = 1e-6
"""Seconds that a sum of ticks can be wrong by."""


@dataclass
class House:
    """The server, what it serves, and its clocks."""

    server: Server
    shelf: Shelf
    timeouts: Timeouts
    drain_ends: float | None = None

    def now(self) -> float:
        return self.server.clock.seconds()


class Guest:
    """One end of a connection, and a judge of the other."""

    def __init__(self, house: House, port: int, *, reads: bool) -> None:
        self.house = house
        self.judge = Judge(house.shelf)
        self.wire = Wire(port, house.server.clock)
        self.wire.protocol = house.server.connect(self.wire).protocol
        self.reads = reads
        self.acted_at = self._said_at = self._began_at = self._took_at = house.now()
        self._unfinished = b""
        self._is_too_long = False
        self._vanished = False

    # --- what it does ---

    def says(self, data: bytes) -> None:
        self.wire.arriving.append(data)
        self.acted_at = self.house.now()
        *ended, rest = data.split(b"\n")
        for text in ended:
            self._begins(text)
            self._ends_line()
        self._begins(rest)

    def _begins(self, text: bytes) -> None:
        if text and not self._unfinished:
            self._began_at = self.house.now()
        self._unfinished += text
        if not self._is_too_long and len(self._unfinished.removesuffix(b"\r")) > wire.MAX_REQUEST:
            self._ask()
            self._is_too_long = True

    def _ends_line(self) -> None:
        if not self._is_too_long:
            self._ask()
        self._said_at = self.house.now()
        self._unfinished, self._is_too_long = b"", False

    def _ask(self) -> None:
        self.judge.asked.append(Asked(self._unfinished.removesuffix(b"\r"), self.house.shelf.moment))

    def ends(self) -> None:
        """It says no more, but still listens."""
        self.acted_at = self.house.now()
        if not self.wire.peer_ended and self._unfinished and not self._is_too_long:
            self._ask()
        self.wire.peer_ended = True

    def vanishes(self) -> None:
        self._vanished = True
        self.wire.vanish()

    def turn(self) -> bool:
        """One turn of the reactor, and what this end makes of it; whether anything happened."""
        was_lost = self.wire.is_lost
        happened = self.wire.turn()
        read = self._read()
        if self.wire.is_lost and not was_lost:
            self._check_the_end()
        return happened or read

    def _read(self) -> bool:
        """What was sent before a clean end is there to be read, sooner or later."""
        if self._vanished or not (self.reads or (self.wire.is_lost and not self.wire.aborted)):
            return False
        data = self.wire.take()
        if data:
            self._took_at = self.acted_at = self.house.now()
            self.judge.hears(data)
            self._check_the_goodbye()
        return bool(data)

    def drained_at(self) -> float:
        """When it had to go for the server's sake, unless it has moved since."""
        ends = self.house.drain_ends
        return self.house.now() if ends is None else max(ends, self.acted_at)

    # --- how it ends ---

    def _check_the_goodbye(self) -> None:
        """Who is sent away is sent by the right clock."""
        closed_at, limits = self.wire.closed_at, self.house.timeouts
        if closed_at is None or not self.judge.goodbye:
            return
        if self._was_told(errors.IdleTimeout(seconds=limits.idle)):
            assert closed_at - self._said_at >= limits.idle - ROUNDING
        elif self._was_told(errors.IdleTimeout.amid_line(seconds=limits.line)):
            assert closed_at - self._began_at >= limits.line - ROUNDING

    def _was_told(self, refusal: errors.Refusal) -> bool:
        return self.judge.goodbye == wire.format_reply(wire.Error(refusal.code, str(refusal)))

    def _check_the_end(self) -> None:
        if self.wire.aborted_at is not None:
            assert self._was_cut_rightly(self.wire.aborted_at), "a reset has a reason"
            return
        assert self.judge.is_between_replies, "a clean end is the end of a reply"
        done = self.wire.peer_ended and not self.judge.asked
        assert done or self.judge.goodbye, "a clean end is wished for, or told"

    def _was_cut_rightly(self, at: float) -> bool:
        drained = self.house.drain_ends is not None and at >= self.house.drain_ends - ROUNDING
        return drained or self._took_too_little(at) or self.judge.is_getting_what_is_damaged()

    def _took_too_little(self, at: float) -> bool:
        closed_at = self.wire.closed_at or 0
        limit = self.house.timeouts.flush if closed_at < at else self.house.timeouts.stall
        since = max(closed_at, self._took_at) if closed_at < at else self._took_at
        return at - since >= limit - ROUNDING

    @property
    def is_gone(self) -> bool:
        return self.wire.is_lost

    @property
    def is_served(self) -> bool:
        return self.wire.closed_at is None and not self.wire.is_lost

    def has_heard_everything(self) -> bool:
        """Whether nothing is on its way, and the latest reply is complete."""
        on_its_way = self.wire.unsent or self.wire.unread or self.judge.asked
        return self.judge.is_between_replies and not self._vanished and not on_its_way
