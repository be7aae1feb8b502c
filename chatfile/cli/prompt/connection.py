"""The connection that the executor has: its end is heard of, and another one takes its place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from chatfile import errors
from chatfile.cli.connecting import Reconnect
from chatfile.cli.executor import Executor
from chatfile.client import ChatFileClient

_A_MOMENT = 0.5
"""Seconds after which it is told that an attempt is under way."""


class Connection:
    """That of `executor`; `lost` is told why it went, unless that was expected."""

    def __init__(
        self,
        executor: Executor,
        clock: IReactorTime,
        reconnect: Reconnect,
        obedient: Callable[[], AbstractContextManager[None]],
        lost: Callable[[errors.ChatFileError], object],
    ) -> None:
        """`obedient` is around attempts, for then Ctrl-C has to be a signal."""
        self._executor = executor
        self._clock = clock
        self._reconnect = reconnect
        self._obedient = obedient
        self._lost = lost
        self._watched: ChatFileClient | None = None
        self._connecting: Deferred[ChatFileClient] | None = None

    def watch(self) -> None:
        """Hear of its end."""
        watched = self._watched = self._executor.client

        def tell(why: errors.ChatFileError) -> None:
            if self._watched is watched:
                self._lost(why)

        watched.closed.addCallback(tell)

    def expect_end(self) -> None:
        """It will go, and that is right."""
        self._watched = None

    @property
    def is_given_up(self) -> bool:
        """Whether nobody hears of its end: there is no other one yet, where an attempt at that was stopped."""
        return self._watched is None

    async def replace(self) -> None:
        """Hang up, and connect again: a reply can't be called back. Raises a `ChatFileError` where that fails."""
        self.expect_end()
        self._executor.client.abort()
        await self.connect()

    async def connect(self) -> None:
        """Once more. Raises a `ChatFileError` where that fails."""
        connecting = self._connecting = Deferred.fromCoroutine(self._reconnect())
        late = self._clock.callLater(_A_MOMENT, self._executor.view.note, "Connecting; Ctrl-C stops that.")
        try:
            with self._obedient():
                self._executor.client = await connecting
        except (errors.NoConnection, CancelledError):
            if self._connecting is None:
                raise errors.NoConnection("The attempt to connect was stopped.") from None
            raise
        finally:
            self._connecting = None
            if late.active():
                late.cancel()
        self.watch()

    def stop_connecting(self) -> bool:
        """Whether there was an attempt."""
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
        return connecting is not None
