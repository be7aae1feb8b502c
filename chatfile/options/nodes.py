"""The checks of the options for several nodes and their operators, which say in one line what is wrong."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import MutableMapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from twisted.python import usage

from chatfile.options.checks import RESERVED_DESCRIPTORS, check_endpoint, endpoint_description

if TYPE_CHECKING:
    from chatfile.cluster import EngineAddress
    from chatfile.server.proxied import TrustedProxies

DEFAULT_CLUSTER = "chatfile"
DEFAULT_LEASE = 10
"""Seconds."""
LEAST_LEASE = 1.0
"""Seconds; a node calls each third of a lease, and a call may take some time."""
LONGEST_LEASE = 3600.0
METRICS_CONNECTIONS = 16
"""Connections that the port of `--metrics` has at once; each needs a descriptor."""


def node_capacity(max_clients: int) -> int:
    """Return how many clients of a cluster this process can have: all, or what its limit of descriptors allows."""
    from chatfile.server import MAX_UNSEATED  # noqa: PLC0415 -- --help does not need it

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return max_clients
    return max(1, min(max_clients, limit - RESERVED_DESCRIPTORS - METRICS_CONNECTIONS - 2 * MAX_UNSEATED))


def _lease(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) or not LEAST_LEASE <= float(text) <= LONGEST_LEASE:
        raise usage.UsageError(
            f"--lease: {text!r} is not a number of seconds from {LEAST_LEASE:g} to {LONGEST_LEASE:g}"
        )
    return float(text)


def checked_cluster(options: MutableMapping[str, Any]) -> EngineAddress | None:
    """Return where the engine of the cluster is, or None without `--cluster`. Raises UsageError.

    Nothing of its URL is repeated, for it may hold a password.
    """
    if options["cluster"] is None:
        for option, default in (("cluster-name", DEFAULT_CLUSTER), ("lease", DEFAULT_LEASE)):
            if options[option] != default:
                raise usage.UsageError(f"--{option}: that is a matter of several nodes, and wants --cluster too")
        return None
    if options["waiting"]:
        raise usage.UsageError("--waiting: nodes of a cluster have no waiting line in common; leave it out")
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", str(options["cluster-name"])):
        raise usage.UsageError("--cluster-name: it should be up to 64 letters, digits, and . _ -")
    options["lease"] = _lease(str(options["lease"]))
    try:
        from chatfile.cluster import read_engine_address  # noqa: PLC0415 -- only behind its option
    except ImportError as error:
        what = f"it needs what is not installed: pip install {error.name}"
        raise usage.UsageError(f"--cluster: {what}") from error
    try:
        return read_engine_address(options["cluster"])
    except OSError as error:
        path = options["cluster"][1:]
        raise usage.UsageError(f"--cluster: can't read {path!r}: {os.strerror(error.errno or 0)}") from error
    except ValueError as error:
        raise usage.UsageError(f"--cluster: {error}") from error


_BARE = re.compile(r"(tcp6?|unix|systemd):")
"""Matches an endpoint description whose connections begin with the peer's own first byte."""


def trusted_proxies(text: str | None, endpoints: Sequence[str]) -> TrustedProxies | None:
    """Return the proxies that `text` names, or None without it. Raises UsageError.

    An empty text is an error: a script with an unset variable must not open a port to everyone.
    """
    if text is None:
        return None
    for description in endpoints:
        if not _BARE.match(description):
            raise usage.UsageError(
                f"--proxy-protocol-from: at {description!r} something else would read what a proxy sends first; give a "
                "port of tcp:, unix: or systemd:, and a --certificate for TLS"
            )
    try:
        from chatfile.server.proxied import TrustedProxies  # noqa: PLC0415 -- only behind its option

        return TrustedProxies.parse(text)
    except ImportError as error:
        raise usage.UsageError(
            "--proxy-protocol-from: it needs what is not installed: pip install proxy-protocol"
        ) from error
    except ValueError as error:
        raise usage.UsageError(f"--proxy-protocol-from: {error}") from error


def checked_metrics(port: str | None) -> str | None:
    """Return the endpoint description of `--metrics`, or None without it. Raises UsageError."""
    if port is None:
        return None
    description = endpoint_description(port, option="metrics")
    check_endpoint(description, option="metrics")
    if find_spec("prometheus_client") is None:
        raise usage.UsageError("--metrics: needs what is not installed: pip install prometheus-client")
    return description
