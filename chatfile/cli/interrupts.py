"""Ctrl-C, and the key `q` for a command that runs until it is stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from twisted.internet.interfaces import IReactorFDSet, IReactorFromThreads, IReadDescriptor
from zope.interface import implementer

from chatfile.cli.exits import ExitCode
from chatfile.cli.terminal import is_in_foreground, restore_on_signals


class Interrupts:
    """Calls `handle` in the reactor when the user interrupts; code that can act on an interrupt replaces `handle`."""

    def __init__(self, reactor: IReactorFromThreads, handle: Callable[[], None]) -> None:
        """Listen to SIGINT from now on, unless it is ignored: a shell does that for what runs behind a script."""
        self.handle = handle
        self.before_exit: Callable[[], object] = lambda: None
        """Gives the terminal back, where it was taken, before the program ends at once."""
        self._reactor = reactor
        self._is_handled = True
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._signalled)

    def _signalled(self, _signal: int, _frame: FrameType | None) -> None:
        if not self._is_handled:
            self.before_exit()
            os._exit(ExitCode.INTERRUPTED)  # the one before has had no effect yet: end at once
        self._is_handled = False
        self._reactor.callFromThread(self._handle)

    def _handle(self) -> None:
        self._is_handled = True
        self.handle()


@implementer(IReadDescriptor)
class _Keys:
    """Reads what is typed, and takes a `q` for an interrupt."""

    def __init__(self, reactor: IReactorFDSet, interrupts: Interrupts) -> None:
        self._reactor = reactor
        self._interrupts = interrupts

    def fileno(self) -> int:
        """See `IReadDescriptor`."""
        return sys.stdin.fileno()

    def logPrefix(self) -> str:
        """See `IReadDescriptor`."""
        return "keys"

    def doRead(self) -> None:
        """See `IReadDescriptor`. Nothing is read in the background: that would stop the process."""
        typed = b""
        if is_in_foreground(self.fileno()):
            with contextlib.suppress(OSError):
                typed = os.read(self.fileno(), 1024)
        if not typed:
            self._reactor.removeReader(self)
        elif b"q" in typed.lower():
            self._interrupts.handle()

    def connectionLost(self, reason: object) -> None:
        """See `IReadDescriptor`."""


@contextlib.contextmanager
def stopped_by_q(reactor: Any, interrupts: Interrupts) -> Iterator[bool]:
    """Let `q` be an interrupt within this context, which yields whether anything can be typed here.

    Keys are not shown meanwhile, nor kept until Enter. The terminal is given back as it was, also where a signal ends
    the program.
    """
    if sys.stdin is None or not sys.stdin.isatty() or not is_in_foreground(sys.stdin.fileno()):
        yield False
        return
    usual = termios.tcgetattr(sys.stdin)
    restore_on_signals(b"\r\n")
    interrupts.before_exit = lambda: termios.tcsetattr(sys.stdin, termios.TCSANOW, usual)
    keys = _Keys(reactor, interrupts)
    tty.setcbreak(sys.stdin, termios.TCSANOW)
    reactor.addReader(keys)
    try:
        yield True
    finally:
        reactor.removeReader(keys)
        if is_in_foreground(sys.stdin.fileno()):
            termios.tcsetattr(sys.stdin, termios.TCSANOW, usual)
