"""`watch`: who is connected and how fast they are sent files, looked at again and again."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TextIO

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from chatfile import wire
from chatfile.cli.connecting import BREAKS, Reconnect
from chatfile.cli.executor import Executor
from chatfile.cli.format import Column, format_duration, format_rate, format_size, table
from chatfile.cli.interrupts import Interrupts
from chatfile.cli.view import View
from chatfile.client import ChatFileClient

_PAUSE = 1.0
"""Seconds before another connection: a server that breaks each one is not flooded with them."""
_MARGIN = 3
"""Columns that stay free behind the table: what the terminal shows of a Ctrl-C must not begin another line."""


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
    """Works out the rates from what `status` counts, and for how long each client has been there.

    Of the server's times only those at the first look count, and only against each other: its clock may be another than
    ours, and can be set. A client that comes later has been there since it was seen.
    """

    def __init__(self, us: str) -> None:
        """Know nothing yet; `us` is our own name."""
        self._us = us
        self._before: dict[str, int] = {}
        self._looked = 0.0
        self._came: dict[str, float] = {}

    def look(self, rows: Sequence[wire.ClientRow], now: float) -> list[Seen]:
        """Return what the rows tell `now`; a client that has just come was sent all its bytes since the look before."""
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
        """Return how long clients had been there at the first look: as much as they came before us."""
        ours = {row.name: row.connected for row in rows}.get(self._us)
        return {} if self._came or ours is None else {row.name: max(ours - row.connected, 0) for row in rows}

    def _rate(self, row: wire.ClientRow, passed: float) -> float:
        return max(row.bytes - self._before.get(row.name, 0), 0) / passed if passed > 0 else 0.0


def table_of(seen: Sequence[Seen], width: int | None, least: dict[str, int] | None = None) -> list[str]:
    """Return the lines of the table; a column is as wide as in `least` at least, which is updated."""
    cells = [
        (
            each.row.name,
            each.row.address,
            format_duration(each.seconds),
            str(each.row.files),
            format_size(each.row.bytes),
            format_rate(each.rate) if each.rate else "you" if each.is_us else "-",
        )
        for each in seen
    ]
    client, address, duration, files, sent, rate = zip(*cells, strict=True) if cells else ((),) * 6
    columns = [
        Column("CLIENT", client),
        Column("ADDRESS", address, drop=2),
        Column("FOR", duration, right=True, drop=1),
        Column("FILES", files, right=True, drop=3),
        Column("SENT", sent, right=True),
        Column("RATE", rate, right=True),
    ]
    if least is not None:
        columns = [dataclasses.replace(column, least=least.get(column.title, 0)) for column in columns]
        least.update((column.title, column.columns) for column in columns)
    return table(columns, width)


def title(seen: Sequence[Seen], at: float) -> str:
    """Return the line above the table: when it was, and what it comes to."""
    total = format_rate(sum(each.rate for each in seen))
    return f"{time.strftime('%H:%M:%S', time.localtime(at))}  {len(seen)} connected, {total} in all"


class WatchView(Protocol):
    """Shows what was seen."""

    def show(self, seen: Sequence[Seen], at: float) -> None:
        """Show it; it was seen `at` so many seconds since 1970."""

    def leave(self) -> None:
        """Leave what was shown: nothing more comes."""


class PlainWatch:
    """Shows a block of lines for each look at which something had changed; programs an object for each look."""

    def __init__(self, view: View) -> None:
        """Let `view` show it."""
        self._view = view
        self._before: Sequence[Seen] | None = None

    def show(self, seen: Sequence[Seen], at: float) -> None:
        """See `WatchView`."""
        has_changed, self._before = seen != self._before, seen
        if has_changed or self._view.as_json:
            lines = [title(seen, at), *table_of(seen, None), ""]
            self._view.look(wire.format_time(at), [_as_object(each) for each in seen], lines)
        else:
            self._view.look_for_readers()

    def leave(self) -> None:
        """Do nothing: what is written stays."""


def _as_object(seen: Seen) -> dict[str, object]:
    row = dataclasses.asdict(seen.row) | {"connected": wire.format_time(seen.row.connected)}
    del row["disconnected"]
    return row | {"rate": round(seen.rate, 1), "you": seen.is_us}


class WatchTable:
    """Draws a table at the bottom of the terminal, whose columns never become narrower."""

    def __init__(self, stream: TextIO) -> None:
        """Draw on the terminal `stream`."""
        from chatfile.cli.live import LiveRegion  # noqa: PLC0415 -- rich takes longer to load than all the rest

        self._region = LiveRegion(stream)
        self._least = {"FOR": len("1:00:00"), "SENT": len("12.3 MB"), "RATE": len("12.3 MB/s")}

    def show(self, seen: Sequence[Seen], at: float) -> None:
        """See `WatchView`."""
        titles, *rows = table_of(seen, self._region.width - _MARGIN, self._least)
        styles = ("green" if each.rate else "dim" if each.is_us else "" for each in seen)
        self._region.draw_lines([(title(seen, at), "bold"), (titles, "dim"), *zip(rows, styles, strict=True)])

    def leave(self) -> None:
        """See `WatchView`: what was seen last stays."""
        self._region.leave()


async def watch(
    executor: Executor,
    clock: IReactorTime,
    interrupts: Interrupts,
    shown: WatchView,
    interval: float,
    reconnect: Reconnect,
    how_to_stop: str = "Ctrl-C",
) -> None:
    """Look every `interval` seconds, until the user interrupts. Raises a `ChatFileError` where the server is gone."""
    watching: Deferred[None] = Deferred.fromCoroutine(_watch(executor, clock, shown, interval, reconnect, how_to_stop))
    handle, interrupts.handle = interrupts.handle, watching.cancel
    try:
        await watching
    except CancelledError:
        pass  # the way to end it
    finally:
        interrupts.handle = handle
        shown.leave()


async def _watch(
    executor: Executor, clock: IReactorTime, shown: WatchView, interval: float, reconnect: Reconnect, how_to_stop: str
) -> None:
    while True:
        executor.view.note(f"Watching as {executor.client.name} (uses one seat). {how_to_stop} stops.")
        try:
            await _watch_one(executor.client, clock, shown, interval)
        except BREAKS as error:
            shown.leave()
            executor.view.note(f"{error} Connecting again.")
        executor.client.abort()
        await deferLater(clock, _PAUSE)
        executor.client = await reconnect()


async def _watch_one(client: ChatFileClient, clock: IReactorTime, shown: WatchView, interval: float) -> None:
    """Look as long as the connection lasts."""
    rates = Rates(client.name)
    while True:
        rows = await client.status()
        shown.show(rates.look(rows, clock.seconds()), time.time())
        await deferLater(clock, interval)
