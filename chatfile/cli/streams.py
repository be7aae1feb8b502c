"""Standard input, output and error: made ready at the start, and checked for a reader at the end."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import sys
from typing import TextIO

from chatfile.cli.exits import ExitCode
from chatfile.cli.outlets import drain

_STANDARD = (0, 1, 2)
_A_MOMENT = 0.05
"""Seconds in which a program that has read all it wants, such as `head -1`, has ended."""


def prepare() -> None:
    """Let the standard streams take any text, and open closed ones, so that no file of ours gets their descriptors."""
    for descriptor in _STANDARD:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    for stream in (sys.stdout, sys.stderr):
        if not hasattr(stream, "reconfigure"):
            continue
        os.set_blocking(stream.fileno(), True)  # another program may have changed that, and then text is lost
        if stream is sys.stdout and not stream.isatty():  # for programs: names byte for byte
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
        else:  # text that the locale can't show is escaped
            stream.reconfigure(errors="backslashreplace")


def is_unread(stream: TextIO | None, patience: float = 0) -> bool:
    """Tell whether `stream` is a pipe or a socket that nobody reads any more; wait `patience` seconds for that."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # it is closed, or has no descriptor
        descriptor = stream.fileno()  # type: ignore[union-attr]
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
            poll = select.poll()
            poll.register(descriptor, 0)  # an error, or a hang-up, is always reported
            return bool(poll.poll(patience * 1000))
    return False


def forget_output() -> None:
    """Discard what could not be written to standard output: the interpreter would try again at exit, and complain.

    What waits to be written in a thread is written before.
    """
    if sys.stdout is not None:
        drain()
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def concluded(code: ExitCode) -> ExitCode:
    """Return the exit code of a run that wrote to standard output and ends with `code`.

    It is `UNREAD` where the reader is gone, also where that happened after the last write.
    """
    if is_unread(sys.stdout, _A_MOMENT):
        code = ExitCode.UNREAD
    if code in (ExitCode.UNREAD, ExitCode.LOCAL_FILE):
        forget_output()
    return code
