"""What every test has around it."""

import encodings.idna  # noqa: F401 -- or a name that is looked up in a thread has it read amid a test
import faulthandler
import functools
import gc
import importlib.metadata
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import pytest
import pytest_timeout
import pytest_twisted
from hypothesis import HealthCheck, settings
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogBeginner, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.support import forked, leftovers
from tests.support.faulty_path import Fault, FaultyPath
from tests.support.hostile import HostileServer, Step
from tests.support.processes import hear_signals
from tests.support.talking import Talk

# Our programs are started a few hundred times: nobody wants to compile them each time, whatever the environment says.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Pytest asks around every test which version of Twisted there is: it need not read that from the disk.
importlib.metadata.version = functools.cache(importlib.metadata.version)

# How long an example takes says nothing on a busy machine. Each run draws other ones, so that few do for one that is
# made often.
for profile, examples in (("chatfile", 30), ("thorough", 300)):
    settings.register_profile(
        profile, max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
settings.load_profile("chatfile")


def _is_a(item: pytest.Item, base: type) -> bool:
    cls = getattr(item, "cls", None)
    return cls is not None and issubclass(cls, base)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One more than there are processors, for many tests wait; none for what is named: it is over before they start."""
    return 0 if config.args_source is pytest.Config.ArgsSource.ARGS else (os.cpu_count() or 1) + 1


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Trial spins the reactor itself, which can't be done once pytest-twisted keeps it running: trial goes first."""
    items.sort(key=lambda item: not _is_a(item, TestCase))


def pytest_configure() -> None:
    hear_signals()
    # Until it has somewhere to go, the log is kept in memory, with everything that its events speak of.
    globalLogBeginner.beginLoggingTo([], discardBuffer=True, redirectStandardIO=False)


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: pytest_timeout.Settings) -> bool:
    """A test that hangs ends the run: an error that is raised while the reactor waits would be logged there, no more.

    It is a signal, for a thread of ours would not get its turn amid a regular expression.
    """

    def end(*_: object) -> None:
        if capture := item.config.pluginmanager.getplugin("capturemanager"):
            capture.suspend_global_capture(in_=True)
            sys.stderr.writelines(capture.read_global_capture())
        faulthandler.dump_traceback()
        sys.stderr.write(f"\n{item.nodeid} has not ended within {settings.timeout:g} s\n")
        sys.stderr.flush()
        leftovers.kill_processes()
        os._exit(1)

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, settings.timeout)
    item.cancel_timeout = lambda: signal.setitimer(signal.ITIMER_REAL, 0)  # type: ignore[attr-defined]
    return True


def pytest_collection_finish() -> None:
    """What was imported stays: the collection behind each test need not look at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def forked_programs() -> Iterator[None]:
    forked.begin()
    yield
    forked.end()


@pytest.fixture(autouse=True)
def logged_errors(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Fail a test that left an error in the log; trial's own classes do that themselves.

    A test that expects an error looks at the list and then clears it.
    """
    errors: list[str] = []
    if _is_a(request.node, SynchronousTestCase):
        yield errors
        return

    def observe(event: LogEvent) -> None:
        if event.get("log_level") in (LogLevel.error, LogLevel.critical):
            errors.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield errors
    gc.collect()  # an unhandled error of a Deferred is logged when that is collected
    gc.freeze()  # what stays is not looked at again
    globalLogPublisher.removeObserver(observe)
    assert not errors, errors


def _turn_of_the_reactor() -> Deferred[None]:
    from twisted.internet import reactor

    return deferLater(reactor, 0)


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest, logged_errors: list[str]) -> Iterator[None]:  # then the log is judged
    if not _is_a(request.node, SynchronousTestCase):
        pytest_twisted.blockon(_turn_of_the_reactor())  # what it takes from the system itself, it has from here on
    with leftovers.nothing_left():
        yield


@pytest.fixture
def talk() -> Talk:
    return Talk().greet()


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "sink", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


@pytest_twisted.async_yield_fixture
async def hostile() -> AsyncIterator[Callable[..., HostileServer]]:
    """Start a server that goes through the scripts that it is given."""
    from twisted.internet import reactor

    servers: list[HostileServer] = []

    def start(*scripts: Sequence[Step]) -> HostileServer:
        servers.append(HostileServer(reactor, *scripts))
        return servers[-1]

    yield start
    for server in servers:
        await server.end()


@pytest_twisted.async_yield_fixture
async def faulty_path() -> AsyncIterator[Callable[..., FaultyPath]]:
    """Open a path to a port, with the faults that it is given."""
    from twisted.internet import reactor

    paths: list[FaultyPath] = []

    def start(target: int, *, down: Sequence[Fault] = (), up: Sequence[Fault] = ()) -> FaultyPath:
        paths.append(FaultyPath(reactor, target, down=down, up=up))
        return paths[-1]

    yield start
    for path in paths:
        await path.end()
