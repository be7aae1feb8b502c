"""The sources of what is shown: each tells what one part of the server knows, at the moment at which it is asked.

Names follow https://prometheus.io/docs/practices/naming/. No label has a value that comes from a stranger, such as a
name, an address or a file: its values are of a fixed set, all of which are there from the start, so that the first
event of a kind is an increase as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from chatfile.disk import LaneLoad
from chatfile.server import Activity

Fact = tuple[str, str]
"""The name of something that people want to see, and its value, in words."""


class MetricSource(Protocol):
    """Knows something of the server that can be shown."""

    def families(self) -> Iterator[Metric]:
        """Yield what it knows at this moment, for `/metrics`."""

    def facts(self) -> Iterator[Fact]:
        """Yield what people should see of it on the page, as it is at this moment."""


class SourceCollector:
    """Gives `prometheus_client` what the sources know, without keeping any of it."""

    def __init__(self, sources: list[MetricSource]) -> None:
        """Collect from `sources`, in this order."""
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        """Ask every source."""
        for source in self._sources:
            yield from source.families()


def make_registry(sources: list[MetricSource]) -> CollectorRegistry:
    """Return a registry of what `sources` know."""
    registry = CollectorRegistry()
    registry.register(SourceCollector(sources))
    return registry


def make_process_registry() -> CollectorRegistry:
    """Return a registry of what the library knows of this process; it may be asked in any thread."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


def labelled(family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[str, float]) -> Metric:
    """Return `family`, which has one label, with the value for each value of the label."""
    for label, value in values.items():
        family.add_metric([label], value)
    return family


class ServerSource:
    """Knows the seats, the clients and what they are sent."""

    def __init__(
        self,
        activity: Callable[[], Activity],
        *,
        seats: int,
        places: int,
        version: str,
        is_draining: Callable[[], bool],
    ) -> None:
        """Show the `activity` of a server with so many `seats`, and `places` in its waiting line (0: it has none)."""
        self._activity = activity
        self._seats = seats
        self._places = places
        self._version = version
        self._is_draining = is_draining

    def families(self) -> Iterator[Metric]:
        """See `MetricSource`."""
        yield InfoMetricFamily("chatfile_build", "The version that runs.", {"version": self._version})
        yield GaugeMetricFamily(
            "chatfile_draining", "Whether the server is going down: 1 from SIGTERM on.", self._is_draining()
        )
        activity = self._activity()
        yield from self._now(activity)
        yield from _clients_so_far(activity)
        yield from _files_so_far(activity)

    def _now(self, activity: Activity) -> Iterator[Metric]:
        yield GaugeMetricFamily("chatfile_seats_limit", "Clients that may have a seat at once.", self._seats)
        yield GaugeMetricFamily("chatfile_seats_taken", "Clients of this server that have a seat.", activity.seated)
        if self._places:
            yield GaugeMetricFamily("chatfile_places_limit", "Clients that may wait in the line at once.", self._places)
            yield GaugeMetricFamily("chatfile_places_taken", "Clients that wait in the line.", activity.waiting)
        yield GaugeMetricFamily(
            "chatfile_connections_unseated",
            "Open connections with neither a seat nor a place in the line.",
            activity.unseated,
        )
        yield GaugeMetricFamily("chatfile_transfers_in_progress", "Files that are being sent.", activity.transfers)

    def facts(self) -> Iterator[Fact]:
        """See `MetricSource`: the page shows the rest in its own way."""
        activity = self._activity()
        yield "Admitted", f"{activity.admitted:,}"
        yield "Files sent", f"{activity.sent_files:,}"
        yield "Being sent", f"{activity.transfers:,}"
        if self._places:
            yield "Waiting", f"{activity.waiting:,} of {self._places:,}"
        yield "Without a seat", f"{activity.unseated:,}"
        if activity.cut or activity.faults:
            yield "Transfers cut, faults", f"{activity.cut:,}, {activity.faults:,}: see the log"


def _clients_so_far(activity: Activity) -> Iterator[Metric]:
    yield CounterMetricFamily("chatfile_admitted_total", "Clients that were given a seat.", activity.admitted)
    refused = CounterMetricFamily("chatfile_refused_total", "Connections that were refused, and why.", labels=["code"])
    yield labelled(refused, activity.refused)
    left = CounterMetricFamily("chatfile_left_total", "Clients that left, and why.", labels=["reason"])
    yield labelled(left, {reason.name.lower(): count for reason, count in activity.left.items()})


def _files_so_far(activity: Activity) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "chatfile_sent_bytes_total", "Bytes of files that were sent to clients.", activity.sent_bytes
    )
    yield CounterMetricFamily("chatfile_sent_files_total", "Files that were sent to their end.", activity.sent_files)
    yield CounterMetricFamily(
        "chatfile_transfers_cut_total",
        "Transfers that were reset for a reason of the server's, such as a file that got shorter.",
        activity.cut,
    )
    yield CounterMetricFamily(
        "chatfile_faults_total", "Faults of the server's own; the log has a traceback.", activity.faults
    )


class DiskSource:
    """Knows which calls wait for the disk, and which hang."""

    def __init__(self, loads: Callable[[], dict[str, LaneLoad]]) -> None:
        """Show the load of each lane."""
        self._loads = loads

    def families(self) -> Iterator[Metric]:
        """See `MetricSource`."""
        loads = self._loads()
        for name, meaning, value in _OF_A_LANE:
            family = GaugeMetricFamily(f"chatfile_disk_{name}", meaning, labels=["lane"])
            yield labelled(family, {lane: value(load) for lane, load in loads.items()})

    def facts(self) -> Iterator[Fact]:
        """See `MetricSource`."""
        loads = self._loads().values()
        waiting = sum(each.waiting for each in loads)
        yield "Disk calls", f"{sum(each.under_way for each in loads):,} ({waiting:,} waiting)"
        if hung := sum(each.hung for each in loads):
            oldest = max(each.oldest_call for each in loads)
            yield "Hung disk calls", f"{hung:,}, the oldest for {oldest:,.0f} s"


_OF_A_LANE: tuple[tuple[str, str, Callable[[LaneLoad], float]], ...] = (
    ("calls_waiting", "Calls to the disk that have not begun.", lambda load: load.waiting),
    ("calls_in_progress", "Calls to the disk that are made for somebody.", lambda load: load.under_way),
    ("calls_hung", "Calls to the disk that nobody waits for, but which hold a thread.", lambda load: load.hung),
    ("oldest_wait_seconds", "Time for which a call has waited that has not begun.", lambda load: load.oldest_wait),
    ("oldest_call_seconds", "Time that a call has taken so far, hung ones too.", lambda load: load.oldest_call),
)
