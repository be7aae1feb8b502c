"""What every test has around it."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.talking import Talk

# How long an example takes says nothing on a busy machine.
settings.register_profile("chatfile", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("chatfile")


def _is_a(item: pytest.Item, base: type) -> bool:
    cls = getattr(item, "cls", None)
    return cls is not None and issubclass(cls, base)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Trial spins the reactor itself, which can't be done once pytest-twisted keeps it running: trial goes first."""
    items.sort(key=lambda item: not _is_a(item, TestCase))


def pytest_collection_finish() -> None:
    """What was imported stays: the collection behind each test need not look at it again."""
    gc.collect()
    gc.freeze()


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
    globalLogPublisher.removeObserver(observe)
    assert not errors, errors


@pytest.fixture
def talk() -> Talk:
    return Talk().greet()


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "sink", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)
