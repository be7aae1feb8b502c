"""A connection to an engine or a Sentinel, which takes nothing but answers, and only so many bytes of each."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from txredisapi import RedisProtocol

LARGEST_ANSWER = 4 << 20
"""Bytes of an answer; a page of rows takes some 100 KB, the numbers of 100,000 clients 700 KB."""


class CheckedRedis(RedisProtocol):  # type: ignore[misc]  # it has no annotations
    """Resets the connection at the first thing that is no answer to what was asked."""

    def __init__(self, timeout: float, clock: IReactorTime) -> None:
        """Give each answer `timeout` seconds."""
        super().__init__(charset="utf-8", convertNumbers=False, replyTimeout=timeout)
        self.callLater = clock.callLater
        self._unanswered = 0  # bytes since the last whole answer

    def dataReceived(self, data: bytes, unpause: bool = False) -> None:
        """Take a part of an answer."""
        self._unanswered += len(data)
        try:
            super().dataReceived(data, unpause)
        except Exception as error:  # whatever its parser raises at nonsense
            self.broken(f"it does not speak as Redis does ({type(error).__name__})")
            return
        if self.replyQueue.pending:
            self.broken("it says what was not asked")
        elif self._unanswered > LARGEST_ANSWER:
            self.broken("its answer has no end")

    def replyReceived(self, reply: object) -> None:
        """Count the bytes of the next answer."""
        self._unanswered = 0
        super().replyReceived(reply)

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: ARG002 -- of Twisted's interface
        """Reset the connection: no answer to what is asked has such a line."""
        self.broken("its line has no end")

    def broken(self, why: str) -> None:  # noqa: ARG002 -- for subclasses
        """Reset the connection, for the reason given."""
        self.transport.abortConnection()


class EngineConnection(CheckedRedis):
    """One connection to the engine, which tells of its beginning and its end, and of what is wrong with it."""

    def __init__(
        self,
        timeout: float,
        clock: IReactorTime,
        *,
        made: Callable[[EngineConnection], None],
        broken: Callable[[EngineConnection, object], None],
        lost: Callable[[EngineConnection, BaseException | None], None],
    ) -> None:
        """Call `made`, `broken` with the reason, and `lost` with None where it was reset at our end."""
        super().__init__(timeout, clock)
        self._made = made
        self._broken = broken
        self._lost = lost

    def connectionMade(self) -> None:
        """Begin to join."""
        super().connectionMade()
        self._made(self)

    def broken(self, why: str) -> None:
        """Count the engine as away."""
        self._broken(self, why)

    def connectionLost(self, why: Failure) -> None:
        """Fail all that was asked on it."""
        self._lost(self, None if why.check(ConnectionAborted) else why.value)
        super().connectionLost(why)
