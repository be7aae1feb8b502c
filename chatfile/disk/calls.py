"""Blocking calls that are made in threads and waited for as a Deferred: what can be relied on."""

from __future__ import annotations

import errno
from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

T = TypeVar("T")

_log = Logger()


class DiskUnavailable(OSError):
    """Raised where a call has not returned in time, or could not be made at all."""

    def __init__(self, why: str = "the disk does not answer") -> None:
        """Say `why`, which is the end of a sentence, as `strerror` is."""
        super().__init__(errno.ETIMEDOUT, why)


class InThread(Protocol):
    """Makes calls in threads, for one client."""

    def __call__(
        self,
        call: Callable[..., Any],
        /,
        *arguments: Any,
        unwanted: Callable[[Any], object] | None = None,
        about: Hashable = None,
        insist: bool = False,
    ) -> Deferred[Any]:
        """Return the result of `call(*arguments)`, made in another thread.

        Cancel it when the result is not wanted any more: then the call is not begun, or left to end on its own. It
        fails with `DiskUnavailable` where the call does not return in time, or can't be made. In all these cases
        `unwanted(result)` is called in a thread as soon as none is in the call any more, with None for no result.

        `about` names what is read: of a thing that has several threads hanging already, more is refused at once.
        `insist` on what has to be made, and nobody waits for: it is never refused, but waits until there is a thread.
        """


def acquire(
    in_thread: InThread, give_back: Callable[[T], object], call: Callable[..., T], *arguments: Any
) -> Deferred[T]:
    """Return the result of `call(*arguments)`, which the caller has to give back.

    Where the result is not wanted any more when it is there, `give_back(result)` is called in a thread.
    """

    def unwanted(result: T | None) -> None:
        if result is not None:
            give_back(result)

    return in_thread(call, *arguments, unwanted=unwanted)


def behind(in_thread: InThread, call: Callable[..., Any], *arguments: Any) -> None:
    """Make a call that has to be made, and for which nobody waits, such as a close. A failure is logged."""
    in_thread(call, *arguments, insist=True).addErrback(_log_failure)


def _log_failure(failure: Failure) -> None:
    if failure.check(DiskUnavailable) is None:
        _log.failure("A call in a thread has failed", failure)
