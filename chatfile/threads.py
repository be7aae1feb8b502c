"""Blocking calls, made in threads and waited for as Deferreds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

InThread = Callable[..., "Deferred[Any]"]
"""`in_thread(call, *arguments)`: the Deferred result of a call made in another thread, as `deferToThread` makes it."""
T = TypeVar("T")


def acquire(
    in_thread: InThread, give_back: Callable[[T], None], call: Callable[..., T], *arguments: object
) -> Deferred[T]:
    """The result of `call(*arguments)`, made in a thread, which someone must give back.

    A thread can't be cancelled: where the Deferred was, the result is given back as soon as it is there.
    """
    waiting: Deferred[T] = Deferred()

    def arrived(result: T) -> None:
        if waiting.called:
            give_back(result)
        else:
            waiting.callback(result)

    def failed(failure: Failure) -> None:
        if not waiting.called:
            waiting.errback(failure)

    in_thread(call, *arguments).addCallbacks(arrived, failed)
    return waiting
