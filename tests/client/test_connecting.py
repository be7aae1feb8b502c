"""What is said while a server lets us wait, and how the waiting ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock

from chatfile import errors
from chatfile.cli.arguments import parse_arguments
from chatfile.cli.connecting import connected
from chatfile.cli.view import View
from chatfile.client import ChatFileClient, connect
from tests.support.hostile import Do, HostileServer, Send
from tests.support.talking import result_of


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


@pytest_twisted.ensureDeferred
async def test_a_full_server_is_waited_for_though_nobody_can_be_told(
    hostile: Callable[..., HostileServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    from twisted.internet import reactor

    server = hostile([Send(b"ERROR full No seat.\n"), Do.CLOSE])
    monkeypatch.setattr("sys.stdout", None)
    arguments, view = parse_arguments(["-s", f"127.0.0.1:{server.port}", "--wait=0.3"]), View(as_json=True, quiet=False)
    with pytest.raises(errors.Full):
        await connected(arguments, IReactorTime(reactor), view, wait=arguments.wait)
    assert len(server.connections) > 1


def unanswered(clock: MemoryReactorClock, timeout: float) -> Deferred[ChatFileClient]:
    endpoint = TCP4ClientEndpoint(clock, "192.0.2.1", 5000)
    return Deferred.fromCoroutine(connect(endpoint, timeout=timeout, clock=clock))


@pytest.mark.parametrize("timeout", [0, 60])
def test_an_attempt_that_is_cancelled_is_no_failure_of_the_server(timeout: float) -> None:
    clock = MemoryReactorClock()
    waiting = unanswered(clock, timeout)
    waiting.cancel()
    assert isinstance(result_of(waiting), CancelledError)
    assert clock.getDelayedCalls() == []


def test_a_host_that_does_not_answer_is_told_of_in_words() -> None:
    clock = MemoryReactorClock()
    waiting = unanswered(clock, 5)
    clock.advance(5)
    error = result_of(waiting)
    assert (type(error), error.why) == (errors.NoConnection, "no answer for 5 s")
