"""The prompt is drawn anew whatever the wall clock does, and however busy the loop is."""

from __future__ import annotations

import asyncio
import os
import sys
import time

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import DummyCompleter
from prompt_toolkit.history import DummyHistory
from prompt_toolkit.output import DummyOutput
from twisted.internet.task import Clock

from chatfile.cli.prompt.reader import Reader

TURNS = 100
"""Of the loop, in which anything that is not put off is done."""


async def redraws(reader: Reader) -> int:
    """How often a line is drawn that should be once more, in a loop that always has something to do."""
    loop = asyncio.get_running_loop()

    def busy() -> None:
        nonlocal handle
        handle = loop.call_soon(busy)

    handle = loop.call_soon(busy)
    application = reader._lines.app
    running = asyncio.ensure_future(application.run_async(handle_sigint=False, set_exception_handler=False))
    for _ in range(TURNS):
        await asyncio.sleep(0)
    before = application.render_counter
    application.invalidate()
    for _ in range(TURNS):
        await asyncio.sleep(0)
    drawn = application.render_counter - before
    handle.cancel()
    application.exit(result="")
    await running
    return drawn


def test_a_line_is_drawn_anew_though_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = os.openpty()
    with open(slave) as terminal, create_app_session(output=DummyOutput()):
        monkeypatch.setattr(sys, "stdin", terminal)
        reader = Reader(Clock(), DummyHistory(), DummyCompleter(), lambda: None)
        wall = iter(range(1_000_000, 0, -1))
        monkeypatch.setattr(time, "time", lambda: float(next(wall)))
        assert asyncio.run(redraws(reader)) == 1
    os.close(master)
