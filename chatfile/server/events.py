"""The log of what happens to clients: each event, until there are so many that they would flood the log."""

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
    """Logs events of one kind: within some seconds the first few one by one, and the others as one line of totals.

    The limit counts for each client, for each host, and for all together. So a busy client does not hide the events of
    another, nor a host those of another host, and no number of clients can fill the disk.
    """

    log = Logger()
    SECONDS = 10.0
    """The time after which events are counted anew, and the totals are logged."""
    OF_A_CLIENT = 10
    OF_A_HOST = 3 * OF_A_CLIENT
    OF_ALL = 10 * OF_A_HOST

    def __init__(self, clock: IReactorTime, event: str, summary: str, *totals: str) -> None:
        """Log events called `event`.

        `summary` is the format of the line of totals, with the `count` of events and the sum of each of the fields
        `totals`.
        """
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
        """Log an event of `client`, which is from `host`, with the logger's method `tell`, or add it to the totals.

        Give the host for `client` as well if the event counts for the host alone, as coming and leaving do.
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
        """Tell whether the limits allow one more event to be logged, and count it if they do."""
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
        """Log the totals of the events that were not logged one by one, if there are any."""
        self._due.stop()
        others, self._others = self._others, Counter()
        if others:
            self.log.info(self._summary, event=self._event, **{name: others[name] for name in ("count", *self._totals)})


class EventLog:
    """Logs every event that a client can cause."""

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        """Begin without events; `clock` measures the seconds in which they are counted."""
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
        """Log that a client was admitted to `seat`."""
        self._admitted.tell(
            seat.host,
            seat.host,
            self.log.info,
            "{client} is admitted from {address}",
            client=seat.name,
            address=seat.address,
        )

    def refused(self, address: str, host: str, why: str) -> None:
        """Log that the client at `address` was refused."""
        self._refused.tell(host, host, self.log.info, "{address} is refused: {why}", address=address, why=why)

    def left(self, seat: Seat, why: str) -> None:
        """Log that a client has left, and what it was sent."""
        record = seat.record()
        self._left.tell(
            seat.host,
            seat.host,
            self.log.info,
            "{client} left: {why}; files sent: {files}, bytes: {bytes}",
            client=record.name,
            why=why,
            files=record.files,
            bytes=record.bytes,
        )

    def sent(self, seat: Seat, name: str, sent: int, count: int, seconds: float) -> None:
        """Log that a client was `sent` so many of the `count` bytes that it was promised of a file, in `seconds`."""
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
        """Log that a client's connection is reset amid a promised size, for a reason of the server's."""
        self._cut.tell(seat.host, seat.name, self.log.error, "{client} is cut off: {why}", client=seat.name, why=why)

    def failed(self, seat: Seat, failure: Failure) -> None:
        """Log a fault of the server's own, with its traceback, that came up while it answered a client."""
        self._failed.tell(seat.host, seat.name, self.log.failure, "Answering {client}", failure, client=seat.name)

    def failed_to_admit(self, address: str, host: str, failure: Failure) -> None:
        """Log a fault of the server's own, with its traceback, that came up while it let a client in."""
        self._failed.tell(host, host, self.log.failure, "Admitting {address}", failure, address=address)

    def sum_up(self) -> None:
        """Log the totals of all kinds of events that are not logged yet."""
        for log in (self._admitted, self._refused, self._left, self._sent, self._cut, self._failed):
            log.sum_up()


def sum_up_unknown_names(clock: IReactorTime) -> None:
    """Sum up what Twisted's endpoint `tls:` logs of each client that asks for a name without a certificate."""
    from twisted.protocols import _sni  # noqa: PLC0415 -- only where it is in use; no public module has its logger

    summed = SummedLog(clock, "unknown-name", "{count} more asked for names without a certificate")

    def observe(event: LogEvent) -> None:
        summed.tell("", "", lambda *_, **__: globalLogPublisher(event), "")

    _sni.log.observer = observe  # type: ignore[assignment]  # any callable is one
