"""The rate at which files are sent: shared among those that are being sent one, and kept to by each.

Bytes are cut off a file when they may be sent, so that any transport will do, and nothing is ever sent too early. On
Linux the system spreads each slice over its time as well (`pace_output`): a fast line would have bursts, then pauses.
The system alone would not do: it lets the first ten segments pass, and then sends two at a time, which on the loopback
interface are 128 KiB, or two minutes of 1 kB/s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from math import inf

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from chatfile.rates import TokenBucket, fair_shares
from chatfile.timeouts import Timer
from chatfile.transports import ILineTransport, acknowledged_bytes, outstanding_bytes, pace_output

_LATE = 0.001
"""Seconds: no reactor wakes earlier than that."""


@dataclass(frozen=True, slots=True)
class Consumption:
    """What a client had been granted, and had taken, at a time in seconds."""

    time: float
    granted: float
    taken: int


class ClientRate:
    """The rate at which one client is sent files, one behind the other.

    It is a `SendingPace`. From the beginning of a file until shortly after its end, the client has a share.
    """

    __slots__ = (
        "_bucket", "_clock", "_leaving", "_paced", "_seen", "_shared", "_spent", "_then", "_transport", "_waiting",
        "host", "want",
    )  # fmt: skip
    LINGER = 0.05
    """Seconds for which a share is kept for the next file."""
    HEADROOM = 1.25
    """The system's pace, as a multiple of the rate: it is to spread what is sent, not to limit it."""
    SPREAD = 1_000_000
    """Bytes a second from which on there is something to spread."""

    def __init__(self, shared: SharedRates, transport: ILineTransport, host: str, clock: IReactorTime) -> None:
        """Pace what is sent to `transport`, whose peer counts for `host`."""
        self.host = host
        self.want = inf
        """Bytes a second that the client can make use of, as far as is known."""
        self._shared = shared
        self._transport = transport
        self._clock = clock
        self._bucket = TokenBucket(clock.seconds(), 0.0)
        self._spent = 0
        self._seen = Consumption(0.0, 0.0, 0)
        self._paced = 0.0
        self._then: Callable[[], None] | None = None
        self._waiting = Timer(clock, self._wake)
        self._leaving = Timer(clock, self.end)

    # --- a file ---

    @contextmanager
    def sending(self, *, spread: bool) -> Iterator[None]:
        """Have a share while a file is being sent; with `spread`, let the system help."""
        self._leaving.stop()
        self._shared.join(self)
        if spread:
            self._pace(self._bucket.rate)
        try:
            yield
        finally:
            self._then = None
            self._waiting.stop()
            self._leaving.restart(self.LINGER)
            if spread:
                self._pace(0.0)

    def may_send(self, most: int, then: Callable[[], None]) -> int:
        """Return how many bytes, up to `most`, may be sent now; if none, call `then()` when some may."""
        self._bucket.refill(self._clock.seconds())
        wait = self._bucket.seconds_until(min(most, self._bucket.slice))
        if not wait:
            return min(most, int(self._bucket.level))
        self._then = then
        self._waiting.restart(wait + _LATE)
        return 0

    async def take(self, most: int) -> int:
        """Return how many bytes, up to `most`, may be sent, as soon as some may, and count them."""
        while True:
            room: Deferred[None] = Deferred()
            if count := self.may_send(most, partial(room.callback, None)):
                break
            await room
        self.spend(count)
        return count

    def spend(self, count: int) -> None:
        """Count bytes that were sent."""
        self._bucket.spend(count)
        self._spent += count

    def _wake(self) -> None:
        then, self._then = self._then, None
        if then is not None:
            then()

    def end(self) -> None:
        """Give the share back at once, if there is one: the connection is gone, and so is the response."""
        self._leaving.stop()
        self._shared.leave(self)

    # --- its share ---

    def begin(self) -> None:
        """Begin to have a share; what comes of it is counted from here on."""
        now = self._clock.seconds()
        self._bucket.change_rate(now, 0.0)
        self.want = inf
        self._seen = self._look(now)

    def set_share(self, rate: float) -> None:
        """Send at `rate` bytes a second from now on."""
        if rate == self._bucket.rate:
            return
        self._bucket.change_rate(self._clock.seconds(), rate)
        if self._paced:
            self._pace(rate)

    def estimate(self, least: float) -> None:
        """Guess what the client can make use of, given what it took of what it was granted since the last look.

        A client that took less is left a little more than that, and at least `least`. One that takes all of so little
        is given twice as much, until there is no more to be given.
        """
        now, before = self._clock.seconds(), self._seen
        self._bucket.refill(now)
        if now - before.time < SharedRates.LOOK / 2:
            return  # it began just now
        self._seen = self._look(now)
        granted, taken = self._seen.granted - before.granted, self._seen.taken - before.taken
        if taken + self._bucket.slice < 0.9 * granted:
            self.want = max(1.25 * taken / (now - before.time), least)
        elif self.want < inf and taken > 0.95 * granted:
            self.want = inf if self._bucket.rate < self.want else 2 * self._bucket.rate

    def _look(self, now: float) -> Consumption:
        acknowledged = acknowledged_bytes(self._transport)
        taken = self._spent - (outstanding_bytes(self._transport) or 0) if acknowledged is None else acknowledged
        return Consumption(now, self._bucket.granted, taken)

    def _pace(self, rate: float) -> None:
        if abs(rate - self._paced) > self._paced / 20:
            self._paced = rate
            spread = rate * self.HEADROOM if rate >= self.SPREAD else None
            pace_output(self._transport, spread, unsent=int(rate * TokenBucket.SLICE))


class SharedRates:
    """Shares a rate among the clients that are being sent files: each address the same, and each client of it.

    What some leave, since they read more slowly, is for the others.
    """

    LOOK = 1.0
    """Seconds from one look at what clients take to the next."""
    LEAST = 1 / 16
    """The part of its share that a client keeps which takes nothing: it is given more only when it takes that."""

    def __init__(self, clock: IReactorTime, *, total: int, per_address: int) -> None:
        """Send at most `total` bytes a second, and `per_address` to the clients of one address; 0: no limit."""
        self._clock = clock
        self._total = total or inf
        self._per_address = per_address or inf
        self._sharing: dict[ClientRate, None] = {}  # in the order of coming
        self._looking = Timer(clock, self._look)

    def client(self, transport: ILineTransport, host: str) -> ClientRate:
        """Return the rate of a new client."""
        return ClientRate(self, transport, host, self._clock)

    def join(self, client: ClientRate) -> None:
        """Give `client` a share, unless it has one."""
        if client not in self._sharing:
            client.begin()
            self._sharing[client] = None
            self._share_out()
            if not self._looking.is_running:
                self._looking.restart(self.LOOK)

    def leave(self, client: ClientRate) -> None:
        """Take the share of `client` back, if it has one."""
        if client not in self._sharing:
            return
        del self._sharing[client]
        client.set_share(0.0)
        self._share_out()
        if not self._sharing:
            self._looking.stop()

    def _share_out(self) -> None:
        groups: dict[str, list[ClientRate]] = {}
        for client in self._sharing:
            groups.setdefault(client.host, []).append(client)
        wants = [[client.want for client in group] for group in groups.values()]
        shares = fair_shares(self._total, self._per_address, wants)
        for client, share in zip(chain(*groups.values()), chain(*shares), strict=True):
            client.set_share(share)

    def _look(self) -> None:
        least = min(self._total, self._per_address) / len(self._sharing) * self.LEAST
        for client in self._sharing:
            client.estimate(least)
        self._share_out()
        self._looking.restart(self.LOOK)
