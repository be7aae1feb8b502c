"""Addresses that only fail while they are connected to: each is told of at once, and in words."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.address import IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectBindError
from twisted.internet.interfaces import IAddress, IHostResolution, IProtocolFactory, IResolutionReceiver
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from zope.interface import implementer

from chatfile import errors, tls
from chatfile.cli.arguments import parse_arguments
from chatfile.cli.connecting import connected
from chatfile.cli.view import View
from chatfile.client import ChatFileClient, connect
from chatfile.endpoints import why_not
from chatfile.resolving import Resolver

LONG = "/tmp/" + "x" * 120
LABEL = "a" * 64


async def fails_at_once(server: Any) -> errors.BadAddress | errors.NoConnection:
    """What fails and is not heard of would be waited for until its time is over."""
    with pytest.raises((errors.BadAddress, errors.NoConnection)) as raised:
        await connect(server, timeout=3)
    assert raised.value.why.strip()
    assert "no answer" not in raised.value.why
    return raised.value


@pytest.mark.parametrize(
    "server",
    [
        "tcp:foo..bar:1",
        f"tcp:{LABEL}:1",
        "tcp:.:1",
        "tcp:\udcff:1",
        "tcp:h\0:1",
        "tcp:localhost:99999",
        "tcp:127.0.0.1:99999",
        "tcp:localhost:-1",
        "tcp:127.0.0.1:1:timeout=-1",
        "tcp:127.0.0.1:1:timeout=99999999999999999999",
        "tcp:127.0.0.1:1:bindAddress=foo..bar",
        f"unix:{LONG}",
        "unix:/tmp/" + "é" * 60,
        "unix:/tmp/\0a",
        "unix:/tmp/\ud800",
        "unix:/tmp/x:timeout=-1",
        "tls:foo..bar:1",
        f"tls:{LABEL}:1",
        "tls:127.0.0.1:1:bindAddress=foo..bar",
        "tls:127.0.0.1:1:timeout=nan",
        "tls:127.0.0.1:1:trustRoots=",
        f"tls:host:1:endpoint=unix\\:{LONG}",
        "tls:host:1:endpoint=tcp\\:localhost\\:99999",
        "tls:host:1:endpoint=ssl\\:host\\:1\\:certKey=/nonexistent",
    ],
)
@pytest_twisted.ensureDeferred
async def test_an_address_that_can_be_none_is_told_of_at_once(server: str) -> None:
    assert isinstance(await fails_at_once(server), errors.BadAddress)


def test_a_number_of_the_resolver_is_none_of_the_system() -> None:
    assert "not known" in why_not(ConnectBindError(socket.EAI_NONAME, "Name or service not known"))


class Raising:
    """An endpoint of somebody else's that raises instead of failing."""

    def connect(self, _: IProtocolFactory) -> Deferred[Any]:
        raise TypeError("no such thing")


@pytest_twisted.ensureDeferred
async def test_an_endpoint_that_raises_has_failed() -> None:
    error = await fails_at_once(Raising())
    assert (type(error), error.why) == (errors.NoConnection, "no such thing")


@pytest.mark.parametrize(
    "typed", ["foo..bar:1", f"{LABEL}:1", f"tls:{LABEL}:1", "tls:127.0.0.1:1:bindAddress=foo..bar"]
)
@pytest_twisted.ensureDeferred
async def test_it_is_called_as_it_was_typed(typed: str) -> None:
    from twisted.internet import reactor

    arguments, view = parse_arguments(["-s", typed, "--timeout=0"]), View(as_json=False, quiet=False)
    with pytest.raises(errors.BadAddress, match=f'"{typed}" is not'):
        await connected(arguments, reactor, view, wait=0)  # type: ignore[arg-type]


# --- zones of IPv6 ---


@pytest.mark.parametrize("text", ["tls:[fe80::1%eth7]:5000", "tls:host=fe80\\:\\:1%eth7:port=5000"])
def test_a_link_local_address_keeps_its_zone_over_tls(text: str) -> None:
    reactor, address = MemoryReactorClock(), tls.parse_address(text)
    assert address is not None
    connecting = tls.address_endpoint(address, reactor=reactor).connect(Factory.forProtocol(ChatFileClient))
    assert [client[:2] for client in reactor.tcpClients] == [("fe80::1%eth7", 5000)]
    connecting.addErrback(lambda _: None)
    connecting.cancel()


@implementer(IResolutionReceiver)
class Found:
    def __init__(self) -> None:
        self.hosts: list[str] = []
        self.done: Deferred[None] = Deferred()

    def resolutionBegan(self, _: IHostResolution) -> None:
        """Nothing is waited for."""

    def addressResolved(self, address: IAddress) -> None:
        assert isinstance(address, IPv6Address)
        self.hosts.append(address.host)

    def resolutionComplete(self) -> None:
        self.done.callback(None)


@pytest.mark.parametrize(("host", "zone", "found"), [("fe80::2", 7, "fe80::2%7"), ("2001:db8::2", 0, "2001:db8::2")])
@pytest_twisted.ensureDeferred
async def test_a_name_that_leads_to_a_link_local_address_leads_there_by_its_zone(
    monkeypatch: pytest.MonkeyPatch, host: str, zone: int, found: str
) -> None:
    answer = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (host, 5000, 0, zone))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [answer])
    receiver = Found()
    Resolver().resolveHostName(receiver, "printer.local", 5000)
    await receiver.done
    assert receiver.hosts == [found]
