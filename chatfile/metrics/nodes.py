"""What is shown of a node of a cluster, and of its certificate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from chatfile.metrics.sources import Fact


class EngineState(Protocol):
    """The engine at which the nodes count their clients, as this node sees it."""

    name: str
    is_joined: bool
    joins: int

    @property
    def reason(self) -> str:
        """Return why it is away."""


class AnswerTimes(Protocol):
    """How long questions took, in seconds."""

    total: float

    def cumulative(self) -> list[tuple[str, int]]:
        """Return how many took at most so many seconds, from few to many; the last is `+Inf`."""


class EngineSource:
    """Knows whether the engine is there, and how fast it answers."""

    def __init__(self, engine: EngineState, answers: AnswerTimes) -> None:
        """Show `engine`, and the times of its answers to admissions."""
        self._engine = engine
        self._answers = answers

    def families(self) -> Iterator[Metric]:
        """See `MetricSource`."""
        yield GaugeMetricFamily(
            "chatfile_engine_up", "Whether the engine is there, so that clients are let in.", self._is_up
        )
        yield CounterMetricFamily(
            "chatfile_engine_reconnects_total",
            "Connections to the engine after the first one.",
            max(self._engine.joins - 1, 0),
        )
        yield HistogramMetricFamily(
            "chatfile_admission_seconds",
            "Time that the engine took for its answer to an admission.",
            buckets=self._answers.cumulative(),
            sum_value=self._answers.total,
        )

    @property
    def _is_up(self) -> int:
        return int(self._engine.is_joined)

    def facts(self) -> Iterator[Fact]:
        """See `MetricSource`."""
        why = f": {self._engine.reason}" if self._engine.reason else ""
        yield f"Engine at {self._engine.name}", "there" if self._is_up else f"away{why}"


class CertificateSource:
    """Knows when the certificate ends that clients are shown."""

    def __init__(self, expires: Callable[[], float]) -> None:
        """Show its end, in seconds since 1970."""
        self._expires = expires

    def families(self) -> Iterator[Metric]:
        """See `MetricSource`."""
        yield GaugeMetricFamily(
            "chatfile_certificate_expiry_timestamp_seconds",
            "End of the certificate in use, or of one between it and its authority, in seconds since 1970.",
            self._expires(),
        )

    def facts(self) -> Iterator[Fact]:
        """See `MetricSource`."""
        yield "Certificate ends", f"{datetime.fromtimestamp(self._expires(), timezone.utc):%Y-%m-%d}"
