"""The service of `twistd chatfile`: how it starts, and how it drains at the end."""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING

from twisted.application import service, strports
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IProtocolFactory, IReactorFromThreads, IReactorTime
from twisted.logger import Logger

from chatfile.listening import TunedEndpoint, claim_socket_path, unix_path
from chatfile.options import OWN_TLS
from chatfile.server import ChatFileFactory
from chatfile.service.companions import Companions
from chatfile.service.failures import CannotStart, why_not_listening
from chatfile.signals import ignore_signals, on_hangup, on_next_termination
from chatfile.transports import describe_address
from chatfile.wire import printable

if TYPE_CHECKING:
    from chatfile.server.proxied import TrustedProxies

SWITCH_INTERVAL = 0.001
"""Seconds for which a thread that computes, such as a long listing, may keep the interpreter from the reactor.

Python's default is five times that, and to answer a line the reactor has to wait more than once.
"""

_UNIX = re.compile(r"(haproxy:)?unix:")


class ChatFileService(service.MultiService):
    """Listens at every endpoint for one factory, and drains at the end."""

    log = Logger()

    def __init__(
        self,
        factory: ChatFileFactory,
        folder: str,
        endpoints: list[str],
        drain_timeout: float,
        clients: int,
        companions: Companions,
        proxies: TrustedProxies | None = None,
    ) -> None:
        """Listen with `factory` at `endpoints`, given by their descriptions; nothing is bound yet.

        `folder`, and how many `clients` there are at most, are named in the log. `drain_timeout` is in seconds, 0 means
        for ever. `companions` are started and ended with the service. Where there are certificates among them, the
        ports that the network can reach speak TLS. With `proxies`, only these can connect, and tell who their clients
        are.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._factory = factory
        self._folder = folder
        self._drain_timeout = drain_timeout
        self._clients = clients
        self._companions = companions
        self._proxies = proxies
        self._listeners = [(each, strports.service(each, self._factory_for(each))) for each in endpoints]
        for description, listener in self._listeners:
            peer_begins = bool(OWN_TLS.match(description)) or listener.factory is not factory
            listener.endpoint = TunedEndpoint(listener.endpoint, description, peer_begins=peer_begins)
            listener.setServiceParent(self)

    def _factory_for(self, description: str) -> IProtocolFactory:
        """Return the factory for an endpoint: with a certificate, no port that the network can reach is left plain.

        A proxy's header comes before the TLS handshake of its client.
        """
        factory: IProtocolFactory = self._factory
        certificates = self._companions.certificates
        if certificates is not None and not (OWN_TLS.match(description) or _UNIX.match(description)):
            factory = certificates.tls.wrap(factory)
        return factory if self._proxies is None else self._factory.behind_proxies(factory, self._proxies)

    def privilegedStartService(self) -> None:
        """Bind all ports, while twistd may still have the privileges for it. Raises `CannotStart`."""
        from twisted.internet import reactor  # noqa: PLC0415 -- twistd chooses the reactor first

        if self._companions.certificates is not None:
            on_hangup(IReactorFromThreads(reactor), self._companions.begin_reload)
        ignore_signals(IReactorFromThreads(reactor))
        for description, listener in self._listeners:
            self._bind(description, listener, "port")
        if (metrics := self._companions.metrics) is not None:
            self._bind(metrics.description, metrics, "metrics")

    def _bind(self, description: str, listener: service.IService, option: str) -> None:
        path = unix_path(description)
        try:
            with nullcontext() if path is None else claim_socket_path(path):
                listener.privilegedStartService()
        except Exception as error:  # each kind of endpoint has errors of its own
            raise CannotStart(why_not_listening(description, error, option)) from None

    def startService(self) -> None:
        """Begin to serve, when twistd has given up its privileges."""
        sys.setswitchinterval(SWITCH_INTERVAL)
        gc.freeze()  # the objects that there are now stay: to collect among them again would take 10 ms each time
        super().startService()  # type: ignore[no-untyped-call]
        self._companions.start()
        self.log.info(
            "Serving {folder} at {places}, to at most {clients} {what} at once",
            folder=self._folder, places=", ".join(self._addresses()), clients=self._clients,
            what="client" if self._clients == 1 else "clients", event="serving",
        )  # fmt: skip

    def _addresses(self) -> Iterator[str]:
        """Return where clients connect to, each place once."""
        for description, listener in self._listeners:
            address = listener.endpoint.address
            yield printable(description) if address is None else describe_address(address)

    def stopService(self) -> Deferred[None]:
        """Accept no new clients, and drain; return when the last client has left.

        A second signal resets the connections that are left.
        """
        from twisted.internet import reactor  # noqa: PLC0415 -- twistd chooses the reactor first

        on_next_termination(IReactorFromThreads(reactor), self._factory.reset)
        self.log.info(
            "Going down: transfers have {seconds:g} seconds more (0: no limit), unless there is a second signal",
            seconds=self._drain_timeout,
            event="draining",
        )
        self._companions.begin_drain()
        stopping = Deferred.fromCoroutine(self._stop(IReactorTime(reactor)))
        return stopping.addErrback(lambda fault: self.log.failure("Going down", fault))

    async def _stop(self, clock: IReactorTime) -> None:
        await maybeDeferred(super().stopService)
        await self._factory.drain(self._drain_timeout)
        await self._companions.end(clock)
