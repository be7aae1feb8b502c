"""The checks of the options for several nodes."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from twisted.python import usage

from chatfile.options.checks import RESERVED_DESCRIPTORS

if TYPE_CHECKING:
    from chatfile.cluster import EngineAddress

LEAST_LEASE = 1.0
"""Seconds; a node calls each third of a lease, and a call may take some time."""
LONGEST_LEASE = 3600.0


def node_capacity(max_clients: int) -> int:
    """Return how many clients of a cluster this process can have: all, or what its limit of descriptors allows."""
    from chatfile.server import MAX_UNSEATED  # noqa: PLC0415 -- --help does not need it

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return max_clients
    return max(1, min(max_clients, limit - RESERVED_DESCRIPTORS - 2 * MAX_UNSEATED))


def checked_cluster(options: MutableMapping[str, Any]) -> EngineAddress | None:
    """Return where the engine of the cluster is, or None without `--cluster`. Raises UsageError.

    Nothing of its URL is repeated, for it may hold a password.
    """
    if options["cluster"] is None:
        return None
    if options["waiting"]:
        raise usage.UsageError("--waiting: nodes of a cluster have no waiting line in common; leave it out")
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", str(options["cluster-name"])):
        raise usage.UsageError("--cluster-name: it should be up to 64 letters, digits, and . _ -")
    if not LEAST_LEASE <= options["lease"] <= LONGEST_LEASE:
        raise usage.UsageError(f"--lease: it should be from {LEAST_LEASE:g} to {LONGEST_LEASE:g} seconds")
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
