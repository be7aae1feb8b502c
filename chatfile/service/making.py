"""The service that the options describe: what it consists of."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.logger import Logger

from chatfile import errors, program_and_version
from chatfile.admission import Admission, MemoryAdmission
from chatfile.digests import Digests, KnownDigests
from chatfile.disk import Disk, Lane
from chatfile.options import METRICS_CONNECTIONS, OWN_TLS, Options
from chatfile.repository import Repository
from chatfile.server import ChatFileFactory, Listings, Timeouts
from chatfile.server.events import sum_up_unknown_names
from chatfile.service.companions import Companions
from chatfile.service.failures import CannotStart, check_twistd
from chatfile.service.service import ChatFileService
from chatfile.timeouts import use_monotonic_clock

if TYPE_CHECKING:
    from chatfile.cluster import ClusterService
    from chatfile.digests.keeper import DigestKeeper
    from chatfile.metrics import MetricSource, MetricsService
    from chatfile.prehash import Prehash
    from chatfile.server.pacing import SharedRates
    from chatfile.service.certificates import Certificates
    from chatfile.systemd import SystemdNotifier


def makeService(options: Options) -> ChatFileService:
    """Return the service that `options` describe; twistd calls it. Raises `CannotStart`.

    From here on the reactor measures time by a clock that nobody sets.
    """
    from twisted.internet import reactor  # noqa: PLC0415 -- twistd chooses the reactor first

    check_twistd(options)
    use_monotonic_clock(reactor)
    clock, in_reactor = IReactorTime(reactor), IReactorFromThreads(reactor).callFromThread
    if any(OWN_TLS.match(endpoint) for endpoint in options["endpoints"]):
        sum_up_unknown_names(clock)
    disk = Disk(clock, in_reactor, timeout=options["disk-timeout"], clients=options["capacity"])
    repository = Repository(options["folder"], is_recursive=bool(options["recursive"]))
    is_ahead = options["state-folder"] is not None or options["prehash"]
    known = KnownDigests(KnownDigests.MOST_AHEAD if is_ahead else KnownDigests.MOST)
    digests = None if options["no-digest"] else Digests(disk.digests.queue, time.time, known=known)
    admission, cluster = _make_admission(options, reactor)
    factory = _make_factory(options, repository, admission, disk, digests, clock)
    companions = Companions(
        certificates=_make_certificates(options, clock, in_reactor),
        keeper=_make_keeper(options["state-folder"], known, in_reactor),
        prehash=_make_prehash(
            digests if options["prehash"] else None, repository, is_busy=factory.is_responding, in_reactor=in_reactor
        ),
        cluster=cluster,
        metrics=_make_metrics(options, factory, disk, cluster, clock),
        notifier=_make_notifier(clock, admission),
    )
    shown = options["folder"] + (" and its subfolders" if options["recursive"] else "")
    ports, drain, clients = options["endpoints"], options["drain-timeout"], options["max-clients"]
    return ChatFileService(factory, shown, ports, drain, clients, companions, proxies=options["proxies"])


def _make_factory(
    options: Options,
    repository: Repository,
    admission: Admission,
    disk: Disk,
    digests: Digests | None,
    clock: IReactorTime,
) -> ChatFileFactory:
    return ChatFileFactory(
        repository,
        admission,
        listings=Listings(repository, disk.listings.queue(), disk.trees.queue()),
        digests=digests,
        clock=clock,
        queue=disk.files.queue,
        timeouts=Timeouts(*(options[f"{each}-timeout"] for each in ("idle", "line", "stall", "flush"))),
        max_unseated=options["max-unseated"],
        line=admission if options["waiting"] and isinstance(admission, MemoryAdmission) else None,
        rates=_make_rates(clock, options["rate"], options["rate-per-client"]),
    )


def _make_admission(options: Options, reactor: Any) -> tuple[Admission, ClusterService | None]:
    """Return what admits clients, and the service of it that there is in a cluster. Raises `CannotStart`."""
    limits = {"limit": options["max-clients"], "limit_per_address": options["max-per-address"]}
    if options["engine"] is None:
        return MemoryAdmission(time.time, **limits, places=options["waiting"], history=options["history"]), None
    from chatfile import cluster, resolving  # noqa: PLC0415 -- only behind its option

    address, lease = options["engine"], options["lease"]
    reactor.installNameResolver(resolving.Resolver())
    try:
        endpoint = cluster.engine_endpoint(address, cluster.patience(lease), reactor)
    except errors.ChatFileError as error:
        raise CannotStart(f"chatfile: --cluster: {error}") from None
    engine = cluster.Engine(
        address,
        endpoint,
        reactor,
        keys=cluster.keys(options["cluster-name"]),
        node=token_hex(8),  # another at each start: it takes over nothing from the process before it
        lease=lease,
        history=options["history"],
    )
    capacity = options["capacity"]
    if capacity < limits["limit"]:
        Logger().warn(
            "This node has descriptors for {capacity} clients at once, of {limit} in the cluster (ulimit -n)",
            capacity=capacity, limit=limits["limit"], event="capacity",
        )  # fmt: skip
    admission = cluster.SharedAdmission(engine, reactor, time.time, lease=lease, capacity=capacity, **limits)
    return admission, cluster.ClusterService(admission)


def _make_rates(clock: IReactorTime, total: int, per_address: int) -> SharedRates | None:
    if not (total or per_address):
        return None
    from chatfile.server.pacing import SharedRates  # noqa: PLC0415 -- only behind its options

    return SharedRates(clock, total=total, per_address=per_address)


def _make_certificates(options: Options, clock: IReactorTime, in_reactor: Callable[..., object]) -> Certificates | None:
    if options["tls"] is None:
        return None
    from chatfile.service.certificates import Certificates  # noqa: PLC0415 -- only behind its option

    # A lane of its own: that files hang which clients ask for is no reason to go on with an old certificate.
    lane = Lane(clock, in_reactor, timeout=options["disk-timeout"], at_once=1, most=1, patience=1.0, spare=2)
    return Certificates(options["tls"], lane.queue(), clock, time.time)


def _make_keeper(folder: str | None, known: KnownDigests, in_reactor: Callable[..., object]) -> DigestKeeper | None:
    if folder is None:
        return None
    from chatfile.digests.keeper import DigestKeeper  # noqa: PLC0415 -- only where there is something to keep

    return DigestKeeper(folder, known, in_reactor)


def _make_metrics(
    options: Options, factory: ChatFileFactory, disk: Disk, cluster: ClusterService | None, clock: IReactorTime
) -> MetricsService | None:
    if options["metrics-endpoint"] is None:
        return None
    from chatfile.metrics import CertificateSource, EngineSource, MetricsService  # noqa: PLC0415 -- likewise

    sources: list[MetricSource] = []
    if cluster is not None:
        sources.append(EngineSource(cluster.admission.engine, cluster.admission.answers))
    if options["tls"] is not None:
        sources.append(CertificateSource(lambda: options["tls"].expires))
    return MetricsService(
        options["metrics-endpoint"],
        factory,
        disk,
        clock,
        time.time,
        seats=options["max-clients"],
        places=options["waiting"],
        is_node=cluster is not None,
        version=program_and_version().rpartition(" ")[2],
        most=METRICS_CONNECTIONS,
        sources=sources,
    )


def _make_prehash(digests: Digests | None, repository: Repository, **callables: Callable[..., Any]) -> Prehash | None:
    if digests is None:
        return None
    from chatfile.prehash import Prehash  # noqa: PLC0415 -- only behind its option

    return Prehash(digests, repository, **callables)


def _make_notifier(clock: IReactorTime, admission: Admission) -> SystemdNotifier | None:
    if not os.environ.get("NOTIFY_SOCKET"):
        return None
    from chatfile.systemd import SystemdNotifier  # noqa: PLC0415 -- only where there is a systemd to tell

    return SystemdNotifier(clock, os.environ, lambda: f"{admission.taken} of {admission.limit} clients")
