"""The signals of the server: those that are ignored, or read files anew, and a second one that ends the drain.

A file of its own that imports next to nothing: `__main__` needs it before all else is loaded.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorFromThreads

IGNORED_SIGNALS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""What a terminal sends when it is closed, and tools send to have logs or settings read anew: by default the system
kills the process, which is never what is meant."""


def block_ignored_signals() -> None:
    """Keep the ignored signals pending until `ignore_signals`: while the program is being loaded, one would kill it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED_SIGNALS)


def ignore_signals(reactor: IReactorFromThreads) -> None:
    """Log each of the ignored signals and go on, except where another handler is set already (by twistd or nohup)."""

    def log(number: int, _: FrameType | None) -> None:
        reactor.callFromThread(_log_ignored, signal.Signals(number).name)

    for number in IGNORED_SIGNALS:
        _set_handler(number, log, lambda previous: previous is signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, IGNORED_SIGNALS)


def on_hangup(reactor: IReactorFromThreads, callback: Callable[[], object]) -> None:
    """Call `callback` in the reactor at each SIGHUP, except where another handler is set already (by nohup).

    Call it before `ignore_signals`, which is for the signals that nothing else is done about.
    """

    def call(_: int, __: FrameType | None) -> None:
        reactor.callFromThread(callback)

    _set_handler(signal.SIGHUP, call, lambda previous: previous is signal.SIG_DFL)


def on_next_termination(reactor: IReactorFromThreads, callback: Callable[[], object]) -> None:
    """Call `callback` in the reactor at the next SIGINT or SIGTERM, except where that signal is ignored."""

    def call(_: int, __: FrameType | None) -> None:
        reactor.callFromThread(callback)

    for number in (signal.SIGINT, signal.SIGTERM):
        _set_handler(number, call, lambda previous: previous is not signal.SIG_IGN)


def _set_handler(
    number: int, handler: Callable[[int, FrameType | None], None], replaces: Callable[[object], bool]
) -> None:
    """Set the handler of a signal if `replaces(previous)` says that it may replace the present one."""
    # Python runs signal handlers in its main thread, and only there they can be set.
    if threading.current_thread() is threading.main_thread() and replaces(signal.getsignal(number)):
        signal.signal(number, handler)


def _log_ignored(name: str) -> None:
    from twisted.logger import Logger  # noqa: PLC0415 -- signals are blocked before anything that takes a while is loaded

    Logger().info("{signal} is ignored; SIGTERM ends the server", signal=name, event="ignored")
