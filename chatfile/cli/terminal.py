"""What a terminal can do, and that it is given back as it was, whatever ends or stops the program."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
from types import FrameType
from typing import TextIO


def is_drawable(stream: TextIO | None) -> bool:
    """Tell whether what is on `stream` can be drawn anew: it is a terminal that can move its cursor."""
    return stream is not None and stream.isatty() and not is_dumb()


def is_dumb() -> bool:
    """Tell whether nobody knows of a terminal that it could draw."""
    return os.environ.get("TERM", "").lower() in ("", "dumb", "unknown")


def is_coloured() -> bool:
    """Tell whether text on a terminal may be bold or in colours: the user may not want it (NO_COLOR)."""
    return not is_dumb() and not os.environ.get("NO_COLOR")


def is_in_foreground(descriptor: int) -> bool:
    """Tell whether the terminal is ours to read and to change: it stops a job in the background that tries."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:  # it has gone, or is that of another session
        return False


def restore_on_signals(undo: bytes) -> None:
    """Let whatever ends or stops the program from outside leave a terminal that can be used.

    Its settings become those of now; `undo` is written to it before the end.
    """
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
        if is_in_foreground(sys.stdin.fileno()):
            termios.tcsetattr(sys.stdin, termios.TCSANOW, ours)

    for number, act in ((signal.SIGTERM, end), (signal.SIGHUP, end), (signal.SIGQUIT, end), (signal.SIGTSTP, stop)):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup has it ignored
            signal.signal(number, act)
