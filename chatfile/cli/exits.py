"""The exit codes of `chatfile-client` (design, section 4)."""

from __future__ import annotations

import enum
import re

from chatfile import errors


class ExitCode(enum.IntEnum):
    """The exit codes; the README says what each means."""

    DONE = 0
    USAGE = 2
    NO_CONNECTION = 3
    FULL = 4
    REFUSED = 5
    BROKEN = 6
    MISMATCH = 7
    LOCAL_FILE = 8
    INTERRUPTED = 130
    UNREAD = 141


# The first that fits counts: the special cases come before the general ones.
_CODES: tuple[tuple[type[errors.ChatFileError], ExitCode], ...] = (
    (errors.BadAddress, ExitCode.USAGE),
    (errors.BadCertificate, ExitCode.USAGE),
    (errors.TlsMissing, ExitCode.USAGE),
    (errors.NoConnection, ExitCode.NO_CONNECTION),
    (errors.NoGreeting, ExitCode.NO_CONNECTION),
    (errors.Full, ExitCode.FULL),
    (errors.Changed, ExitCode.BROKEN),
    (errors.IdleTimeout, ExitCode.BROKEN),
    (errors.Shutdown, ExitCode.BROKEN),
    (errors.Internal, ExitCode.BROKEN),
    (errors.Refusal, ExitCode.REFUSED),
    (errors.DigestMismatch, ExitCode.MISMATCH),
    (errors.LocalFileError, ExitCode.LOCAL_FILE),
    (errors.NoThreads, ExitCode.LOCAL_FILE),
    (errors.BadName, ExitCode.USAGE),
    (errors.UnclosedQuote, ExitCode.USAGE),
    (errors.OutputForSeveral, ExitCode.USAGE),
    (errors.OutputAtPrompt, ExitCode.USAGE),
    (errors.UnknownOption, ExitCode.USAGE),
    (errors.NoSuchFolder, ExitCode.LOCAL_FILE),
    (errors.NotUtf8, ExitCode.USAGE),
    (errors.IsCommand, ExitCode.USAGE),
    (errors.ChatFileError, ExitCode.BROKEN),
)


def exit_code(error: errors.ChatFileError) -> ExitCode:
    """Return the exit code for `error`."""
    return next(code for kind, code in _CODES if isinstance(error, kind))


def error_word(error: errors.ChatFileError) -> str:
    """Return the word for `error` in JSON: its code on the wire, or else the name of its class, as `target-exists`."""
    if isinstance(error, errors.Refusal):
        return error.code
    return re.sub("(?<!^)(?=[A-Z])", "-", type(error).__name__).lower()
