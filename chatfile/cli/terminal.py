"""The abilities of a terminal, and its restoration when a signal ends or stops the program."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import termios
from types import FrameType
from typing import TextIO


def is_drawable(stream: TextIO | None) -> bool:
    """Tell whether `stream` is a terminal that can move its cursor, so that lines can be drawn again in their place."""
    return stream is not None and stream.isatty() and not is_dumb()


def is_dumb() -> bool:
    """Tell whether the terminal, by the variable TERM, can't move its cursor."""
    return os.environ.get("TERM", "").lower() in ("", "dumb", "unknown")


def window_size(stream: TextIO | None) -> os.terminal_size:
    """Return the size of the window in which the terminal `stream` is; 80 columns and 24 lines where nobody tells."""
    try:
        size = os.get_terminal_size(stream.fileno()) if stream is not None else os.terminal_size((0, 0))
    except (OSError, ValueError):  # it is no terminal, or closed
        size = os.terminal_size((0, 0))
    return size if all(size) else shutil.get_terminal_size()


def is_coloured() -> bool:
    """Tell whether text on the terminal may be bold or coloured: it has to be able to, and NO_COLOR must not be set."""
    return not is_dumb() and not os.environ.get("NO_COLOR")


def is_in_foreground(descriptor: int) -> bool:
    """Tell whether this process may read and change the terminal: one in the background is stopped where it tries."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:  # the terminal has gone, or belongs to another session
        return False


def restore_on_signals(undo: bytes) -> None:
    """Let signals that end or stop the program restore the terminal first.

    Its settings become those that it has now; before the end, `undo` is written to it.
    """
    usual, shown_on = termios.tcgetattr(sys.stdin), sys.stdout.fileno()

    def end(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        with contextlib.suppress(termios.error, OSError):  # the terminal may have gone with its window
            termios.tcsetattr(sys.stdin, termios.TCSANOW, usual)
            os.write(shown_on, undo)  # not by the stream, which may be in the middle of a write
        signal.raise_signal(number)

    def stop(number: int, _: FrameType | None) -> None:
        ours = termios.tcgetattr(sys.stdin)
        signal.signal(number, signal.SIG_DFL)
        termios.tcsetattr(sys.stdin, termios.TCSANOW, usual)  # not every shell does that itself
        signal.raise_signal(number)
        signal.signal(number, stop)
        if is_in_foreground(sys.stdin.fileno()):
            termios.tcsetattr(sys.stdin, termios.TCSANOW, ours)

    for number, act in ((signal.SIGTERM, end), (signal.SIGHUP, end), (signal.SIGQUIT, end), (signal.SIGTSTP, stop)):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup, for one, ignores it
            signal.signal(number, act)
