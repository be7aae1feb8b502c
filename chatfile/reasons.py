"""In words, why there is no connection to a server, or no more."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.error import TimeoutError as TimedOut
from twisted.python.failure import Failure

from chatfile import errors, tls


def why_not(error: Exception) -> str:
    """What an attempt to connect failed with, as the end of a sentence."""
    number = getattr(error, "osError", None)
    if isinstance(number, int) and number > 0:  # below are those of looking up a host, which are others
        return errors.reason(OSError(number, ""))
    if isinstance(error, TimedOut):  # what it says is of no use to a person
        return "no answer"
    return str(error).rstrip(".") or type(error).__name__


def why_lost(reason: Failure | None, *, greeted: bool, is_asked: bool) -> errors.ServerClosed:
    """What the end of a connection is told as: of a server that had `greeted`, or where a reply `is_asked` for."""
    if reason is None or reason.check(ConnectionDone):
        return errors.ServerClosed() if is_asked else errors.ServerClosed("The server closed the connection.")
    why = None if greeted else tls.why_none(reason.value)
    if why is not None:
        return errors.TlsFailed(why=why)
    if type(reason.value) is ConnectionLost:  # it has no more to say
        return errors.ServerClosed("The connection to the server was lost.")
    why = tls.why_broken(reason.value) or reason.getErrorMessage().rstrip(".")
    return errors.ServerClosed(f"The connection to the server was lost: {why}.")
