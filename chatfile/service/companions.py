"""What lives beside the ports of a server, each only where an option asks for it, from its start to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from twisted.application.service import IService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

if TYPE_CHECKING:
    from chatfile.digests.keeper import DigestKeeper
    from chatfile.metrics import MetricsService
    from chatfile.prehash import Prehash
    from chatfile.service.certificates import Certificates
    from chatfile.systemd import SystemdNotifier

LAST_WRITE = 1.0
"""Seconds that the end of the process waits for the last digests to be written; without them it is a little slower."""


@dataclass(frozen=True, slots=True)
class Companions:
    """The companions of a server. Those that clients need until the last of them has left end behind the drain."""

    log: ClassVar[Logger] = Logger()

    certificates: Certificates | None = None
    keeper: DigestKeeper | None = None
    prehash: Prehash | None = None
    cluster: IService | None = None
    metrics: MetricsService | None = None
    notifier: SystemdNotifier | None = None

    def start(self) -> None:
        """Start them, when the ports are bound; only then, for a daemon has none of the threads of before its fork."""
        if self.keeper is not None:
            self.keeper.start()
        if self.prehash is not None:
            self.prehash.start(after=None if self.keeper is None else self.keeper.is_read)
        if self.certificates is not None:
            self.certificates.start()
        for service in (self.cluster, self.metrics):
            if service is not None:
                service.startService()
        if self.notifier is not None:
            self.notifier.start()

    def begin_reload(self) -> None:
        """Begin to read the certificates anew, if there are any."""
        Deferred.fromCoroutine(self.reload()).addErrback(lambda fault: self.log.failure("Reading files anew", fault))

    async def reload(self) -> None:
        """Read the certificates anew, if there are any; systemd hears of the end once, behind the last reading."""
        if self.certificates is None:
            return
        if self.notifier is not None:
            self.notifier.reloading()
        try:
            await self.certificates.reload()
        finally:  # a fault of our own is none of systemd's
            if self.notifier is not None and not self.certificates.is_reading:
                self.notifier.ready()

    def begin_drain(self) -> None:
        """Tell that nobody new is let in, and end what has no client to wait for."""
        if self.notifier is not None:
            self.notifier.stopping()
        if self.metrics is not None:
            self.metrics.is_draining = True
        if self.certificates is not None:
            self.certificates.stop()
        if self.prehash is not None:
            self.prehash.stop()

    async def end(self, clock: IReactorTime) -> None:
        """End what is left, when the last client has gone."""
        for service in (self.cluster, self.metrics):
            if service is not None:
                stopping = maybeDeferred(service.stopService)
                # A fault of one of them is no reason for the others not to end.
                await stopping.addErrback(lambda fault: self.log.failure("Ending what is beside the ports", fault))
        await self._write_digests(clock)
        if self.notifier is not None:
            self.notifier.close()

    async def _write_digests(self, clock: IReactorTime) -> None:
        """Have the last digests written, unless the disk takes long: it must not keep the process."""
        if self.keeper is None:
            return
        closed: Deferred[None] = self.keeper.close()
        closed.addTimeout(LAST_WRITE, clock)
        try:
            await closed
        except DeferredTimeout:
            pass
