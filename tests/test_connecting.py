"""What is said while a server lets us wait for its greeting."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from chatfile import errors
from chatfile.cli.arguments import parse_arguments
from chatfile.cli.session import connected
from chatfile.cli.views import View
from chatfile.client import ChatFileClient
from tests.hostile import Do, HostileServer


def connecting(server: str, clock: Clock) -> Deferred[ChatFileClient]:
    view = View(as_json=False, quiet=False)
    return Deferred.fromCoroutine(connected(parse_arguments(["-s", server]), clock, view, wait=0))


@pytest.mark.parametrize(("scheme", "is_hinted"), [("", True), ("tls:", False)])
@pytest_twisted.ensureDeferred
async def test_a_silent_server_is_told_of_after_a_moment(
    hostile: Callable[..., HostileServer], capsys: pytest.CaptureFixture[str], scheme: str, is_hinted: bool
) -> None:
    address, clock = f"{scheme}127.0.0.1:{hostile([Do.STALL]).port}", Clock()
    waiting = connecting(address, clock)
    assert capsys.readouterr().err == ""
    clock.advance(3)
    _, is_named, said = capsys.readouterr().err.partition(address)
    assert (bool(is_named), "tls:" in said) == (True, is_hinted)
    waiting.cancel()
    with pytest.raises((CancelledError, errors.NoConnection)):
        await waiting
    assert clock.getDelayedCalls() == []
