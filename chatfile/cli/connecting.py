"""Connecting to the server that the configuration names, repeatedly where that is wanted."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.internet.task import deferLater

from chatfile import errors, tls
from chatfile.cli.arguments import ClientConfig
from chatfile.cli.exits import ExitCode, error_word
from chatfile.cli.values import client_endpoint_description
from chatfile.cli.view import View
from chatfile.client import CLOSING, TLS_HINT, ChatFileClient, connect
from chatfile.endpoints import CheckingReactor

Reconnect = Callable[[], Coroutine[Deferred[Any], Any, ChatFileClient]]
"""Makes another connection to the same server. Raises a `ChatFileError`."""
BREAKS = (errors.ServerClosed, errors.ServerSilent, *CLOSING)
"""The errors with which a working connection ends."""
NO_SEAT = (errors.Full, errors.Unavailable)
"""The errors of a server that is there, and lets nobody in for now."""
NOT_NOW = (*NO_SEAT, errors.NoConnection, errors.NoGreeting)
"""The errors that pass, where the server was there a moment ago."""
SEAT_PATIENCE = 5.0
"""Seconds in which the server frees a seat that its client has just left."""
_FOR_EVER = 10**8
"""Seconds: three years."""
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_LONG_PAUSE = 3.0
"""Seconds of waiting from which on it is worth a note."""


async def connected(
    config: ClientConfig,
    clock: IReactorTime,
    view: View,
    *,
    wait: float,
    in_line: float = 0.0,
    despite: tuple[type[errors.ChatFileError], ...] = NO_SEAT,
) -> ChatFileClient:
    """Return a client that is connected to the server.

    Where that is full and has a waiting line, wait in it for `in_line` seconds. After one of the errors of `despite`,
    connect again, with growing pauses, for `wait` seconds. Raises a `ChatFileError`.
    """
    began, pause, waited = clock.seconds(), _FIRST_PAUSE, 0.0
    while True:
        try:
            return await _connected(config, clock, view, in_line - waited)
        except despite as error:
            waited = clock.seconds() - began
            if waited >= wait:
                raise
            if config.wait:
                _tell_of_waiting(view, error, waited, wait, pause)
            await deferLater(clock, min(pause, wait - waited), lambda: None)
            pause = min(pause * 2, _LONGEST_PAUSE)


async def leave(client: ChatFileClient, view: View) -> ExitCode:
    """Say goodbye, or hang up where an unwanted reply is still coming; return the exit code."""
    if client.is_waiting:
        client.abort()
        return ExitCode.DONE
    try:
        await client.exit()
    except errors.ProtocolViolation as violation:  # it sent more than it had promised, maybe before `exit`
        view.error(violation)
        return ExitCode.BROKEN
    except errors.ChatFileError:
        client.abort()  # every request had been answered before
    return ExitCode.DONE


class PlaceInLine:
    """The place that we have in the waiting line of a full server, for some seconds at most."""

    def __init__(self, clock: IReactorTime, view: View, seconds: float) -> None:
        """Tell `view` of each position; `seconds` may be infinite."""
        self.position = 0
        """The latest position; 0 where we have not waited."""
        self.give_up: Callable[[], object] = lambda: None
        """Called when the time is over."""
        self._clock = clock
        self._view = view
        self._seconds = seconds
        self._began = 0.0
        self._end: IDelayedCall | None = None

    def moved(self, position: int) -> None:
        """Tell of a position that is new."""
        now = self._clock.seconds()
        if not self.position:
            self._began = now
            if self._seconds < math.inf:
                self._end = self._clock.callLater(self._seconds, self.give_up)
        if position != self.position:
            self.position = position
            _tell_of_place(self._view, position, now - self._began, self._seconds)

    @property
    def is_over(self) -> bool:
        """Tell whether the time is over."""
        return self._end is not None and not self._end.active()

    def stop(self) -> None:
        """Leave no call with the reactor."""
        if self._end is not None and self._end.active():
            self._end.cancel()


async def _connected(config: ClientConfig, clock: IReactorTime, view: View, in_line: float) -> ChatFileClient:
    """Connect once, and wait in the line of a full server for `in_line` seconds.

    The user is told where that takes long.
    """
    late = clock.callLater(_LONG_PAUSE, _tell_of_silence, config, view)
    place = PlaceInLine(clock, view, in_line)
    waiting = place.moved if in_line > 0 else None
    try:
        connecting = Deferred.fromCoroutine(
            connect(_server(config), timeout=config.timeout, waiting=waiting, limit_rate=config.limit_rate)
        )
        place.give_up = connecting.cancel
        return await connecting
    except (errors.NoConnection, errors.BadAddress) as error:
        raise type(error)(server=config.server, why=error.why) from error
    except CancelledError:
        if place.is_over:
            raise errors.Full.after_waiting(seconds=in_line, position=place.position) from None
        raise
    except (errors.ServerClosed, errors.ServerSilent, errors.Shutdown) as error:
        if place.position:
            raise errors.NoGreeting(str(error)) from error
        raise
    finally:
        place.stop()
        if late.active():
            late.cancel()


def _server(config: ClientConfig) -> str | IStreamClientEndpoint:
    patience = math.ceil(config.timeout) + 1 if config.timeout else _FOR_EVER  # the endpoint's default is 30 s
    address = tls.parse_address(config.server)
    if address is None:
        description = client_endpoint_description(config.server)
        return description if description == config.server else f"{description}:timeout={patience}"
    if "timeout" not in dict(address.arguments):
        address = replace(address, arguments=(*address.arguments, ("timeout", str(patience))))
    return tls.address_endpoint(
        address, cafile=config.cafile, certificate=config.cert, key=config.key, reactor=CheckingReactor()
    )


def _tell_of_silence(config: ClientConfig, view: View) -> None:
    longest = f" for {config.timeout:g} s" if config.timeout else ""
    hint = "" if config.server.startswith(("tls:", "unix:")) else f" {TLS_HINT}"
    view.note(f"No greeting from {config.server} yet; waiting{longest}.{hint}")


_WHY_WAITING: dict[type[errors.ChatFileError], str] = {
    errors.Full: "The server is full",
    errors.Unavailable: "The server lets nobody in for now",
}


def _tell_of_waiting(view: View, error: errors.ChatFileError, waited: float, wait: float, pause: float) -> None:
    if pause == _FIRST_PAUSE or pause >= _LONG_PAUSE:
        with contextlib.suppress(OSError):  # it is no result
            view.event("waiting", code=error_word(error), waited=round(waited, 1), seconds_left=round(wait - waited, 1))
        what = _WHY_WAITING.get(type(error), "The server does not answer")
        view.note(f"{what}; still trying ({wait - waited:.0f} s left).")


def _tell_of_place(view: View, position: int, waited: float, seconds: float) -> None:
    left = None if seconds == math.inf else seconds - waited
    with contextlib.suppress(OSError):  # it is no result
        view.event(
            "waiting", code="full", position=position, waited=round(waited, 1),
            seconds_left=None if left is None else round(left, 1),
        )  # fmt: skip
    until = "Ctrl-C gives up" if left is None else f"{left:.0f} s left"
    view.note(f"The server is full; number {position} in its waiting line ({until}).")
