"""Time can't be turned: intervals are measured by a clock that nobody sets, in the real programs on every reactor."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.pollreactor import PollReactor
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.threads import deferToThread

from chatfile.timeouts import use_monotonic_clock
from tests.support import ROOT
from tests.support.hostile import GREET, Do, Hear, HostileServer, Send, Step
from tests.support.processes import PATIENCE, ServerProcess, client_command, run_client
from tests.support.serving import sha256
from tests.support.terminals import ENTER, PROMPT, Terminal

HOUR = 3600
BACK_AND_FORTH = pytest.mark.parametrize("step", [-HOUR, HOUR], ids=["back", "forth"])
BACK_AND_SLOWLY_FORTH = pytest.mark.parametrize(
    "step", [-HOUR, pytest.param(HOUR, marks=pytest.mark.slow)], ids=["back", "forth"]
)
LIMIT = 0.4
"""Seconds of the limits that are tried."""


def stepping(step: int) -> dict[str, str]:
    """The environment of a process whose wall clock is set by so many seconds whenever it is looked at."""
    paths = [str(ROOT / "tests" / "support" / "wall_clock"), os.environ.get("PYTHONPATH", "")]
    return {"WALL_CLOCK_STEP": str(step), "PYTHONPATH": os.pathsep.join(filter(None, paths))}


@contextmanager
def taking(seconds: float) -> Iterator[None]:
    """What is within lasts so long, and not much longer."""
    began = time.monotonic()
    yield
    assert seconds <= time.monotonic() - began < PATIENCE / 2


# --- reactors ---


def asyncio_reactor() -> AsyncioSelectorReactor:
    return AsyncioSelectorReactor(asyncio.new_event_loop())


class Wall:
    """A clock that can be set."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture(params=[SelectReactor, PollReactor, EPollReactor, asyncio_reactor])
def reactor(request: pytest.FixtureRequest) -> Iterator[Any]:
    reactor = request.param()
    reactor.seconds = Wall()
    yield reactor
    reactor.removeAll()
    reactor.waker.connectionLost(None)
    if isinstance(reactor, EPollReactor):
        reactor._poller.close()
    if isinstance(reactor, AsyncioSelectorReactor):
        reactor._asyncioEventloop.close()


def calls_made(reactor: Any, *, before: Callable[[], object]) -> list[str]:
    """Those of which the last was due, when all have been scheduled, `before()` was called, and time has passed."""
    made: list[str] = []
    for seconds in (30, 0.01, 20, 0.02, 0.03):
        reactor.callLater(seconds, made.append, f"{seconds}")
    before()
    reactor.callLater(0.04, made.append, "end")
    deadline = time.monotonic() + PATIENCE
    while "end" not in made:
        assert time.monotonic() < deadline
        reactor.iterate(0.01)
    for call in reactor.getDelayedCalls():
        call.cancel()
    return made


@BACK_AND_FORTH
def test_all_that_a_reactor_has_scheduled_is_made_in_time(reactor: Any, step: int) -> None:
    wall = reactor.seconds

    def set_the_clock() -> None:
        reactor.iterate(0)
        use_monotonic_clock(reactor)
        use_monotonic_clock(reactor)
        wall.ahead += step

    assert calls_made(reactor, before=set_the_clock) == ["0.01", "0.02", "0.03", "end"]


# --- the server ---

REACTORS = ["epoll", *(pytest.param(other, marks=pytest.mark.slow) for other in ("poll", "select", "asyncio"))]
ON_EVERY_REACTOR = pytest.mark.parametrize("reactor", REACTORS)


@contextmanager
def serving(folder: Path, step: int, reactor: str, *options: str) -> Iterator[ServerProcess]:
    served = folder / "served"
    served.mkdir()
    (served / "big").write_bytes(bytes(30_000_000))
    with ServerProcess(served, *options, reactor=reactor, environment=stepping(step)) as server:
        yield server


@pytest.mark.slow
@ON_EVERY_REACTOR
@BACK_AND_FORTH
def test_clients_are_cut_when_it_is_time_and_not_before(tmp_path: Path, step: int, reactor: str) -> None:
    limits = [f"--{name}-timeout={LIMIT}" for name in ("idle", "line", "stall")]
    with serving(tmp_path, step, reactor, *limits) as server, taking(LIMIT):
        silent, trickling, stalled = server.greeted(), server.greeted(), server.connect(receive_buffer=4096)
        trickling.send(b"unfinished")
        stalled.send(b"get big\n")
        assert silent.line().startswith(b"ERROR timeout ")
        assert trickling.line().startswith(b"ERROR timeout ")
        server.log_until("Client03 left: stalled")


@pytest.mark.slow
@ON_EVERY_REACTOR
@BACK_AND_FORTH
def test_who_is_slow_within_the_limits_stays(tmp_path: Path, step: int, reactor: str) -> None:
    with serving(tmp_path, step, reactor, "-n9") as server, server.greeted() as silent, server.greeted() as slow:
        slow.send(b"sl")
        for _ in range(3):
            with server.greeted() as other:
                assert other.ask(b"hello") == b"hello ACK"
        slow.send(b"ow\n")
        assert slow.line() == b"slow ACK"
        assert silent.ask(b"hello") == b"hello ACK"


@pytest.mark.slow
@ON_EVERY_REACTOR
@BACK_AND_SLOWLY_FORTH
def test_a_drain_has_its_time(tmp_path: Path, step: int, reactor: str) -> None:
    with serving(tmp_path, step, reactor, f"--drain-timeout={LIMIT}") as server, server.greeted() as stuck:
        stuck.ask(b"get big")
        with taking(LIMIT):
            server.process.send_signal(signal.SIGTERM)
            assert server.ended() == -signal.SIGTERM


def test_times_that_are_shown_are_those_of_the_wall_clock(tmp_path: Path) -> None:
    with serving(tmp_path, -HOUR, "epoll") as server, server.greeted() as client:
        assert client.ask(b"status") == b"STATUS 1"
        came = time.strptime(client.line().split()[2].decode(), "%Y-%m-%dT%H:%M:%SZ")
        assert time.gmtime(time.time() - 365 * 24 * HOUR) < came < time.gmtime(time.time() - HOUR)


# --- the client ---


@contextmanager
def mute() -> Iterator[str]:
    """The address of a server for which the system accepts connections, and which says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.slow
@BACK_AND_SLOWLY_FORTH
def test_a_client_gives_up_in_time(tmp_path: Path, step: int) -> None:
    with mute() as address, taking(LIMIT):
        done = run_client(tmp_path, "-s", address, f"--timeout={LIMIT}", "list", environment=stepping(step))
    assert (done.returncode, done.stdout) == (3, b""), done.stderr


AS_A_LIBRARY = """
import sys
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from chatfile import errors
from chatfile.client import connect
from chatfile.timeouts import use_monotonic_clock

async def main():
    try:
        await connect("tcp:" + sys.argv[1], timeout=float(sys.argv[2]))
    except errors.NoGreeting:
        print("no greeting")

def begin(reactor):
    use_monotonic_clock(reactor)
    return Deferred.fromCoroutine(main())

react(begin)
"""


@pytest.mark.slow
@BACK_AND_FORTH
def test_a_program_of_somebody_else_can_have_that_clock_too(tmp_path: Path, step: int) -> None:
    with mute() as address, taking(LIMIT):
        done = subprocess.run(
            [sys.executable, "-c", AS_A_LIBRARY, address, f"{LIMIT}"], cwd=tmp_path, capture_output=True,
            timeout=PATIENCE, check=False, env={**os.environ, **stepping(step)},
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, b"no greeting\n"), done.stderr


@pytest.mark.slow
@BACK_AND_FORTH
def test_a_client_waits_for_a_full_server_as_long_as_it_is_told(tmp_path: Path, step: int) -> None:
    (tmp_path / "served").mkdir()
    with ServerProcess(tmp_path / "served", "-n", "1") as server, server.greeted(), taking(LIMIT):
        address = f"127.0.0.1:{server.port}"
        done = run_client(tmp_path, "-s", address, f"--wait={LIMIT}", "list", environment=stepping(step))
    assert done.returncode == 4


@pytest.mark.slow
@BACK_AND_FORTH
@pytest_twisted.ensureDeferred
async def test_the_rate_that_is_shown_is_the_one_that_is_measured(
    hostile: Callable[..., HostileServer], tmp_path: Path, step: int
) -> None:
    content = bytes(1_500_000)
    file = b"FILE %d 2026-11-22T12:00:00Z a\n%sEND %s\n" % (len(content), content, sha256(content))
    slowly: list[Step] = [Hear(b"get a"), Send(file, piece=100_000, pause=0.1), Hear(b"exit"), Send(b"BYE Client01\n")]
    address = f"127.0.0.1:{hostile([*GREET, *slowly, Do.CLOSE]).port}"
    done = await deferToThread(run_client, tmp_path, "-s", address, "--json", "get", "a", environment=stepping(step))
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    rates = [event["rate"] for event in events if event.get("event") == "progress" and event["rate"] is not None]
    assert rates
    assert all(100_000 < rate < 10_000_000 for rate in rates), rates


@pytest.mark.slow
@BACK_AND_FORTH
def test_watch_looks_again_when_it_is_time(tmp_path: Path, step: int) -> None:
    (tmp_path / "served").mkdir()
    with ServerProcess(tmp_path / "served") as server:
        command = client_command("-s", f"127.0.0.1:{server.port}", "--json", "watch", "--interval", "0.2")
        environment = {**os.environ, **stepping(step)}
        with taking(0.4), subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as watching:
            assert watching.stdout is not None
            looks = [json.loads(watching.stdout.readline()) for _ in range(3)]
            watching.send_signal(signal.SIGINT)
            assert watching.wait(PATIENCE) == 0
    assert [[each["name"] for each in look["clients"]] for look in looks] == [["Client01"]] * 3


@pytest.mark.slow
@BACK_AND_SLOWLY_FORTH
def test_the_prompt_gives_a_server_up_in_time(tmp_path: Path, step: int) -> None:
    (tmp_path / "served").mkdir()
    with ServerProcess(tmp_path / "served") as server:
        command = client_command("-s", f"127.0.0.1:{server.port}", "--timeout=1")
        with Terminal(*command, folder=tmp_path, **stepping(step)) as terminal:
            terminal.see(PROMPT)
            terminal.type("hello" + ENTER)
            terminal.see("hello ACK")
            terminal.see(PROMPT)
            server.process.send_signal(signal.SIGSTOP)
            with taking(1):
                terminal.type("and on" + ENTER)
                terminal.see("Connect again")
            server.process.send_signal(signal.SIGCONT)
            terminal.type("n" + ENTER)
            assert terminal.ended() == 6
