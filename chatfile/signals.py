"""Signals: those that would end the server without a drain, and those that end the drain."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorFromThreads

STRAY = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""What terminals that close, and tools that want logs or settings to be read anew, send to a service. The system's own
answer is to kill it, and nobody who sends them means that."""


def hold_strays() -> None:
    """Have them wait for `ignore_strays`: a program takes a while to be loaded, and one of them would be its end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STRAY)


def ignore_strays(reactor: IReactorFromThreads) -> None:
    """Say so in the log where such a signal comes, and go on; not where somebody else deals with it (twistd, nohup)."""

    def tell(number: int, _: FrameType | None) -> None:
        reactor.callFromThread(_say_ignored, signal.Signals(number).name)

    for number in STRAY:
        _handle(number, tell, lambda handler: handler is signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STRAY)


def at_next_end(reactor: IReactorFromThreads, hurry: Callable[[], object]) -> None:
    """Call `hurry` when one more signal comes that ends the server, unless it is to be ignored."""

    def hurry_up(_: int, __: FrameType | None) -> None:
        reactor.callFromThread(hurry)

    for number in (signal.SIGINT, signal.SIGTERM):
        _handle(number, hurry_up, lambda handler: handler is not signal.SIG_IGN)


def _handle(number: int, handler: Callable[[int, FrameType | None], None], if_it_is: Callable[[object], bool]) -> None:
    # Python deals with signals in its first thread, and lets only that one say how.
    if threading.current_thread() is threading.main_thread() and if_it_is(signal.getsignal(number)):
        signal.signal(number, handler)


def _say_ignored(name: str) -> None:
    from twisted.logger import Logger  # noqa: PLC0415 -- signals are held before anything that takes a while is loaded

    Logger().info("{signal} is ignored; SIGTERM ends the server", signal=name, event="ignored")
