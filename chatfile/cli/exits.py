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
_CODES: tuple[tuple[ExitCode, tuple[type[errors.ChatFileError], ...]], ...] = (
    (ExitCode.NO_CONNECTION, (errors.NoConnection, errors.NoGreeting)),
    (ExitCode.FULL, (errors.Full,)),
    (ExitCode.BROKEN, (errors.Changed, errors.IdleTimeout, errors.Shutdown, errors.Internal)),
    (ExitCode.REFUSED, (errors.Refusal, errors.NoSubfolders)),
    (ExitCode.MISMATCH, (errors.DigestMismatch,)),
    (ExitCode.LOCAL_FILE, (errors.LocalFileError, errors.NoThreads, errors.Exhausted, errors.NoSuchFolder)),
    (
        ExitCode.USAGE,
        (errors.BadAddress, errors.BadCertificate, errors.TlsMissing, errors.BadName, errors.UnclosedQuote),
    ),
    (ExitCode.USAGE, (errors.OutputForSeveral, errors.OutputAtPrompt, errors.UnknownOption)),
    (ExitCode.USAGE, (errors.NotUtf8, errors.IsCommand)),
    (ExitCode.USAGE, (errors.BadSums, errors.NotInSums, errors.BadDigest, errors.DigestForSeveral)),
    (ExitCode.BROKEN, (errors.ChatFileError,)),
)


def exit_code(error: errors.ChatFileError) -> ExitCode:
    """Return the exit code for `error`."""
    return next(code for code, kinds in _CODES if isinstance(error, kinds))


def error_word(error: errors.ChatFileError) -> str:
    """Return the word for `error` in JSON: its code on the wire, or else the name of its class, as `target-exists`."""
    if isinstance(error, errors.Refusal):
        return error.code
    return re.sub("(?<!^)(?=[A-Z])", "-", type(error).__name__).lower()
