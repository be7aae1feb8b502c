"""The service of `twistd chatfile`: how it starts, and how it drains at the end."""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING

from twisted.application import service, strports
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IProtocolFactory, IReactorFromThreads, IReactorTime
from twisted.logger import Logger

from chatfile.listening import TunedEndpoint, claim_socket_path, unix_path
from chatfile.options import OWN_TLS
from chatfile.server import ChatFileFactory
from chatfile.service.failures import CannotStart, why_not_listening
from chatfile.signals import ignore_signals, on_next_termination
from chatfile.transports import describe_address
from chatfile.wire import printable

if TYPE_CHECKING:
    from chatfile.digests.keeper import DigestKeeper
    from chatfile.prehash import Prehash
    from chatfile.tls.files import ServerTLS

LAST_WRITE = 1.0
"""Seconds that the end of the process waits for the last digests to be written; without them it is a little slower."""
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
        encrypted: ServerTLS | None = None,
        keeper: DigestKeeper | None = None,
        prehash: Prehash | None = None,
        cluster: service.IService | None = None,
    ) -> None:
        """Listen with `factory` at `endpoints`, given by their descriptions; nothing is bound yet.

        `folder`, and how many `clients` there are at most, are named in the log. `drain_timeout` is in seconds, 0 means
        for ever. With `encrypted`, the ports that the network can reach speak TLS. `keeper` and `prehash` are started
        and ended with the service. `cluster` is started with it too, and ends when the last client has left.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._factory = factory
        self._folder = folder
        self._drain_timeout = drain_timeout
        self._clients = clients
        self._encrypted = encrypted
        self._keeper = keeper
        self._prehash = prehash
        self._cluster = cluster
        self._listeners = [(each, strports.service(each, self._factory_for(each))) for each in endpoints]
        for description, listener in self._listeners:
            is_encrypted = bool(OWN_TLS.match(description)) or listener.factory is not factory
            listener.endpoint = TunedEndpoint(listener.endpoint, description, is_encrypted=is_encrypted)
            listener.setServiceParent(self)

    def _factory_for(self, description: str) -> IProtocolFactory:
        """Return the factory for an endpoint: with a certificate, no port that the network can reach is left plain."""
        if self._encrypted is None or OWN_TLS.match(description) or _UNIX.match(description):
            return self._factory
        return self._encrypted.wrap(self._factory)

    def privilegedStartService(self) -> None:
        """Bind all ports, while twistd may still have the privileges for it. Raises `CannotStart`."""
        from twisted.internet import reactor  # noqa: PLC0415 -- twistd chooses the reactor first

        ignore_signals(IReactorFromThreads(reactor))
        for description, listener in self._listeners:
            path = unix_path(description)
            try:
                with nullcontext() if path is None else claim_socket_path(path):
                    listener.privilegedStartService()
            except Exception as error:  # each kind of endpoint has errors of its own
                raise CannotStart(why_not_listening(description, error)) from None

    def startService(self) -> None:
        """Begin to serve, when twistd has given up its privileges."""
        sys.setswitchinterval(SWITCH_INTERVAL)
        gc.freeze()  # the objects that there are now stay: to collect among them again would take 10 ms each time
        self._start_threads()
        if self._cluster is not None:
            self._cluster.startService()
        super().startService()  # type: ignore[no-untyped-call]
        if self._encrypted is not None and self._encrypted.warning:
            self.log.warn("{warning}", warning=self._encrypted.warning, event="certificate")
        self.log.info(
            "Serving {folder} at {places}, to at most {clients} {what} at once",
            folder=self._folder, places=", ".join(self._addresses()), clients=self._clients,
            what="client" if self._clients == 1 else "clients", event="serving",
        )  # fmt: skip

    def _start_threads(self) -> None:
        """Start them only now: a daemon has none of the threads that there were before it became one."""
        if self._keeper is not None:
            self._keeper.start()
        if self._prehash is not None:
            self._prehash.start(after=None if self._keeper is None else self._keeper.is_read)

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
        if self._prehash is not None:
            self._prehash.stop()
        stopping = maybeDeferred(super().stopService)
        stopping.addCallback(lambda _: self._factory.drain(self._drain_timeout))
        if (cluster := self._cluster) is not None:
            stopping.addCallback(lambda _: cluster.stopService())
        return stopping.addCallback(lambda _: self._close_keeper(IReactorTime(reactor)))

    def _close_keeper(self, clock: IReactorTime) -> Deferred[None]:
        """Have the last digests written, unless the disk takes long: it must not keep the process."""
        if self._keeper is None:
            return succeed(None)
        closed = self._keeper.close()
        closed.addTimeout(LAST_WRITE, clock)
        return closed.addErrback(lambda failure: failure.trap(DeferredTimeout) and None)
