"""The contract of blocking calls that are made in threads, whose results come as Deferreds."""

from __future__ import annotations

import errno
from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatfile.errors import ChatFileError

T = TypeVar("T")

_log = Logger()


class DiskUnavailable(OSError):
    """Raised if a call has not returned in time, or could not be made at all."""

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

        Cancel it when the result is not wanted any more: then the call is not begun, or its result is dropped. It fails
        with `DiskUnavailable` if the call does not return in time, or can't be made. In all these cases
        `unwanted(result)` is called in a thread when the call has returned, with None if there is no result.

        `about` names the file or folder that is used: if several calls about it hang already, further ones are refused
        at once. `insist` is for a call that must be made though no client waits for it: it is never refused, but waits
        until there is a thread.
        """


def acquire(
    in_thread: InThread, give_back: Callable[[T], object], call: Callable[..., T], *arguments: Any
) -> Deferred[T]:
    """Return the result of `call(*arguments)`, something that has to be closed or given back.

    If the Deferred was cancelled before the result is there, `give_back(result)` is called in a thread.
    """

    def unwanted(result: T | None) -> None:
        if result is not None:
            give_back(result)

    return in_thread(call, *arguments, unwanted=unwanted)


def run_unawaited(in_thread: InThread, call: Callable[..., Any], *arguments: Any) -> None:
    """Make a call that must be made, but whose result is not waited for, such as a close. A failure is logged."""
    in_thread(call, *arguments, insist=True).addErrback(_log_failure)


def result_or(default: T) -> Callable[[Failure], T]:
    """Return an errback that gives `default` in the place of a result, where the call itself need not be told of.

    A fault of this program is logged all the same.
    """

    def fall_back(failure: Failure) -> T:
        log_defect(failure)
        return default

    return fall_back


def log_defect(failure: Failure) -> None:
    """Log the failure of a call that is told nobody, if it is a fault of this program, not of the disk."""
    if failure.check(OSError, ChatFileError) is None:
        _log_failure(failure)


def _log_failure(failure: Failure) -> None:
    if failure.check(DiskUnavailable) is None:
        _log.failure("A call in a thread has failed", failure)
