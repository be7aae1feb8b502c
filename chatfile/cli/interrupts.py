"""The handling of Ctrl-C."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

from twisted.internet.interfaces import IReactorFromThreads

from chatfile.cli.exits import ExitCode


class Interrupts:
    """Calls `handle` in the reactor when the user interrupts; code that can act on an interrupt replaces `handle`."""

    def __init__(self, reactor: IReactorFromThreads, handle: Callable[[], None]) -> None:
        """Listen to SIGINT from now on, unless it is ignored: a shell does that for what runs behind a script."""
        self.handle = handle
        self._reactor = reactor
        self._is_handled = True
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._signalled)

    def _signalled(self, _signal: int, _frame: FrameType | None) -> None:
        if not self._is_handled:
            os._exit(ExitCode.INTERRUPTED)  # the one before has had no effect yet: end at once
        self._is_handled = False
        self._reactor.callFromThread(self._handle)

    def _handle(self) -> None:
        self._is_handled = True
        self.handle()
