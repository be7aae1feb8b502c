"""The certificates of a running server: read anew when that is asked for, and told of before they end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, auto

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatfile import errors
from chatfile.disk import DiskUnavailable, InThread
from chatfile.timeouts import Timer
from chatfile.tls.server import ServerTLS
from chatfile.wire import printable


class Reload(Enum):
    """Whether the files are being read."""

    NONE = auto()
    UNDER_WAY = auto()
    ONCE_MORE = auto()
    """Under way, and asked for again: what is being read may be older than that."""


class Certificates:
    """Replaces the files of a server's TLS, all together or none of them, and warns of the end of its certificate."""

    log = Logger()
    DAY = 86400.0
    """Seconds between two warnings."""

    def __init__(self, tls: ServerTLS, in_thread: InThread, clock: IReactorTime, now: Callable[[], float]) -> None:
        """Look after `tls`; its files are read `in_thread`, and `now` is the wall clock, in seconds since 1970."""
        self.tls = tls
        self._in_thread = in_thread
        self._now = now
        self._reload = Reload.NONE
        self._daily = Timer(clock, self._warn_daily)

    @property
    def is_reading(self) -> bool:
        """Tell whether the files are being read anew, or are going to be."""
        return self._reload is not Reload.NONE

    def start(self) -> None:
        """Warn of what is wrong with the certificate in use, and once a day from now on of its end."""
        self._warn(self.tls.current.warnings(self._now()))
        self._daily.restart(self.DAY)

    def stop(self) -> None:
        """Warn no more."""
        self._daily.stop()

    async def reload(self) -> None:
        """Read all files anew, and use them for the handshakes that begin from then on; if one is bad, use none.

        However often this is called while they are being read, they are read once more behind that.
        """
        if self._reload is not Reload.NONE:
            self._reload = Reload.ONCE_MORE
            return
        try:
            while self._reload is not Reload.UNDER_WAY:
                self._reload = Reload.UNDER_WAY
                await self._read()
        finally:
            self._reload = Reload.NONE

    async def _read(self) -> None:
        try:
            read = await self._in_thread(self.tls.read_anew, about=self.tls.path)
        except errors.BadCertificate as error:
            self._refuse(error)
        except DiskUnavailable as error:
            self._refuse(errors.BadCertificate(path=self.tls.path, why=errors.reason(error)))
        else:
            self.tls.use(read)
            self.log.info("In use now: {certificate}", certificate=printable(read.description()), event="certificate")
            if self._daily.is_running:  # else the server is going down
                self.start()

    def _refuse(self, error: errors.BadCertificate) -> None:
        self.log.error("{error} The old certificate stays in use.", error=printable(str(error)), event="certificate")

    def _warn_daily(self) -> None:
        lapse = self.tls.current.lapse(self._now())
        self._warn([] if lapse is None else [lapse])
        self._daily.restart(self.DAY)

    def _warn(self, sentences: Iterable[str]) -> None:
        for sentence in sentences:
            self.log.warn("{warning}", warning=printable(sentence), event="certificate")
