"""`watch`: the clients that are connected and how fast they are sent files, shown again and again."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from chatfile import errors, wire
from chatfile.cli.connecting import BREAKS, Reconnect, leave
from chatfile.cli.exits import ExitCode
from chatfile.cli.format import Column, format_duration, format_rate, format_size, table
from chatfile.cli.interrupts import Interrupts
from chatfile.cli.live import LiveRegion
from chatfile.cli.view import View
from chatfile.client import ChatFileClient

_PAUSE = 1.0
"""Seconds before another connection: a server that ends each one is not flooded with them."""


@dataclass(frozen=True)
class Seen:
    """A connected client at one look, with the bytes a second that it was sent since the look before.

    `seconds` is how long it has been connected. It does not count in comparisons, for it grows all the time.
    """

    row: wire.ClientRow
    rate: float | None
    """None at the first look, when nobody can tell."""
    is_us: bool
    seconds: float = field(compare=False)


class Rates:
    """Computes from the rows of `status` how fast each client is sent files, and for how long it has been connected.

    Of the server's times only those of the first look are used, and only their differences: its clock may differ from
    ours, and can be set. The time of a client that connects later counts from the look that first shows it.
    """

    def __init__(self, us: str) -> None:
        """Begin without a look; `us` is our own name."""
        self._us = us
        self._before: dict[str, int] = {}
        self._looked = 0.0
        self._came: dict[str, float] = {}

    def look(self, rows: Sequence[wire.ClientRow], now: float) -> list[Seen]:
        """Return the connected clients among `rows`; `now` is the time in seconds, of a monotonic clock.

        A client that was not in the look before was sent all its bytes since then.
        """
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
        """Return the seconds for which each client had been connected before us; none after the first look."""
        ours = {row.name: row.connected for row in rows}.get(self._us)
        return {} if self._came or ours is None else {row.name: max(ours - row.connected, 0) for row in rows}

    def _rate(self, row: wire.ClientRow, passed: float) -> float | None:
        return max(row.bytes - self._before.get(row.name, 0), 0) / passed if passed > 0 else None


def table_of(seen: Sequence[Seen], width: int | None, least: dict[str, int] | None = None) -> list[str]:
    """Return the lines of the table, which fits `width` columns of the screen.

    `least` has the least width for each title, and is updated, so that no column becomes narrower.
    """
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
    """Return the line above the table: the time, and the sum of the rates, where there are any yet.

    `at` is in seconds since 1970.
    """
    rates = [each.rate for each in seen if each.rate is not None]
    total = f", {format_rate(sum(rates))} in all" if rates else ""
    return f"{time.strftime('%H:%M:%S', time.localtime(at))}  {len(seen)} connected{total}"


class PlainWatch:
    """Shows a block of lines for each look that differs from the one before; as JSON, an object for every look."""

    def __init__(self, view: View) -> None:
        """Show the looks by `view`."""
        self._view = view
        self._before: Sequence[Seen] | None = None

    def show(self, seen: Sequence[Seen], at: float) -> None:
        """Show the clients of one look; `at` is in seconds since 1970. Raises BrokenPipeError, `LocalFileError`."""
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
    return row | {"rate": round(seen.rate or 0, 1), "you": seen.is_us}


class WatchTable:
    """Draws a table on the terminal in its place; its columns never become narrower."""

    def __init__(self, stream: TextIO) -> None:
        """Draw on the terminal `stream`."""
        self._region = LiveRegion(stream)
        self._least = {"FOR": len("1:00:00"), "SENT": len("12.3 MB"), "RATE": len("12.3 MB/s")}

    def show(self, seen: Sequence[Seen], at: float) -> None:
        """Show the clients of one look; `at` is in seconds since 1970."""
        titles, *rows = table_of(seen, self._region.width, self._least)
        styles = ("32" if each.rate else "2" if each.is_us else "" for each in seen)
        lines = [(title(seen, at), "1"), (titles, "2"), *zip(rows, styles, strict=True)]
        self._region.draw([[line] for line in lines])

    def leave(self) -> None:
        """Leave the last look on the terminal: nothing more comes, or other lines come first."""
        self._region.leave()


async def watch(
    view: View,
    clock: IReactorTime,
    interrupts: Interrupts,
    shown: PlainWatch | WatchTable,
    interval: float,
    connect: Reconnect,
    reconnect: Reconnect,
    how_to_stop: str = "Ctrl-C",
) -> ExitCode:
    """Show a look every `interval` seconds, until the user interrupts; connect again where the connection ends.

    Raises a `ChatFileError` where there is no connection, at the begin or later.
    """

    async def watch_all() -> ExitCode:
        client = await connect()
        while True:
            view.note(f"Watching as {client.name} (uses one seat). {how_to_stop} stops.")
            try:
                await _watch_one(client, view, clock, shown, interval)
            except BREAKS as error:
                shown.leave()
                view.note(f"{error} Connecting again.")
            except CancelledError:
                return await leave(client, view)
            finally:
                client.abort()
            await deferLater(clock, _PAUSE)
            client = await reconnect()

    watching: Deferred[ExitCode] = Deferred.fromCoroutine(watch_all())
    handle, interrupts.handle = interrupts.handle, watching.cancel
    try:
        return await watching
    except CancelledError:
        return ExitCode.DONE  # by the user, while there was no connection
    finally:
        interrupts.handle = handle
        shown.leave()


async def _watch_one(
    client: ChatFileClient, view: View, clock: IReactorTime, shown: PlainWatch | WatchTable, interval: float
) -> None:
    """Show looks until the connection ends. Raises a `ChatFileError` then.

    A server that does not know for now who is connected to other nodes is asked again.
    """
    rates = Rates(client.name)
    noted = ""
    while True:
        try:
            rows = await client.status()
        except errors.Unavailable as error:
            if str(error) != noted:
                noted = str(error)
                shown.leave()
                view.note(noted)
        else:
            noted = ""
            shown.show(rates.look(rows, clock.seconds()), time.time())
        await deferLater(clock, interval)
