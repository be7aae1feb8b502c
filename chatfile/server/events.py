"""What happens to clients, in the log: each event, until there are so many that they would be all that it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import LogEvent, Logger, globalLogPublisher
from twisted.python.failure import Failure

from chatfile import wire
from chatfile.admission import Seat
from chatfile.timeouts import Timer


class SummedLog:
    """Tells of the first few events of one kind in some seconds one by one, and of the others by their totals.

    Few are the events of one client, those of one host, and those of all. So a busy client does not hide another's,
    nor one host that of another, and no number of either can fill the disk.
    """

    log = Logger()
    SECONDS = 10.0
    OF_A_CLIENT = 10
    OF_A_HOST = 3 * OF_A_CLIENT
    OF_ALL = 10 * OF_A_HOST

    def __init__(self, clock: IReactorTime, event: str, summary: str, *totals: str) -> None:
        """`summary` is the format of the line that tells of the others, by their `count` and the `totals` of fields."""
        self._clock = clock
        self._event = event
        self._summary = summary
        self._totals = totals
        self._began = -self.SECONDS
        self._told: Counter[str] = Counter()
        self._told_of_all = 0
        self._others: Counter[str] = Counter()
        self._due = Timer(clock, self.sum_up)

    def tell(self, host: str, client: str, tell: Callable[..., None], text: str, /, *what: Any, **fields: Any) -> None:
        """Log an event of `client`, who came from `host`, by `tell`, a method of a logger; or add it to the totals.

        What happens at the door is the host's own doing, not that of one client or another: then they are the same.
        """
        now = self._clock.seconds()
        if now - self._began >= self.SECONDS:
            self.sum_up()
            self._began, self._told_of_all = now, 0
            self._told.clear()
        if self._may_tell(host, client):
            tell(text, *what, **fields, count=1, event=self._event)
            return
        self._others["count"] += 1
        self._others.update({total: int(fields[total]) for total in self._totals})
        if not self._due.is_running:
            self._due.restart(self._began + self.SECONDS - now)

    def _may_tell(self, host: str, client: str) -> bool:
        """Count it, if it may be told; nothing is kept of those that may not."""
        if (
            self._told_of_all >= self.OF_ALL
            or self._told[f"host {host}"] >= self.OF_A_HOST
            or self._told[client] >= self.OF_A_CLIENT
        ):
            return False
        self._told_of_all += 1
        self._told[f"host {host}"] += 1
        self._told[client] += 1
        return True

    def sum_up(self) -> None:
        """Tell of those that were not told of one by one, now."""
        self._due.stop()
        others, self._others = self._others, Counter()
        if others:
            self.log.info(self._summary, event=self._event, **{name: others[name] for name in ("count", *self._totals)})


class EventLog:
    """Everything that a client can make the log say."""

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        """Nothing has happened yet."""
        self._admitted = SummedLog(clock, "admitted", "{count} more were admitted")
        self._refused = SummedLog(clock, "refused", "{count} more were refused")
        self._left = SummedLog(
            clock, "left", "{count} more left; files sent: {files}, bytes: {bytes}", "files", "bytes"
        )
        self._sent = SummedLog(
            clock,
            "sent",
            "{count} more files were sent, {complete} of them complete; bytes: {sent}",
            "sent",
            "complete",
        )
        self._cut = SummedLog(clock, "cut", "{count} more transfers were cut off")
        self._failed = SummedLog(clock, "failed", "{count} more faults of the server's own")

    def admitted(self, seat: Seat) -> None:
        """A client has got a seat."""
        self._admitted.tell(
            seat.host,
            seat.host,
            self.log.info,
            "{client} is admitted from {address}",
            client=seat.name,
            address=seat.address,
        )

    def refused(self, address: str, host: str, why: str) -> None:
        """The client at `address` was refused."""
        self._refused.tell(host, host, self.log.info, "{address} is refused: {why}", address=address, why=why)

    def left(self, seat: Seat, why: str) -> None:
        """A client's seat is free again."""
        visit = seat.record()
        self._left.tell(
            seat.host,
            seat.host,
            self.log.info,
            "{client} left: {why}; files sent: {files}, bytes: {bytes}",
            client=visit.name,
            why=why,
            files=visit.files,
            bytes=visit.bytes,
        )

    def sent(self, seat: Seat, name: str, sent: int, count: int, seconds: float) -> None:
        """A client was `sent` so many of the `count` bytes of a file that it was promised."""
        self._sent.tell(
            seat.host,
            seat.name,
            self.log.info,
            "{client} was sent {sent} of {size} bytes of {name} in {seconds:.3f} s",
            client=seat.name,
            name=wire.printable(name),
            sent=sent,
            size=count,
            seconds=seconds,
            complete=sent == count,
        )

    def cut(self, seat: Seat, why: str) -> None:
        """A client's connection is reset amid a promised size, and not for a reason of its own."""
        self._cut.tell(seat.host, seat.name, self.log.error, "{client} is cut off: {why}", client=seat.name, why=why)

    def failed(self, seat: Seat, failure: Failure) -> None:
        """Answering a client went wrong in a way that nobody has thought of."""
        self._failed.tell(seat.host, seat.name, self.log.failure, "Answering {client}", failure, client=seat.name)

    def sum_up(self) -> None:
        """Tell of everything that was not told of yet, now."""
        for log in (self._admitted, self._refused, self._left, self._sent, self._cut, self._failed):
            log.sum_up()


def sum_up_unknown_names(clock: IReactorTime) -> None:
    """Sum up, too, what Twisted's own endpoint `tls:` says of each client that asks it for a name it does not have."""
    from twisted.protocols import _sni  # noqa: PLC0415 -- only where it is in use; its logger is nowhere else

    summed = SummedLog(clock, "unknown-name", "{count} more asked for names without a certificate")

    def observe(event: LogEvent) -> None:
        summed.tell("", "", lambda *_, **__: globalLogPublisher(event), "")

    _sni.log.observer = observe  # type: ignore[assignment]  # any callable is one
