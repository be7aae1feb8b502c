"""What a prompt needs of the process around it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import termios
from collections.abc import Iterator
from types import FrameType

from prompt_toolkit.application import AppSession, create_app_session
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
    with create_app_session(output=PlainTextOutput(sys.stdout) if is_dumb_terminal() else None) as session:
        _obey_signals(session)
        asyncioreactor.install(loop)
        yield


def _obey_signals(session: AppSession) -> None:
    """Whatever ends or stops the program from outside leaves a terminal that can be used."""
    usual = termios.tcgetattr(sys.stdin)

    def end(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        with contextlib.suppress(termios.error, OSError):  # the terminal may have gone with its window
            termios.tcsetattr(sys.stdin, termios.TCSANOW, usual)
            _give_back(session)
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


def _give_back(session: AppSession) -> None:
    if session.app is not None:
        session.app.renderer.erase()  # the toolbar, too
    output = session.output
    output.disable_bracketed_paste()
    output.reset_attributes()
    output.show_cursor()
    output.write_raw("\r\n")
    output.flush()
