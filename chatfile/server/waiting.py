"""The waiting line: connections that wait for a seat, what they are told meanwhile, and whose turn it is.

Imported only where there are places. Who may have a place or a seat is a matter of `admission`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from chatfile import errors, wire
from chatfile.admission import MemoryAdmission, Place, Seat
from chatfile.lines import ConnectionState, PauseReason
from chatfile.timeouts import Timer
from chatfile.transports import is_reset

INVITATION = 5.0
"""Seconds in which a client that found no seat may ask for a place."""
REPEAT = 25.0
"""Seconds after which each client is told its position again: docs/protocol.md grants 30, and a turn may come late."""
DELAY = 0.25
"""Seconds from a change to the news of it: all changes of that time are told at once."""
TURN = 64
"""Clients that are told before the other connections have their turn; each costs some 10 microseconds."""


class WaitingConnection(Protocol):
    """A connection without a seat, as far as a `Waiter` uses it."""

    address: str
    host: str
    transport: Any
    state: ConnectionState
    splitter: Any

    @property
    def is_receiving(self) -> bool:
        """Tell whether our side has not closed it."""

    def sendLine(self, line: bytes) -> None:
        """Send a line."""

    def begin_waiting(self) -> None:
        """Deliver no more lines until the client has a seat."""

    def is_paused_for(self, why: PauseReason) -> bool:
        """Tell whether `why` is a reason at present."""

    def take_seat(self, seat: Seat) -> None:
        """Let the client in."""

    def position_sent(self) -> None:
        """Hear that something was sent, which the peer has to take in time."""

    def close(self) -> None:
        """Refuse the client, and close the connection."""

    def abort(self) -> None:
        """Reset it."""


class Waiter:
    """A client that found no seat: it may ask for a place in the line, and has one from then on."""

    __slots__ = ("_connection", "_invitation", "_line", "_place")

    def __init__(self, connection: WaitingConnection, line: WaitingLine, clock: IReactorTime) -> None:
        """Give it some seconds to ask."""
        self._connection = connection
        self._line = line
        self._place: Place | None = None
        self._invitation: Timer | None = Timer(clock, connection.close)
        self._invitation.restart(INVITATION)

    def handle_line(self, line: bytes | None) -> None:
        """Take a place, if `line` asks for one; whatever else it is, the client is refused as it is without a line."""
        self._end_invitation()
        if line is None or not wire.is_wait(line):
            self._connection.close()
            return
        try:
            self._place = self._line.take_place(self, self._connection.address, self._connection.host)
        except errors.Full as refusal:
            self._connection.sendLine(wire.format_reply(wire.Error(refusal.code, str(refusal))))
            self._connection.close()
            return
        self._connection.begin_waiting()
        self.tell(self._place.position)
        self._line.call_up()

    def read_state_changed(self) -> None:
        """Give up the place if the peer has half-closed, and there is nothing to be answered in its turn."""
        if self._connection.state is ConnectionState.HALF_CLOSED and not self._connection.splitter.waiting:
            self._connection.close()

    def is_there(self) -> bool:
        """Tell whether the client is still connected, as far as the system knows."""
        return self._connection.is_receiving and not is_reset(self._connection.transport)

    def tell(self, position: int) -> None:
        """Tell the client its position, unless it takes nothing of what was sent to it before."""
        connection = self._connection
        if not connection.is_paused_for(PauseReason.BACKPRESSURE):
            connection.sendLine(wire.format_reply(wire.Waiting(position)))
            connection.position_sent()

    def take_seat(self, seat: Seat) -> None:
        """Let the client in: it has `seat` in exchange for its place."""
        self._connection.take_seat(seat)

    def abort(self) -> None:
        """Reset the connection."""
        self._connection.abort()

    def leave(self) -> None:
        """Give the place back, if it has one; called when the connection is closed or gone."""
        self._end_invitation()
        if self._place is not None:
            self._line.discard(self._place)

    def _end_invitation(self) -> None:
        if self._invitation is not None:
            self._invitation.stop()
            self._invitation = None


class WaitingLine:
    """Tells all clients that wait where they are, and gives each the seat that it is due."""

    def __init__(self, admission: MemoryAdmission, clock: IReactorTime) -> None:
        """Begin without clients; `admission` has the places."""
        self._admission = admission
        self._clock = clock
        self._waiters: dict[Place, Waiter] = {}
        self._is_calling = False
        self._moved = 0  # the first position at which there is another client than was told; 0 if there is none
        self._news = Timer(clock, self._begin_round)
        self._repeat = Timer(clock, self._tell_all)
        self._round: Iterator[tuple[int, Place]] = iter(())
        self._turn: IDelayedCall | None = None

    def invite(self, connection: WaitingConnection) -> Waiter | None:
        """Let a client that found no seat ask for a place; None where there is none for its host."""
        try:
            self._admission.check_place(connection.host)
        except errors.Full:
            return None
        return Waiter(connection, self, self._clock)

    def take_place(self, waiter: Waiter, address: str, host: str) -> Place:
        """Return the last place in the line. Raises `Full`."""
        place = self._admission.queue(address, host)
        self._waiters[place] = waiter
        if not self._repeat.is_running:
            self._repeat.restart(REPEAT)
        return place

    def discard(self, place: Place) -> None:
        """Take a place back, and tell those behind it; once only."""
        if self._waiters.pop(place, None) is None:
            return
        self._note_moved(place.position)
        place.release()

    # --- whose turn it is ---

    def call_up(self) -> None:
        """Let in whoever can be let in, in the order of the line; call it when a seat is free."""
        if self._is_calling:
            return  # by what one of them said in its turn; the loop goes on behind that
        self._is_calling = True
        try:
            while (place := self._admission.next_in_line()) is not None:
                self._let_in(place)
        finally:
            self._is_calling = False

    def _let_in(self, place: Place) -> None:
        waiter = self._waiters[place]
        if not waiter.is_there():
            self.discard(place)
            waiter.abort()
            return
        self._note_moved(place.position)
        del self._waiters[place]
        waiter.take_seat(place.claim())

    # --- what they are told ---

    def _note_moved(self, position: int) -> None:
        """Tell all clients from `position` on, soon; called just before the one that is there leaves the line."""
        if len(self._admission.line()) == 1:
            self._stop_telling()
            return
        if not self._moved:
            self._news.restart(DELAY)
        self._moved = min(self._moved or position, position)

    def _stop_telling(self) -> None:
        self._moved = 0
        self._news.stop()
        self._repeat.stop()
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _tell_all(self) -> None:
        self._moved = 1
        self._begin_round()

    def _begin_round(self) -> None:
        if self._turn is not None:  # the last round is not over: this one comes behind it
            self._news.restart(DELAY)
            return
        places = list(enumerate(self._admission.line(), 1))
        self._round = iter(places[self._moved - 1 :])
        if self._moved == 1:
            self._repeat.restart(REPEAT)
        self._moved = 0
        self._take_turn()

    def _take_turn(self) -> None:
        self._turn = None
        some = list(islice(self._round, TURN))
        for position, place in some:
            waiter = self._waiters.get(place)
            if waiter is not None:
                waiter.tell(position)
        if len(some) == TURN:
            self._turn = self._clock.callLater(0, self._take_turn)
