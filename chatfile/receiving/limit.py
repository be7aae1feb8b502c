"""A limit on the rate at which the bytes of files are received: reading pauses for as long as too much was read."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from chatfile.rates import TokenBucket
from chatfile.timeouts import Timer


class ReceivingLimit:
    """Pauses a connection whenever it is ahead of its rate.

    The system reads on while it has room, and then so does the peer's: what is limited is what is taken from it, and
    with that, after the first buffer, what the peer can send.
    """

    __slots__ = ("_bucket", "_clock", "_pause", "_resuming")

    def __init__(
        self, clock: IReactorTime, rate: int, *, pause: Callable[[], None], resume: Callable[[], None]
    ) -> None:
        """Receive at most `rate` bytes a second (at least 1), by calling `pause()` and `resume()` in turns."""
        self._clock = clock
        self._bucket = TokenBucket(clock.seconds(), rate)
        self._pause = pause
        self._resuming = Timer(clock, resume)

    @property
    def piece(self) -> int:
        """Return how many bytes to read at a time, at most: those of a tenth of a second, within reason."""
        return min(max(int(self._bucket.rate / 10), 1024), 64 * 1024)

    def count(self, came: int) -> None:
        """Count bytes that were read; pause if they came too early, until they would have come in time."""
        self._bucket.refill(self._clock.seconds())
        self._bucket.spend(came)
        if wait := self._bucket.seconds_until(0):
            self._pause()
            self._resuming.restart(wait)

    def stop(self) -> None:
        """Leave no call with the reactor: the connection is gone."""
        self._resuming.stop()
