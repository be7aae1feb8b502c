"""The service of the metrics' port, which is up before the first client comes and until the last one has gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

from prometheus_client import generate_latest
from twisted.application import service, strports
from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web import http, server

from chatfile.disk import Disk, DiskUnavailable, InThread, in_thread
from chatfile.listening import TunedEndpoint
from chatfile.metrics.lag import ReactorLag
from chatfile.metrics.page import CLIENTS_SHOWN, CONTENT_TYPE, SECURITY_POLICY, PageContent, page
from chatfile.metrics.recent import RecentRates
from chatfile.metrics.sources import DiskSource, MetricSource, ServerSource, make_process_registry, make_registry
from chatfile.metrics.web import Answer, MetricsSite
from chatfile.server import ChatFileFactory
from chatfile.transports import describe_address
from chatfile.wire import printable

EXPOSITION = b"text/plain; version=0.0.4; charset=utf-8"
"""The format that everybody can read (https://prometheus.io/docs/instrumenting/exposition_formats/)."""
PAGE_INTERVAL = 1.0
"""Seconds for which everybody is given the same page."""
REFRESH = 5
"""Seconds after which a page that is wanted so loads itself again."""


class MetricsService(service.Service):
    """Answers at `/metrics`, `/health` and `/`.

    `listener` binds and unbinds the port, which the owner does: before the first client, and after the last one.
    """

    log = Logger()

    def __init__(
        self,
        description: str,
        factory: ChatFileFactory,
        disk: Disk,
        clock: IReactorTime,
        now: Callable[[], float],
        *,
        in_thread: InThread = in_thread,
        seats: int,
        places: int,
        is_node: bool = False,
        version: str,
        most: int,
        sources: Sequence[MetricSource] = (),
    ) -> None:
        """Listen at the endpoint `description`, at most to so many connections; nothing is bound yet.

        What is shown is that of `factory` and `disk`, and what further `sources` know (see `MetricSource`). There are
        so many `seats`, those of a cluster if this `is_node`, and `places` to wait at. `now` tells the wall-clock time,
        in seconds since 1970. The calls of `in_thread` wait for no client's disk.
        """
        self.description = description
        self.is_draining = False
        self._factory = factory
        self._clock = clock
        self._now = now
        self._seats = seats
        self._is_node = is_node
        self._lag = ReactorLag(clock)
        self._recent = RecentRates(clock, lambda: factory.activity().sent_bytes)
        own = ServerSource(
            factory.activity, seats=seats, places=places, version=version, is_draining=lambda: self.is_draining
        )
        self._sources: list[MetricSource] = [own, DiskSource(disk.loads), self._lag, *sources]
        self._registry = make_registry(self._sources)
        self._process = make_process_registry()
        self._in_thread = in_thread
        self._making = DeferredLock()
        self._pages: dict[bool, tuple[float, Answer]] = {}  # by whether they load themselves again, and when made
        answers = {b"/metrics": self._metrics, b"/health": self._health, b"/": self._page}
        self.site = MetricsSite(answers, clock, most)
        self.listener = strports.service(description, self.site)
        self.listener.endpoint = TunedEndpoint(self.listener.endpoint, description, peer_begins=False)

    def privilegedStartService(self) -> None:
        """Bind the port. Raises what the endpoint does."""
        self.listener.privilegedStartService()

    def startService(self) -> None:
        """Begin to measure."""
        super().startService()  # type: ignore[no-untyped-call]
        self.listener.startService()
        self._lag.start()
        self._recent.start()
        address = self.listener.endpoint.address
        self.log.info(
            "Metrics at {address}",
            address=printable(self.description) if address is None else describe_address(address),
            event="metrics",
        )

    def stopService(self) -> Deferred[None]:
        """Close the port and its connections."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._lag.stop()
        self._recent.stop()
        stopped: Deferred[None] = maybeDeferred(self.listener.stopService)
        self.site.close()
        return stopped

    async def _metrics(self, _: server.Request) -> Answer:
        """Count descriptors in a thread: of ten thousand, that takes the system some milliseconds."""
        try:
            of_process: bytes = await self._in_thread(generate_latest, self._process)
        except DiskUnavailable:
            of_process = b""  # there are no more threads: the rest is told all the same
        return Answer(generate_latest(self._registry) + of_process, EXPOSITION)

    async def _health(self, _: server.Request) -> Answer:
        """Tell a proxy whether to send new clients; it is none of its business how the clients that are here fare."""
        return Answer(b"draining\n", code=http.NOT_FOUND) if self.is_draining else Answer(b"ok\n")

    async def _page(self, request: server.Request) -> Answer:
        is_live = b"live" in request.args
        answer: Answer = await self._making.run(lambda: Deferred.fromCoroutine(self._page_of_this_second(is_live)))
        return answer

    async def _page_of_this_second(self, is_live: bool) -> Answer:
        """Return the page that was made within the last second, or else a new one.

        To make one takes the reactor as long as many other answers do, and a stranger can ask at any rate.
        """
        made, answer = self._pages.get(is_live, (0.0, None))
        if answer is None or self._clock.seconds() - made >= PAGE_INTERVAL:
            answer = await self._make_page(is_live)
            self._pages[is_live] = self._clock.seconds(), answer
        return answer

    async def _make_page(self, is_live: bool) -> Answer:
        connected, clients = await self._factory.clients(CLIENTS_SHOWN)
        content = PageContent(
            now=self._now(),
            is_draining=self.is_draining,
            is_live=is_live,
            seats=self._seats,
            is_node=self._is_node,
            activity=self._factory.activity(),
            connected=connected,
            clients=clients,
            rates=self._recent.rates(),
            facts=chain.from_iterable(source.facts() for source in self._sources),
        )
        again = ((b"Refresh", b"%d" % REFRESH),) if is_live else ()
        return Answer(
            await page(content), CONTENT_TYPE, headers=((b"Content-Security-Policy", SECURITY_POLICY), *again)
        )
