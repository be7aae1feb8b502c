"""What was promised to a client and is not on its way yet: should this process die, the connection is reset."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from chatfile.timeouts import Timer
from chatfile.transports import has_unwritten, reset_on_close


class PromisedSize:
    """Makes the system reset a connection whose server dies, in whatever way, amid a promised size.

    It is so from the header on until all has left this process, and then taken back: what is with the system by then
    arrives. That is looked at some time later, so that nothing is waited for, and a pipeline of small files costs
    nothing more than its first one.
    """

    __slots__ = ("_is_on", "_is_under_way", "_look", "_transport")
    LOOK = 0.05
    """Seconds from the last byte that was written to the transport, and again while the transport still has some."""

    def __init__(self, clock: IReactorTime) -> None:
        """Nothing is promised."""
        self._transport: object = None
        self._is_on = False
        self._is_under_way = False
        self._look = Timer(clock, self._take_back_if_written)

    def begin(self, transport: object) -> None:
        """A header is about to be written to `transport`."""
        self._is_under_way = True
        if not self._is_on:
            self._transport, self._is_on = transport, True
            reset_on_close(transport, on=True)

    def end(self) -> None:
        """All that was promised has been written to the transport, or something else in its place."""
        self._is_under_way = False
        if self._is_on:
            self._look.restart(self.LOOK)

    def take_back(self) -> None:
        """From now on a close is a close: call it before one that is meant, or what the system still has is lost."""
        self._look.stop()
        if self._is_on:
            self._is_on = False
            reset_on_close(self._transport, on=False)

    def _take_back_if_written(self) -> None:
        if self._is_under_way:
            return
        if has_unwritten(self._transport):
            self._look.restart(self.LOOK)
        else:
            self.take_back()
