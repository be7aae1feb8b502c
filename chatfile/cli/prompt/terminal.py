"""What a prompt needs of the process around it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator

from prompt_toolkit.application import create_app_session
from prompt_toolkit.output.plain_text import PlainTextOutput
from twisted.internet import asyncioreactor

from chatfile.cli.terminal import is_dumb, restore_on_signals

_UNDO = b"\x1b[J\x1b[?2004l\x1b[0m\x1b[?25h\r\n"
"""What is below goes, pastes are not marked any more, no colour, and a cursor (ECMA-48 and xterm's own)."""


@contextlib.contextmanager
def prepared() -> Iterator[None]:
    """The reactor is asyncio's, for that is what prompts run on; a terminal that obeys nothing is told nothing.

    Before anything imports `twisted.internet.reactor`, and around its run.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    is_plain = is_dumb()
    with create_app_session(output=PlainTextOutput(sys.stdout) if is_plain else None):
        restore_on_signals(b"\r\n" if is_plain else _UNDO)
        asyncioreactor.install(loop)
        yield
