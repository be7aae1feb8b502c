"""Connections to a server by its address, and the reasons in words why there is none, or no more.

Every failure of an endpoint reaches the caller: see `CheckingReactor`.
"""

from __future__ import annotations

import math
import socket
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.error import ConnectingCancelledError, ConnectionDone, ConnectionLost
from twisted.internet.error import TimeoutError as TimedOut
from twisted.internet.interfaces import (
    IHostnameResolver,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from chatfile import errors, tls

_LAST_PORT = 65535
_LONGEST_TIMEOUT = 10**9
"""Seconds: thirty years, and few enough for any clock."""


def parse_server(reactor: Any, description: str) -> IStreamClientEndpoint:
    """Return the endpoint that `description` describes. Raises `BadAddress`, `TlsMissing`, `BadCertificate`."""
    try:
        address = tls.parse_address(description)
        if address is not None:
            return tls.address_endpoint(address, reactor=CheckingReactor(reactor))
        endpoint: IStreamClientEndpoint = clientFromString(CheckingReactor(reactor), description)
    except errors.ChatFileError:
        raise
    except Exception as error:  # each kind of endpoint has errors of its own, TypeError among them
        raise errors.BadAddress(server=description, why=str(error).rstrip(".") or type(error).__name__) from error
    return endpoint


async def connect_to(
    server: object, endpoint: IStreamClientEndpoint, factory: IProtocolFactory, timeout: float, clock: IReactorTime
) -> None:
    """Connect within `timeout` seconds, 0 for no limit.

    `server` is the server's name in errors. Raises `BadAddress`, `NoConnection`, or CancelledError.
    """
    connecting: Deferred[Any] = maybeDeferred(endpoint.connect, factory)
    if timeout:
        connecting.addTimeout(timeout, clock, _too_late)
    try:
        await connecting
    except ConnectingCancelledError as error:  # endpoints raise this instead when they are cancelled
        raise CancelledError from error
    except (CancelledError, errors.ChatFileError):
        raise
    except Exception as error:  # each kind of endpoint has errors of its own
        raise errors.NoConnection(server=server, why=why_not(error)) from error


def why_not(error: Exception) -> str:
    """Tell why an attempt to connect failed, as the end of a sentence."""
    number = getattr(error, "osError", None)
    if isinstance(number, int) and number > 0:  # the negative ones are no errnos, but those of getaddrinfo
        return errors.reason(OSError(number, ""))
    if isinstance(error, TimedOut):  # its own message is of no use to a person
        return "no answer"
    return str(error).rstrip(".") or type(error).__name__


def why_lost(reason: Failure | None, *, greeted: bool, is_asked: bool) -> errors.ServerClosed:
    """Return the error for a connection that has ended.

    `greeted` tells whether the server had sent its greeting, `is_asked` whether it owes a reply.
    """
    if reason is None or reason.check(ConnectionDone):
        return errors.ServerClosed() if is_asked else errors.ServerClosed("The server closed the connection.")
    why = None if greeted else tls.why_none(reason.value)
    if why is not None:
        return errors.TlsFailed(why=why)
    if type(reason.value) is ConnectionLost:  # its own message says no more than that
        return errors.ServerClosed("The connection to the server was lost.")
    why = tls.why_broken(reason.value) or reason.getErrorMessage().rstrip(".")
    return errors.ServerClosed(f"The connection to the server was lost: {why}.")


def _too_late(_: object, seconds: float) -> Failure:
    return Failure(TimeoutError(f"no answer for {seconds:g} s"))


@implementer(IReactorPluggableNameResolver)
class CheckingReactor:
    """Wraps a reactor, and refuses impossible addresses at once.

    A reactor raises errors for some of them (a host that is no name, a path that is too long for a socket) only later,
    in a delayed call or when a thread has answered: then the error is logged, and the connection never comes or fails.
    """

    def __init__(self, reactor: Any = None) -> None:
        """Wrap `reactor`, by default the installed one."""
        if reactor is None:
            from twisted.internet import reactor  # noqa: PLC0415 -- the caller may have chosen one
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        """See `IReactorPluggableNameResolver`."""
        previous: IHostnameResolver = self._reactor.installNameResolver(resolver)
        return previous

    def connectTCP(
        self, host: str, port: int, factory: object, timeout: float = 30, bindAddress: tuple[str, int] | None = None
    ) -> Any:
        """See `IReactorTCP`. Raises `BadAddress`."""
        for each, number in filter(None, ((host, port), bindAddress)):
            _check_host(each)
            if not 0 <= number <= _LAST_PORT:
                raise errors.BadAddress(server=f"{each}:{number}", why=f"there is no port {number}")
        _check_timeout(timeout)
        return self._reactor.connectTCP(host, port, factory, timeout, bindAddress)

    def connectUNIX(self, address: str, factory: object, timeout: float = 30, checkPID: bool = False) -> Any:
        """See `IReactorUNIX`. Raises `BadAddress`."""
        _check_path(address)
        _check_timeout(timeout)
        return self._reactor.connectUNIX(address, factory, timeout, checkPID)


def _check_host(host: str | bytes) -> None:
    name = host if isinstance(host, str) else host.decode("latin-1")
    try:
        is_sound = "\0" not in name and bool(name.encode("idna"))
    except UnicodeError:
        is_sound = False
    if name and not is_sound:
        raise errors.BadAddress(server=name, why="no host can be called so")


def _check_path(path: str) -> None:
    """Raise `BadAddress` if no socket can have that `path`. It connects for datagrams, which sends nothing."""
    try:
        if "\0" in path[1:]:  # at the beginning it marks an abstract socket; elsewhere it would end the path
            raise ValueError("no path holds a NUL character")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            probe.connect_ex(path)
    except (OSError, ValueError) as error:  # it does not fit into an address, or is no path
        raise errors.BadAddress(server=path, why=str(error)) from error


def _check_timeout(seconds: float) -> None:
    if math.isnan(seconds) or not 0 <= seconds <= _LONGEST_TIMEOUT:
        raise errors.BadAddress(server=f"timeout={seconds}", why="that is no number of seconds")
