"""Every error of chatfile, one flat list.

The docstring of an error is the sentence that a person reads; its placeholders are filled in when the error is made.
A `Refusal` has a `code` as well, the word that stands for it on the wire (docs/protocol.md).
"""

from __future__ import annotations

import os
from functools import cache
from inspect import cleandoc

_cleandoc = cache(cleandoc)
"""Cleans docstrings, each once: a flood of bad lines asks for the same few, again and again."""


class ChatFileError(Exception):
    """Something went wrong."""

    def __init__(self, sentence: str | None = None, /, **named: object) -> None:
        """Say `sentence`, or else the docstring of the class with `named` filled in."""
        # Docstrings are gone under `python -OO`; the name of the class must do then.
        super().__init__(sentence or _cleandoc(self.__doc__ or type(self).__name__).format(**named))


# --- what a server answers instead of a result ---------------------------------------------------------------------


class Refusal(ChatFileError):
    """The server refused the request."""

    code = "refused"


class Full(Refusal):
    """The server is full: {limit} of {limit} clients are connected. Try again later."""

    code = "full"

    @classmethod
    def for_address(cls, *, limit: int) -> Full:
        """Make the error for a client whose address has all the seats that it may have."""
        return cls(
            f"The server is full for your address: {limit} of {limit} clients are connected from it. Try again later."
        )

    @classmethod
    def here(cls, *, limit: int) -> Full:
        """Make the error for a client that finds the node of a cluster full that it came to."""
        return cls(f"This node of the server is full: {limit} of {limit} clients are connected to it. Try again later.")

    @classmethod
    def in_line(cls, *, limit: int) -> Full:
        """Make the error for a client that finds the waiting line full, too."""
        return cls(f"No place in the waiting line is free: {limit} of {limit} clients wait. Try again later.")

    @classmethod
    def in_line_for_address(cls, *, limit: int) -> Full:
        """Make the error for a client whose address has all the places in the waiting line that it may have."""
        return cls(
            f"No place in the waiting line is free for your address: {limit} of {limit} clients wait at it. "
            "Try again later."
        )

    @classmethod
    def after_waiting(cls, *, seconds: float, position: int) -> Full:
        """Make the error for a client that gave up its place in the waiting line."""
        return cls(f"No seat became free in {seconds:g} s: still number {position} in the server's waiting line.")


class BadLine(Refusal):
    """The line is not plain UTF-8 text: it holds control characters or bytes that are not UTF-8."""

    code = "bad-line"


class LineTooLong(Refusal):
    """The line is longer than {limit} bytes."""

    code = "line-too-long"


class Usage(Refusal):
    """Usage: {usage}."""

    code = "usage"

    @classmethod
    def of_long_tree(cls, *, limit: int) -> Usage:
        """Make the error for a tree of more than `limit` files or folders."""
        return cls(f"There are more than {limit} files or folders; ask for a subfolder: tree FOLDER/.")


class NoSuchFile(Refusal):
    """There is no file "{name}" here; "list" shows what there is."""

    code = "no-such-file"

    @classmethod
    def in_tree(cls, path: str, *, what: str = "file") -> NoSuchFile:
        """Make the error for a path on a server that has subfolders; `what` it would be."""
        return cls(f'There is no {what} "{path}" here; "tree" shows what there is.')


class BadOffset(Refusal):
    """The offset lies beyond the end of "{name}", which has {size} bytes."""

    code = "bad-offset"


class Unavailable(Refusal):
    """ "{name}" can't be read now: {why}."""

    code = "unavailable"

    @classmethod
    def folder(cls, *, why: str) -> Unavailable:
        """Make the error for a request that can't be answered without the folder."""
        return cls(f"The folder can't be read now: {why}.")

    @classmethod
    def seats(cls) -> Unavailable:
        """Make the error for a client that can't be let in, for nobody knows how many there are on the other nodes."""
        return cls("The clients of the other nodes can't be counted now, so nobody is let in. Try again soon.")

    @classmethod
    def clients(cls) -> Unavailable:
        """Make the error for a client that asks who is connected to the other nodes."""
        return cls("The clients of the other nodes are not known now. Try again soon.")


class Changed(Refusal):
    """ "{name}" has changed or can't be read to its end any more, so that its digest is not known. Try again."""

    code = "changed"


class IdleTimeout(Refusal):
    """Nothing was asked for {seconds:g} seconds, and the connection is closed."""

    code = "timeout"

    @classmethod
    def amid_line(cls, *, seconds: float) -> IdleTimeout:
        """Make the error for a client that has begun a line."""
        return cls(f"The line was not finished within {seconds:g} seconds, and the connection is closed.")


class Shutdown(Refusal):
    """The server is going down."""

    code = "shutdown"


class Internal(Refusal):
    """The server made a mistake; its log says more."""

    code = "internal"


# --- what goes wrong on the way of a file, on either side ----------------------------------------------------------


class TransferAborted(ChatFileError):
    """The connection went away in the middle of the file, after {sent} bytes."""


class FileShrank(ChatFileError):
    """The file ended {missing} bytes before the size that was promised."""


# --- what a client meets -------------------------------------------------------------------------------------------


class BadAddress(ChatFileError):
    """ "{server}" is not the address of a server: {why}."""

    def __init__(self, sentence: str | None = None, /, *, server: object = "", why: str = "") -> None:
        """Keep `why`, so that it can be told again of a server in other words."""
        super().__init__(sentence, server=server, why=why)
        self.why = why


class NoConnection(ChatFileError):
    """No connection to {server}: {why}."""

    def __init__(self, sentence: str | None = None, /, *, server: object = "", why: str = "") -> None:
        """Keep `why`, so that it can be told again of a server in other words."""
        super().__init__(sentence, server=server, why=why)
        self.why = why


class TlsMissing(ChatFileError):
    """TLS needs what is not installed here: pip install pyopenssl service-identity."""


class BadCertificate(ChatFileError):
    """ "{path}" can't be used for TLS: {why}."""


class NoGreeting(ChatFileError):
    """The server closed the connection without a greeting."""


class ServerClosed(ChatFileError):
    """The server closed the connection before its answer was complete."""


class TlsFailed(ServerClosed):
    """There is no TLS session with the server: {why}."""

    def __init__(self, sentence: str | None = None, /, *, why: str = "") -> None:
        """Keep `why`, so that it can be told again in other words."""
        super().__init__(sentence, why=why)
        self.why = why


class TransferBroken(ServerClosed):
    """ "{name}" is not whole: the connection broke when {received} of {size} bytes were here."""


class ServerSilent(ChatFileError):
    """The server sent neither a whole line nor bytes of a file for {seconds:g} seconds."""


class ProtocolViolation(ChatFileError):
    """The server does not speak chatfile/1: {what}."""


class DigestMismatch(ChatFileError):
    """ "{name}" arrived damaged: its SHA-256 is not the one that the server computed. Nothing was kept; try again."""

    @classmethod
    def not_as_expected(cls, *, name: str) -> DigestMismatch:
        """Make the error for a file that has another digest than the user has got from elsewhere."""
        return cls(
            f'The server\'s "{name}" is not the file that was expected: its SHA-256 is another one. Nothing was kept.'
        )


class BadSums(ChatFileError):
    """Line {line} of "{list}" is not one of sha256sum: {why}."""


class NotInSums(ChatFileError):
    """The list "{list}" has no digest of "{name}"; without --sums it can be had."""


class BadDigest(ChatFileError):
    """ "{text}" is no SHA-256: that has 64 hexadecimal digits."""


class DigestForSeveral(ChatFileError):
    """--sha256 goes with the name of one file; --sums FILE has the digests of many."""


class NoMatch(ChatFileError):
    """No file here matches "{pattern}"; "list" shows what there is."""


class UnclosedQuote(ChatFileError):
    """A quotation mark is not closed: {text}."""


class OutputForSeveral(ChatFileError):
    """-o names one file, but {count} are meant."""


class OutputAtPrompt(ChatFileError):
    """Standard output is for the command line: chatfile-client get {name} -o -"""


class UnknownOption(ChatFileError):
    """There is no option "{option}" here; "--" stands before names that begin with a dash."""


class NoSubfolders(ChatFileError):
    """The server serves one flat folder, not its subfolders; "list" shows what there is."""


class NoSuchFolder(ChatFileError):
    """There is no folder "{path}"."""


class IsCommand(ChatFileError):
    """ "{text}" is a command, not a message: a server would carry it out."""


class NotUtf8(ChatFileError):
    """Standard input is UTF-16, where UTF-8 is wanted; "iconv -f UTF-16 -t UTF-8" makes it that."""


class Exhausted(ChatFileError):
    """The system has no room for what this takes: {why}."""


class NoThreads(ChatFileError):
    """Standard input can't be read: the system gives no more threads. End other programs, or raise "ulimit -u"."""


class BadName(ChatFileError):
    """ "{name}" is a path or not a file name; ask for a plain name, as "list" shows it."""


# --- what keeps a download from its place on the local disk --------------------------------------------------------


class LocalFileError(ChatFileError):
    """ "{path}" can't be written: {why}."""


class TargetExists(LocalFileError):
    """ "{path}" exists already and is left as it is; --force replaces it."""


class NotVerified(LocalFileError):
    """ "{path}" exists and is left as it is: the server does not hash, so what came can't be verified."""


class TargetNotRegular(LocalFileError):
    """ "{path}" exists and is not a regular file; it is left as it is."""


class NameTaken(LocalFileError):
    """ "{path}" is another file's name here: the file system takes the two for one. -o saves it under a third."""


class DownloadBusy(LocalFileError):
    """ "{path}" is being downloaded by another client."""


REFUSALS: dict[str, type[Refusal]] = {
    refusal.code: refusal
    for refusal in (
        Full,
        BadLine,
        LineTooLong,
        Usage,
        NoSuchFile,
        BadOffset,
        Unavailable,
        Changed,
        IdleTimeout,
        Shutdown,
        Internal,
    )
}
"""Every code of the wire, in the order of the table in docs/protocol.md, and its error."""


def reason(error: OSError) -> str:
    """Tell in words why the operating system refused; without the paths that `str(error)` would tell."""
    return (error.strerror or (os.strerror(error.errno) if error.errno else "it failed")).lower()
