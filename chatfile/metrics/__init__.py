"""The page of `--metrics`: `/metrics` for Prometheus, `/health` for a proxy, and `/` for people.

Imported behind the option alone. What is shown is read from the server when somebody asks. To show more, write a
class with the two methods of `MetricSource`, and give an instance of it to `MetricsService` as one of its `sources`;
then show its names in `deploy/grafana.json` and docs/server.md, as tests demand.
"""

from chatfile.metrics.nodes import CertificateSource, EngineSource
from chatfile.metrics.service import MetricsService
from chatfile.metrics.sources import MetricSource

__all__ = ["CertificateSource", "EngineSource", "MetricSource", "MetricsService"]
