"""`watch`: who is connected and how fast they are sent files, looked at again and again."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from chatfile import wire
from chatfile.cli import units
from chatfile.cli.connecting import BREAKS, Reconnect
from chatfile.cli.executor import Executor
from chatfile.cli.interrupts import Interrupts
from chatfile.cli.views import View, aligned, column_widths
from chatfile.client import ChatFileClient

_PAUSE = 1.0
"""Seconds before another connection: a server that breaks each one is not flooded with them."""


@dataclass(frozen=True)
class Seen:
    """A client that is connected, and the bytes a second that it was sent since the look before.

    `seconds` is for how long it has been connected, which grows whether anything changes or not.
    """

    row: wire.ClientRow
    rate: float
    is_us: bool
    seconds: float = field(compare=False)


class Rates:
    """Tells the rates from what `status` counts, and for how long each client has been there.

    Of the server's times only those at the first look count, and only against each other: its clock may be another than
    ours, and can be set. Whoever comes later has been there since we saw him.
    """

    def __init__(self, us: str) -> None:
        """`us` is the name of the one who looks."""
        self._us = us
        self._before: dict[str, int] = {}
        self._looked = 0.0
        self._came: dict[str, float] = {}

    def look(self, rows: Sequence[wire.ClientRow], now: float) -> list[Seen]:
        """At the rows as they are `now`; who has just come has been sent all its bytes since the look before."""
        connected = [row for row in rows if row.disconnected is None]
        passed = now - self._looked if self._before else 0
        ages = self._ages(connected)
        self._came = {row.name: self._came.get(row.name, now - ages.get(row.name, 0.0)) for row in connected}
        seen = [
            Seen(row, self._rate(row, passed), row.name == self._us, now - self._came[row.name]) for row in connected
        ]
        self._before = {row.name: row.bytes for row in connected}
        self._looked = now
        return seen

    def _ages(self, rows: Sequence[wire.ClientRow]) -> dict[str, float]:
        """Of those not seen before: at the first look, by how much they came before us, who have just come."""
        ours = {row.name: row.connected for row in rows}.get(self._us)
        return {} if self._came or ours is None else {row.name: max(ours - row.connected, 0) for row in rows}

    def _rate(self, row: wire.ClientRow, passed: float) -> float:
        return max(row.bytes - self._before.get(row.name, 0), 0) / passed if passed > 0 else 0.0


HEADINGS = ("CLIENT", "ADDRESS", "FOR", "FILES", "SENT", "RATE")
NUMBERS = (2, 3, 4, 5)
"""The columns that are flush right."""


def cells(seen: Seen) -> tuple[str, ...]:
    """A row below the headings."""
    row = seen.row
    rate = units.rate(seen.rate) if seen.rate else "you" if seen.is_us else "-"
    return (
        row.name,
        row.address,
        units.duration(seen.seconds),
        str(row.files),
        units.size(row.bytes),
        rate,
    )


def title(seen: Sequence[Seen], at: float) -> str:
    """The line above: when it was, and what it comes to."""
    total = units.rate(sum(each.rate for each in seen))
    return f"{time.strftime('%H:%M:%S', time.localtime(at))}  {len(seen)} connected, {total} in all"


class Picture(Protocol):
    """Shows what was seen."""

    def show(self, seen: Sequence[Seen], at: float) -> None:
        """At this time, in seconds since 1970."""

    def leave(self) -> None:
        """Nothing more comes."""


class Blocks:
    """A block of lines for each look at which something had changed; for programs, an object for each look."""

    def __init__(self, view: View) -> None:
        """Shown by `view`."""
        self._view = view
        self._before: Sequence[Seen] | None = None

    def show(self, seen: Sequence[Seen], at: float) -> None:
        """See `Picture`."""
        has_changed, self._before = seen != self._before, seen
        if has_changed or self._view.as_json:
            table = [HEADINGS, *(cells(each) for each in seen)]
            widths = column_widths(table)
            lines = [title(seen, at), *(aligned(row, widths, NUMBERS) for row in table), ""]
            self._view.look(wire.format_time(at), [_as_object(each) for each in seen], lines)
        else:
            self._view.look_for_readers()

    def leave(self) -> None:
        """Nothing is left open."""


def _as_object(seen: Seen) -> dict[str, object]:
    row = dataclasses.asdict(seen.row) | {"connected": wire.format_time(seen.row.connected)}
    del row["disconnected"]
    return row | {"rate": round(seen.rate, 1), "you": seen.is_us}


async def watch(
    executor: Executor,
    clock: IReactorTime,
    interrupts: Interrupts,
    picture: Picture,
    interval: float,
    reconnect: Reconnect,
) -> None:
    """Look every `interval` seconds, until the user interrupts. Raises a `ChatFileError` where the server is gone."""
    watching: Deferred[None] = Deferred.fromCoroutine(_watch(executor, clock, picture, interval, reconnect))
    handle, interrupts.handle = interrupts.handle, watching.cancel
    try:
        await watching
    except CancelledError:
        pass  # the way to end it
    finally:
        interrupts.handle = handle
        picture.leave()


async def _watch(
    executor: Executor, clock: IReactorTime, picture: Picture, interval: float, reconnect: Reconnect
) -> None:
    while True:
        executor.view.note(
            f"You are {wire.printable(executor.client.name)}, for watching takes a seat. Ctrl-C ends it."
        )
        try:
            await _watch_one(executor.client, clock, picture, interval)
        except BREAKS as error:
            picture.leave()
            executor.view.note(f"{wire.printable(str(error))} Connecting again.")
        executor.client.abort()
        await deferLater(clock, _PAUSE)
        executor.client = await reconnect()


async def _watch_one(client: ChatFileClient, clock: IReactorTime, picture: Picture, interval: float) -> None:
    """As long as the connection lasts."""
    rates = Rates(client.name)
    while True:
        rows = await client.status()
        picture.show(rates.look(rows, clock.seconds()), time.time())
        await deferLater(clock, interval)
