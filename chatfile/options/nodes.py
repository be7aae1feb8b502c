"""The checks of the options for several nodes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from twisted.python import usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatfile.server.proxied import TrustedProxies

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
            f"--proxy-protocol-from: it needs what is not installed ({error.name}): pip install chatfile[cluster]"
        ) from error
    except ValueError as error:
        raise usage.UsageError(f"--proxy-protocol-from: {error}") from error
