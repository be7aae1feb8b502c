"""The checks of the options for several nodes and their operators, which say in one line what is wrong."""

from __future__ import annotations

from importlib.util import find_spec

from twisted.python import usage

from chatfile.options.checks import check_endpoint, endpoint_description

METRICS_CONNECTIONS = 16
"""Connections that the port of `--metrics` has at once; each needs a descriptor."""


def checked_metrics(port: str | None) -> str | None:
    """Return the endpoint description of `--metrics`, or None without it. Raises UsageError."""
    if port is None:
        return None
    description = endpoint_description(port, option="metrics")
    check_endpoint(description, option="metrics")
    if find_spec("prometheus_client") is None:
        raise usage.UsageError("--metrics: needs what is not installed: pip install prometheus-client")
    return description
