"""What the exit code of `chatfile-client` means (design, section 4)."""

from __future__ import annotations

import enum
import re

from chatfile import errors


class Exit(enum.IntEnum):
    """The codes; each member's comment in the README says more."""

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
_CODES: tuple[tuple[type[errors.ChatFileError], Exit], ...] = (
    (errors.BadAddress, Exit.USAGE),
    (errors.BadCertificate, Exit.USAGE),
    (errors.TlsMissing, Exit.USAGE),
    (errors.NoConnection, Exit.NO_CONNECTION),
    (errors.NoGreeting, Exit.NO_CONNECTION),
    (errors.Full, Exit.FULL),
    (errors.Changed, Exit.BROKEN),
    (errors.IdleTimeout, Exit.BROKEN),
    (errors.Shutdown, Exit.BROKEN),
    (errors.Internal, Exit.BROKEN),
    (errors.Refusal, Exit.REFUSED),
    (errors.DigestMismatch, Exit.MISMATCH),
    (errors.LocalFileError, Exit.LOCAL_FILE),
    (errors.NoThreads, Exit.LOCAL_FILE),
    (errors.BadName, Exit.USAGE),
    (errors.NotUtf8, Exit.USAGE),
    (errors.IsCommand, Exit.USAGE),
    (errors.ChatFileError, Exit.BROKEN),
)


def exit_code(error: errors.ChatFileError) -> Exit:
    """The code that tells of `error`."""
    return next(code for kind, code in _CODES if isinstance(error, kind))


def error_word(error: errors.ChatFileError) -> str:
    """What programs call `error`: its code on the wire, or its name here, `target-exists`."""
    if isinstance(error, errors.Refusal):
        return error.code
    return re.sub("(?<!^)(?=[A-Z])", "-", type(error).__name__).lower()
