"""`twistd chatfile`: the service, with its drain at the end."""

from __future__ import annotations

import errno
import gc
import os
import re
import sys
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

from twisted.application import service, strports
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory, IReactorFromThreads, IReactorTime
from twisted.logger import Logger

from chatfile.admission import Admission
from chatfile.digests import Digests
from chatfile.disk import Disk
from chatfile.listening import Roomy, unix_path, vacated
from chatfile.options import OWN_TLS, Options
from chatfile.repository import Repository
from chatfile.server import ChatFileFactory, Listings, Timeouts
from chatfile.server.events import sum_up_unknown_names
from chatfile.signals import at_next_end, ignore_strays
from chatfile.timeouts import use_monotonic_clock
from chatfile.wire import printable

if TYPE_CHECKING:
    from chatfile.tls.files import ServerTLS

SWITCH_INTERVAL = 0.001
"""Seconds for which a thread that computes (a long listing, say) keeps the interpreter from the reactor; Python's own
default is five times that, and the reactor has to wait more than once to answer a line."""

_UNIX = re.compile(r"(haproxy:)?unix:")


class CannotStart(SystemExit, Exception):
    """The service can't start, for a reason that a person can mend: one line, and status 1.

    An exit, so that no traceback comes with it; and an Exception, so that twistd cleans up its pidfile and a daemon's
    parent hears of it.
    """

    def __init__(self, sentence: str) -> None:
        """Say why, in the log and on the real standard error: twistd has turned the other one into the log."""
        super().__init__(sentence)
        self.code = 1
        Logger().error("{sentence}", sentence=sentence)
        if sys.__stderr__ is not None:
            sys.__stderr__.write(f"{sentence}\n")


class ChatFileService(service.MultiService):
    """Listens at every endpoint for one factory; drains at the end."""

    log = Logger()

    def __init__(
        self,
        factory: ChatFileFactory,
        folder: str,
        endpoints: list[str],
        drain_timeout: float,
        encrypted: ServerTLS | None = None,
    ) -> None:
        """`endpoints` are descriptions; `drain_timeout` is in seconds, 0 for ever; `folder` is for the log."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._factory = factory
        self._folder = folder
        self._drain_timeout = drain_timeout
        self._encrypted = encrypted
        self._listeners = [(each, strports.service(each, self._factory_for(each))) for each in endpoints]
        for description, listener in self._listeners:
            is_encrypted = bool(OWN_TLS.match(description)) or listener.factory is not factory
            listener.endpoint = Roomy(listener.endpoint, description, is_encrypted=is_encrypted)
            listener.setServiceParent(self)

    def _factory_for(self, description: str) -> IProtocolFactory:
        """Where there is a certificate, no port is left plain that the network may reach."""
        if self._encrypted is None or OWN_TLS.match(description) or _UNIX.match(description):
            return self._factory
        return self._encrypted.wrap(self._factory)

    def privilegedStartService(self) -> None:
        """Bind, while twistd may still have the privileges for it."""
        from twisted.internet import reactor  # noqa: PLC0415 -- twistd chooses the reactor first

        ignore_strays(IReactorFromThreads(reactor))
        for description, listener in self._listeners:
            path = unix_path(description)
            try:
                with nullcontext() if path is None else vacated(path):
                    listener.privilegedStartService()
            except Exception as error:  # each kind of endpoint has errors of its own
                raise CannotStart(_why_not_listening(description, error)) from None

    def startService(self) -> None:
        """Serve."""
        sys.setswitchinterval(SWITCH_INTERVAL)
        gc.freeze()  # what there is by now stays: looking through it again would hold everybody up for 10 ms
        super().startService()  # type: ignore[no-untyped-call]
        if self._encrypted is not None and self._encrypted.warning:
            self.log.warn("{warning}", warning=self._encrypted.warning, event="certificate")
        self.log.info("Serving {folder}", folder=self._folder, event="serving")

    def stopService(self) -> Deferred[None]:
        """No new clients; then let the present ones finish, or reset them at a second signal."""
        from twisted.internet import reactor  # noqa: PLC0415 -- twistd chooses the reactor first

        at_next_end(IReactorFromThreads(reactor), self._factory.reset)
        self.log.info(
            "Going down: transfers have {seconds:g} seconds more (0: no limit), unless there is a second signal",
            seconds=self._drain_timeout,
            event="draining",
        )
        stopping = maybeDeferred(super().stopService)
        return stopping.addCallback(lambda _: self._factory.drain(self._drain_timeout))


def _why_not_listening(description: str, error: Exception) -> str:
    cause = error.socketError if isinstance(error, CannotListenError) else error
    reason = getattr(cause, "strerror", None) or str(cause).rstrip(".") or type(cause).__name__
    advice = "Another program has it; choose" if getattr(cause, "errno", 0) == errno.EADDRINUSE else "Choose"
    return f"chatfile: can't listen on {printable(description)}: {printable(reason)}. {advice} another with --port."


def _check_twistd(options: Options) -> None:
    """Find out whether twistd can write its own files: it would end with a traceback. Raises `CannotStart`."""
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
    """None where it can be, or where nobody reads it yet; nothing stays that was not there before."""
    is_new = not os.path.lexists(path)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o600))
        if is_new:
            os.unlink(path)
    except OSError as error:
        return None if error.errno == errno.ENXIO else os.strerror(error.errno or 0)
    return None


def makeService(options: Options) -> ChatFileService:
    """The service that `options` describe. From here on the reactor measures by a clock that nobody sets."""
    from twisted.internet import reactor  # noqa: PLC0415 -- twistd chooses the reactor first

    _check_twistd(options)
    use_monotonic_clock(reactor)
    admission = Admission(
        time.time,
        limit=options["max-clients"],
        limit_per_address=options["max-per-address"],
        history=options["history"],
    )
    disk = Disk(
        IReactorTime(reactor),
        IReactorFromThreads(reactor).callFromThread,
        timeout=options["disk-timeout"],
        clients=options["max-clients"],
    )
    repository = Repository(options["folder"])
    if any(OWN_TLS.match(endpoint) for endpoint in options["endpoints"]):
        sum_up_unknown_names(IReactorTime(reactor))
    factory = ChatFileFactory(
        repository,
        admission,
        listings=Listings(repository, disk.listings.queue()),
        digests=None if options["no-digest"] else Digests(disk.digests.queue, time.time),
        clock=IReactorTime(reactor),
        queue=disk.files.queue,
        timeouts=Timeouts(
            options["idle-timeout"], options["line-timeout"], options["stall-timeout"], options["flush-timeout"]
        ),
        max_unseated=options["max-unseated"],
    )
    return ChatFileService(factory, options["folder"], options["endpoints"], options["drain-timeout"], options["tls"])
