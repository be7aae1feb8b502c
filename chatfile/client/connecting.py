"""Connecting to a server, until it has greeted."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime, ISSLTransport, IStreamClientEndpoint
from twisted.internet.protocol import Factory

from chatfile import disk, errors
from chatfile.client.protocol import ChatFileClient
from chatfile.disk import InThread
from chatfile.endpoints import connect_to, parse_server
from chatfile.transports import is_tcp

TLS_HINT = "If it speaks TLS, write tls: before its address."
"""For a client that hears nothing: a server that expects TLS waits for the other side to begin."""


def _no_greeting(error: errors.ChatFileError) -> str:
    """Return, in one sentence or two, that the server said nothing that is a greeting."""
    if str(error) == str(errors.ServerClosed()):
        return str(errors.NoGreeting())
    if isinstance(error, errors.ServerSilent):
        return f"No greeting came: {str(error)[:1].lower()}{str(error)[1:]}"
    return f"The server gave no greeting. {error}"


def _hint(client: ChatFileClient, error: errors.ChatFileError) -> str:
    may_be_tls = is_tcp(client.transport) and not ISSLTransport.providedBy(client.transport)
    if may_be_tls and isinstance(error, errors.ServerClosed | errors.ServerSilent):
        return f" {TLS_HINT}"
    return ""


async def connect(
    server: str | IStreamClientEndpoint,
    *,
    timeout: float = 60.0,
    clock: IReactorTime | None = None,
    in_thread: InThread = disk.in_thread,
    waiting: Callable[[int], None] | None = None,
    limit_rate: int = 0,
) -> ChatFileClient:
    """Connect to `server`, an endpoint or its description, and return when the server has greeted.

    Descriptions are those of Twisted, and `tls:HOST`, `tls:HOST:PORT`, `tls:[::1]:PORT`; `chatfile.tls.client_endpoint`
    makes an endpoint with authorities to trust and a certificate of one's own.

    `timeout` and `limit_rate` are those of `ChatFileClient`; the first holds for connecting too. `clock` is the reactor
    by default; it has the time of the wall clock until `chatfile.timeouts.use_monotonic_clock` was called.

    With `waiting`, a client that finds no seat waits for one in the line of the server, if that has one, for however
    long it takes (cancel it to give up); `waiting(n)` is told its position at once and again and again, 1 for the next.

    Raises `BadAddress`, `TlsMissing`, `NoConnection`, `NoGreeting`, `Full`, `Unavailable`, `ProtocolViolation`;
    `ServerClosed`, `ServerSilent` and `Shutdown` where the server had given a name, or a place in its line.
    """
    from twisted.internet import reactor  # noqa: PLC0415 -- the caller may have chosen one

    clock = clock or IReactorTime(reactor)
    endpoint = parse_server(reactor, server) if isinstance(server, str) else server
    client = ChatFileClient(clock, timeout=timeout, in_thread=in_thread, waiting=waiting, limit_rate=limit_rate)
    await connect_to(server, endpoint, Factory.forProtocol(lambda: client), timeout, clock)
    try:
        await client.greeted
    except errors.TlsFailed as error:
        raise errors.NoConnection(server=server, why=error.why) from error
    except (errors.ServerClosed, errors.ServerSilent, errors.IdleTimeout, errors.Shutdown, errors.Internal) as error:
        client.abort()
        if client.name or client.position:
            raise
        raise errors.NoGreeting(_no_greeting(error) + _hint(client, error)) from error
    except BaseException:
        client.abort()
        raise
    return client
