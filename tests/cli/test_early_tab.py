"""A Tab that is struck before the first listing has come."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from tests.support.hostile import GREET, Do, Hear, HostileServer, Send, Wait
from tests.support.processes import client_command
from tests.support.terminals import PROMPT, TAB, Terminal

ROWS = b"1 2026-11-22T12:00:00Z alpha-one\n1 2026-11-22T12:00:00Z alpha-two\n1 2026-11-22T12:00:00Z beta\n"


@pytest.mark.slow
@pytest.mark.parametrize(("typed", "seen"), [("get b", "eta"), ("get al", "alpha-"), ("get al", "alpha-two")])
@pytest_twisted.ensureDeferred
async def test_it_completes_the_line_when_that_comes(
    hostile: Callable[..., HostileServer], tmp_path: Path, typed: str, seen: str
) -> None:
    server = hostile([*GREET, Hear(b"list"), Wait(1), Send(b"LIST 3\n" + ROWS), Do.STALL])
    with Terminal(*client_command("-s", f"127.0.0.1:{server.port}"), folder=tmp_path) as terminal:
        await deferToThread(terminal.see, PROMPT)
        terminal.type(typed + TAB)
        await deferToThread(terminal.see, seen)
