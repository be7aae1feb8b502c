"""The names of the files on a server, for completion in a shell: within two seconds, and without any message."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred

from chatfile.cli.arguments import parse_arguments
from chatfile.cli.config import ClientConfig
from chatfile.cli.connecting import connected
from chatfile.cli.resolving import Resolver
from chatfile.cli.view import View
from chatfile.timeouts import use_monotonic_clock

_ABOUT_SERVERS = ("server", "cafile", "cert", "key")
_PATIENCE = 2.0
"""Seconds for which the user waits after a Tab, at most."""


def remote_names(options: Mapping[str, str]) -> list[str]:
    """Return the names of the files on the server to which `options` and the environment lead.

    Returns none where that fails or takes longer than two seconds. Raises SystemExit where `options` are wrong.
    """
    arguments = [f"--{name}={options[name]}" for name in _ABOUT_SERVERS if name in options]
    config = parse_arguments([*arguments, f"--timeout={_PATIENCE:g}", "list"], os.environ)
    from twisted.internet import reactor as installed  # noqa: PLC0415 -- importing it installs it

    reactor: Any = installed  # it has more than one interface, and `run` takes more than they say
    use_monotonic_clock(reactor)
    reactor.installNameResolver(Resolver())
    names: list[str] = []

    def begin() -> None:
        listing = Deferred.fromCoroutine(_names(reactor, config)).addTimeout(_PATIENCE, reactor)
        listing.addCallbacks(names.extend, lambda _: None)
        listing.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run(installSignalHandlers=False)
    return names


async def _names(reactor: Any, config: ClientConfig) -> list[str]:
    client = await connected(config, reactor, View(as_json=False, quiet=True), wait=0)
    try:
        names = [row.name for row in await client.listing()]
        await client.exit()  # so that the seat is free when the user's command is run
    finally:
        client.abort()
    return names
