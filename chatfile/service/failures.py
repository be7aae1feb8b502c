"""Failures to start that a person can mend: each ends the process with one line."""

from __future__ import annotations

import errno
import os
import sys

from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from chatfile.options import Options
from chatfile.wire import printable


class CannotStart(SystemExit, Exception):
    """Ends the process with one line and status 1, where the service can't start for a reason that a person can mend.

    It is a SystemExit, so that there is no traceback, and an Exception, so that twistd removes its pidfile and tells
    the parent of a daemon.
    """

    def __init__(self, sentence: str) -> None:
        """Write `sentence` to the log and to `sys.__stderr__`: twistd has redirected `sys.stderr` to the log."""
        super().__init__(sentence)
        self.code = 1
        Logger().error("{sentence}", sentence=sentence)
        if sys.__stderr__ is not None:
            sys.__stderr__.write(f"{sentence}\n")


def why_not_listening(description: str, error: Exception, option: str) -> str:
    """Return, as a sentence, why nothing can listen at the endpoint `description`, and what to do: another `option`."""
    cause = error.socketError if isinstance(error, CannotListenError) else error
    reason = getattr(cause, "strerror", None) or str(cause).rstrip(".") or type(cause).__name__
    advice = "Another program has it; choose" if getattr(cause, "errno", 0) == errno.EADDRINUSE else "Choose"
    return f"chatfile: can't listen on {printable(description)}: {printable(reason)}. {advice} another with --{option}."


def check_twistd(options: Options) -> None:
    """Raise `CannotStart` if twistd can't write its pidfile or its log: by itself it would end with a traceback."""
    twistd = options.parent
    if twistd is None or twistd["chroot"]:
        return
    pidfile, logfile = twistd["pidfile"], twistd["logfile"]
    if logfile is None and not (twistd["nodaemon"] or twistd["syslog"]):
        logfile = "twistd.log"
    if pidfile and (why := _why_not_writable(os.path.join(twistd["rundir"], pidfile))):
        raise CannotStart(f"chatfile: can't write {printable(pidfile)}: {why}. Name another, or none: --pidfile=")
    if logfile not in (None, "", "-") and (why := _why_not_writable(logfile)):
        raise CannotStart(f"chatfile: can't write {printable(logfile)}: {why}. Name another with --logfile=FILE")


def _why_not_writable(path: str) -> str | None:
    """Return why the file `path` can't be written, or None if it can, or if it is a pipe that has no reader yet.

    A file that is created to find out is removed again.
    """
    is_new = not os.path.lexists(path)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o600))
        if is_new:
            os.unlink(path)
    except OSError as error:
        return None if error.errno == errno.ENXIO else os.strerror(error.errno or 0)
    return None
