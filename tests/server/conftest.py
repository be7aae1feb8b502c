from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.logger import LogEvent, globalLogPublisher

from chatfile.server import small_files


@pytest.fixture
def no_file_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send each file, however small, as the large ones are: in pieces, and hashed beside that."""
    monkeypatch.setattr(small_files, "SMALL", -1)


@pytest.fixture
def cold_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a file is in memory before a thread has read it."""
    monkeypatch.setattr("chatfile.sending.copying.read_cached", lambda *_: 0)


@pytest.fixture
def told() -> Iterator[list[LogEvent]]:
    """What the log tells of clients."""
    events: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if "event" in event:
            events.append(event)

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)
