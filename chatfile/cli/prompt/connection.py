"""The connection behind the prompt: noticing that it ended, and making another one in its place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from chatfile import errors
from chatfile.cli.connecting import Reconnect
from chatfile.cli.session import Session
from chatfile.client import ChatFileClient

_A_MOMENT = 0.5
"""Seconds after which it is told that an attempt is under way."""


class Connection:
    """Watches the connection of a session, and replaces it."""

    def __init__(
        self,
        session: Session,
        clock: IReactorTime,
        reconnect: Reconnect,
        signals_enabled: Callable[[], AbstractContextManager[None]],
        lost: Callable[[errors.ChatFileError], object],
    ) -> None:
        """Call `lost` with the reason when the connection of `session` ends unexpectedly.

        `signals_enabled` is the context in which `reconnect` is called: Ctrl-C has to be a signal meanwhile.
        """
        self._session = session
        self._clock = clock
        self._reconnect = reconnect
        self._signals_enabled = signals_enabled
        self._lost = lost
        self._watched: ChatFileClient | None = None
        self._connecting: Deferred[ChatFileClient] | None = None

    def watch(self) -> None:
        """Call `lost` when the connection that the session has now ends."""
        watched = self._watched = self._session.client

        def tell(why: errors.ChatFileError) -> None:
            if self._watched is watched:
                self._lost(why)

        watched.closed.addCallback(tell)

    def expect_end(self) -> None:
        """Call `lost` no more for the connection that there is: its end is expected."""
        self._watched = None

    @property
    def is_given_up(self) -> bool:
        """Tell whether the connection is watched no more: its end was expected, and no other one has been made."""
        return self._watched is None

    async def replace(self) -> None:
        """Hang up and connect again, as a reply can't be called back. Raises a `ChatFileError` where that fails."""
        self.expect_end()
        self._session.client.abort()
        await self.connect()

    async def connect(self) -> None:
        """Connect again, and watch the new connection. Raises a `ChatFileError` where that fails or was stopped."""
        connecting = self._connecting = Deferred.fromCoroutine(self._reconnect())
        late = self._clock.callLater(_A_MOMENT, self._session.view.note, "Connecting; Ctrl-C stops that.")
        try:
            with self._signals_enabled():
                self._session.client = await connecting
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
        """Stop the attempt to connect that is under way; return whether there was one."""
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
        return connecting is not None
