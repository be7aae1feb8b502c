"""The service of `twistd chatfile`: what it consists of, how it starts, and how it drains at the end."""

from __future__ import annotations

import errno
import gc
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from twisted.application import service, strports
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory, IReactorFromThreads, IReactorTime
from twisted.logger import Logger

from chatfile.admission import Admission
from chatfile.digests import Digests, KnownDigests
from chatfile.disk import Disk
from chatfile.listening import TunedEndpoint, claim_socket_path, unix_path
from chatfile.options import OWN_TLS, Options
from chatfile.repository import Repository
from chatfile.server import ChatFileFactory, Listings, Timeouts
from chatfile.server.events import sum_up_unknown_names
from chatfile.signals import ignore_signals, on_next_termination
from chatfile.timeouts import use_monotonic_clock
from chatfile.transports import describe_address
from chatfile.wire import printable

if TYPE_CHECKING:
    from chatfile.digests.keeper import DigestKeeper
    from chatfile.prehash import Prehash
    from chatfile.server.pacing import SharedRates
    from chatfile.tls.files import ServerTLS

LAST_WRITE = 1.0
"""Seconds that the end of the process waits for the last digests to be written; without them it is a little slower."""
SWITCH_INTERVAL = 0.001
"""Seconds for which a thread that computes, such as a long listing, may keep the interpreter from the reactor.

Python's default is five times that, and to answer a line the reactor has to wait more than once.
"""

_UNIX = re.compile(r"(haproxy:)?unix:")


class CannotStart(SystemExit, Exception):
    """Ends the process with one line and status 1, where the service can't start for a reason that a person can mend.

    It is a SystemExit, so that there is no traceback, and an Exception, so that twistd removes its pidfile and tells
    the parent of a daemon.
    """

    def __init__(self, sentence: str) -> None:
        """Write `sentence` to the log and to `sys.__stderr__`: twistd has redirected `sys.stderr` to the log."""
        super().__init__(sentence)
        self.code = 1
        Logger().error("{sentence}", sentence=sentence)
        if sys.__stderr__ is not None:
            sys.__stderr__.write(f"{sentence}\n")


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
    ) -> None:
        """Listen with `factory` at `endpoints`, given by their descriptions; nothing is bound yet.

        `folder`, and how many `clients` there are at most, are named in the log. `drain_timeout` is in seconds, 0 means
        for ever. With `encrypted`, the ports that the network can reach speak TLS. `keeper` and `prehash` are started
        and ended with the service.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._factory = factory
        self._folder = folder
        self._drain_timeout = drain_timeout
        self._clients = clients
        self._encrypted = encrypted
        self._keeper = keeper
        self._prehash = prehash
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
                raise CannotStart(_why_not_listening(description, error)) from None

    def startService(self) -> None:
        """Begin to serve, when twistd has given up its privileges."""
        sys.setswitchinterval(SWITCH_INTERVAL)
        gc.freeze()  # the objects that there are now stay: to collect among them again would take 10 ms each time
        self._start_threads()
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
        return stopping.addCallback(lambda _: self._close_keeper(IReactorTime(reactor)))

    def _close_keeper(self, clock: IReactorTime) -> Deferred[None]:
        """Have the last digests written, unless the disk takes long: it must not keep the process."""
        if self._keeper is None:
            return succeed(None)
        closed = self._keeper.close()
        closed.addTimeout(LAST_WRITE, clock)
        return closed.addErrback(lambda failure: failure.trap(DeferredTimeout) and None)


def _why_not_listening(description: str, error: Exception) -> str:
    cause = error.socketError if isinstance(error, CannotListenError) else error
    reason = getattr(cause, "strerror", None) or str(cause).rstrip(".") or type(cause).__name__
    advice = "Another program has it; choose" if getattr(cause, "errno", 0) == errno.EADDRINUSE else "Choose"
    return f"chatfile: can't listen on {printable(description)}: {printable(reason)}. {advice} another with --port."


def _check_twistd(options: Options) -> None:
    """Raise `CannotStart` if twistd can't write its pidfile or its log: by itself it would end with a traceback."""
    twistd = options.parent
    if twistd is None or twistd["chroot"]:
        return
    pidfile, logfile = twistd["pidfile"], twistd["logfile"]
    if logfile is None and not (twistd["nodaemon"] or twistd["syslog"]):
        logfile = "twistd.log"
    if pidfile and (why := _why_not_writable(os.path.join(twistd["rundir"], pidfile))):
        raise CannotStart(f"chatfile: can't write {printable(pidfile)}: {why}. Name another, or none: --pidfile=")
    if logfile not in (None, "", "-") and (why := _why_not_writable(logfile)):
        raise CannotStart(f"chatfile: can't write {printable(logfile)}: {why}. Name another with --logfile=FILE")


def _why_not_writable(path: str) -> str | None:
    """Return why the file `path` can't be written, or None if it can, or if it is a pipe that has no reader yet.

    A file that is created to find out is removed again.
    """
    is_new = not os.path.lexists(path)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o600))
        if is_new:
            os.unlink(path)
    except OSError as error:
        return None if error.errno == errno.ENXIO else os.strerror(error.errno or 0)
    return None


def makeService(options: Options) -> ChatFileService:
    """Return the service that `options` describe; twistd calls it. Raises `CannotStart`.

    From here on the reactor measures time by a clock that nobody sets.
    """
    from twisted.internet import reactor  # noqa: PLC0415 -- twistd chooses the reactor first

    _check_twistd(options)
    use_monotonic_clock(reactor)
    in_reactor = IReactorFromThreads(reactor).callFromThread
    disk = Disk(
        IReactorTime(reactor),
        in_reactor,
        timeout=options["disk-timeout"],
        clients=options["max-clients"],
    )
    repository = Repository(options["folder"], is_recursive=bool(options["recursive"]))
    is_ahead = options["state-folder"] is not None or options["prehash"]
    known = KnownDigests(KnownDigests.MOST_AHEAD if is_ahead else KnownDigests.MOST)
    digests = None if options["no-digest"] else Digests(disk.digests.queue, time.time, known=known)
    if any(OWN_TLS.match(endpoint) for endpoint in options["endpoints"]):
        sum_up_unknown_names(IReactorTime(reactor))
    factory = ChatFileFactory(
        repository,
        _make_admission(options),
        listings=Listings(repository, disk.listings.queue(), disk.trees.queue()),
        digests=digests,
        clock=IReactorTime(reactor),
        queue=disk.files.queue,
        timeouts=Timeouts(
            options["idle-timeout"], options["line-timeout"], options["stall-timeout"], options["flush-timeout"]
        ),
        max_unseated=options["max-unseated"],
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
    )


def _make_admission(options: Options) -> Admission:
    return Admission(
        time.time,
        limit=options["max-clients"],
        limit_per_address=options["max-per-address"],
        places=options["waiting"],
        history=options["history"],
    )


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
