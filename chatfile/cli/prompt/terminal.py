"""What a prompt needs of the process around it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator

from prompt_toolkit.application import create_app_session
from prompt_toolkit.output.plain_text import PlainTextOutput
from prompt_toolkit.utils import is_dumb_terminal
from twisted.internet import asyncioreactor


@contextlib.contextmanager
def prepared() -> Iterator[None]:
    """The reactor is asyncio's, for that is what prompts run on; a terminal that obeys nothing is told nothing.

    Before anything imports `twisted.internet.reactor`, and around its run.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    with create_app_session(output=PlainTextOutput(sys.stdout) if is_dumb_terminal() else None):
        asyncioreactor.install(loop)
        yield
