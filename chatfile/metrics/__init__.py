"""The page of `--metrics`: `/metrics` for Prometheus, `/health` for a proxy, and `/` for people.

Imported behind the option alone. What is shown is read from the server when somebody asks. To show more, write a
class with the two methods of `Source`, and give an instance of it to `MetricsService` as one of its `sources`.
"""

from chatfile.metrics.lag import ReactorLag
from chatfile.metrics.service import MetricsService
from chatfile.metrics.sources import DiskSource, ServerSource, Source

__all__ = ["DiskSource", "MetricsService", "ReactorLag", "ServerSource", "Source"]
