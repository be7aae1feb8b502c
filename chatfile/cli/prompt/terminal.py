"""What a prompt needs of the process around it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
from collections.abc import Iterator
from types import FrameType

from prompt_toolkit.application import create_app_session
from prompt_toolkit.output.plain_text import PlainTextOutput
from twisted.internet import asyncioreactor

from chatfile.cli.progress import is_dumb

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
        _obey_signals(b"\r\n" if is_plain else _UNDO)
        asyncioreactor.install(loop)
        yield


def _obey_signals(undo: bytes) -> None:
    """Whatever ends or stops the program from outside leaves a terminal that can be used; `undo` is written to it."""
    usual, shown_on = termios.tcgetattr(sys.stdin), sys.stdout.fileno()

    def end(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        with contextlib.suppress(termios.error, OSError):  # the terminal may have gone with its window
            termios.tcsetattr(sys.stdin, termios.TCSANOW, usual)
            os.write(shown_on, undo)  # not by the stream: it may be amid a write
        signal.raise_signal(number)

    def stop(number: int, _: FrameType | None) -> None:
        ours = termios.tcgetattr(sys.stdin)
        signal.signal(number, signal.SIG_DFL)
        termios.tcsetattr(sys.stdin, termios.TCSANOW, usual)  # not every shell does that itself
        signal.raise_signal(number)
        signal.signal(number, stop)
        termios.tcsetattr(sys.stdin, termios.TCSANOW, ours)

    for number, act in ((signal.SIGTERM, end), (signal.SIGHUP, end), (signal.SIGQUIT, end), (signal.SIGTSTP, stop)):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup has it ignored
            signal.signal(number, act)
