"""The service that the options describe: what it consists of."""

from __future__ import annotations

import time
from collections.abc import Callable
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime

from chatfile import errors
from chatfile.admission import Admission, MemoryAdmission
from chatfile.digests import Digests, KnownDigests
from chatfile.disk import Disk
from chatfile.options import OWN_TLS, Options
from chatfile.repository import Repository
from chatfile.server import ChatFileFactory, Listings, Timeouts
from chatfile.server.events import sum_up_unknown_names
from chatfile.service.failures import CannotStart, check_twistd
from chatfile.service.service import ChatFileService
from chatfile.timeouts import use_monotonic_clock

if TYPE_CHECKING:
    from chatfile.digests.keeper import DigestKeeper
    from chatfile.prehash import Prehash
    from chatfile.server.pacing import SharedRates


def makeService(options: Options) -> ChatFileService:
    """Return the service that `options` describe; twistd calls it. Raises `CannotStart`.

    From here on the reactor measures time by a clock that nobody sets.
    """
    from twisted.internet import reactor  # noqa: PLC0415 -- twistd chooses the reactor first

    check_twistd(options)
    use_monotonic_clock(reactor)
    in_reactor = IReactorFromThreads(reactor).callFromThread
    disk = Disk(
        IReactorTime(reactor),
        in_reactor,
        timeout=options["disk-timeout"],
        clients=options["capacity"],
    )
    repository = Repository(options["folder"], is_recursive=bool(options["recursive"]))
    is_ahead = options["state-folder"] is not None or options["prehash"]
    known = KnownDigests(KnownDigests.MOST_AHEAD if is_ahead else KnownDigests.MOST)
    digests = None if options["no-digest"] else Digests(disk.digests.queue, time.time, known=known)
    if any(OWN_TLS.match(endpoint) for endpoint in options["endpoints"]):
        sum_up_unknown_names(IReactorTime(reactor))
    admission, cluster = _make_admission(options, reactor)
    factory = ChatFileFactory(
        repository,
        admission,
        listings=Listings(repository, disk.listings.queue(), disk.trees.queue()),
        digests=digests,
        clock=IReactorTime(reactor),
        queue=disk.files.queue,
        timeouts=Timeouts(
            options["idle-timeout"], options["line-timeout"], options["stall-timeout"], options["flush-timeout"]
        ),
        max_unseated=options["max-unseated"],
        line=admission if options["waiting"] and isinstance(admission, MemoryAdmission) else None,
        rates=_make_rates(IReactorTime(reactor), options["rate"], options["rate-per-client"]),
    )
    return ChatFileService(
        factory,
        options["folder"] + (" and its subfolders" if options["recursive"] else ""),
        options["endpoints"],
        options["drain-timeout"],
        options["max-clients"],
        options["tls"],
        keeper=_make_keeper(options["state-folder"], known, in_reactor),
        prehash=_make_prehash(
            digests if options["prehash"] else None, repository, is_busy=factory.is_responding, in_reactor=in_reactor
        ),
        cluster=cluster,
    )


def _make_admission(options: Options, reactor: Any) -> tuple[Admission, IService | None]:
    """Return what admits clients, and the service of it that there is in a cluster. Raises `CannotStart`."""
    limits = {"limit": options["max-clients"], "limit_per_address": options["max-per-address"]}
    if options["engine"] is None:
        return MemoryAdmission(time.time, **limits, places=options["waiting"], history=options["history"]), None
    from chatfile import cluster  # noqa: PLC0415 -- only behind its option

    address, lease = options["engine"], options["lease"]
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
    admission = cluster.SharedAdmission(engine, reactor, time.time, lease=lease, capacity=options["capacity"], **limits)
    return admission, cluster.ClusterService(admission)


def _make_rates(clock: IReactorTime, total: int, per_address: int) -> SharedRates | None:
    if not (total or per_address):
        return None
    from chatfile.server.pacing import SharedRates  # noqa: PLC0415 -- only behind its options

    return SharedRates(clock, total=total, per_address=per_address)


def _make_keeper(folder: str | None, known: KnownDigests, in_reactor: Callable[..., object]) -> DigestKeeper | None:
    if folder is None:
        return None
    from chatfile.digests.keeper import DigestKeeper  # noqa: PLC0415 -- only where there is something to keep

    return DigestKeeper(folder, known, in_reactor)


def _make_prehash(digests: Digests | None, repository: Repository, **callables: Callable[..., Any]) -> Prehash | None:
    if digests is None:
        return None
    from chatfile.prehash import Prehash  # noqa: PLC0415 -- only behind its option

    return Prehash(digests, repository, **callables)
