"""What a line at the prompt asks for: a request of the wire, or one of the few things that only the prompt knows."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

from chatfile import errors, wire

RAW: dict[str, wire.Request] = {"!status": wire.Status(), "!list": wire.List(), "!help": wire.Help()}
DESCRIPTIONS = {
    "list": "the files that there are",
    "status": "who is connected and who was",
    "get": "save a file, or all that match a pattern",
    "get!": "the same, and replace what is here already",
    "hash": "the SHA-256 of a file",
    "help": "this text",
    "exit": "leave",
    "!list": "the files as the server has it, row by row",
    "!status": "who is connected, in the same way",
    "!help": "what the server says of its commands",
}
"""Everything that Tab offers as a first word."""
TAKES_A_NAME = ("get", "get!", "hash")
_LOOK_ALIKE = {
    "ls": "list", "dir": "list", "who": "status", "?": "help", "quit": "exit", "bye": "exit", "logout": "exit",
}  # fmt: skip
_WILD = frozenset("*?[")
HELP = """\
list             the files that there are
status           who is connected and who was
get NAME         save a file, or go on where it stopped
get *.csv        all that match: * any text, ? any character
get! NAME        the same, and replace what is here already
hash NAME        the SHA-256 of a file
help             this text
exit             leave, when all that was typed is done
!list !status    row by row, as the server has it
!help            what the server says of its commands
Anything else is a message and comes back with ACK behind it.

Tab completes commands and file names, Ctrl-R searches what
was typed before. Ctrl-C drops the line; where there is none,
it asks and stops the download. Ctrl-D leaves. What is typed
during a download is carried out behind it."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """`get NAME`, `get PATTERN`; `get! NAME` replaces."""

    pattern: str
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Raw:
    """`!list`: the answer row by row, as a program would have it."""

    request: wire.Request


@dataclass(frozen=True, slots=True)
class ShowHelp:
    """`help`: the prompt's own, which tells of the server's commands too."""


Command = Fetch | Raw | ShowHelp | wire.Request


def parse(line: str) -> Command:
    """What `line` asks for. Raises a `ChatFileError` that says why it can't be sent."""
    if line.lower() in RAW:
        return Raw(RAW[line.lower()])
    word, _, name = line.partition(" ")
    if word.lower() == "get!":
        if not name:
            raise errors.Usage(usage="get! NAME")
        return Fetch(name, replace=True)
    match request := wire.parse_request(line.encode(errors="surrogateescape")):
        case wire.Help():
            return ShowHelp()
        case wire.Get(name) | wire.Resume(_, name):
            return Fetch(name)
        case _:
            return request


def look_alike(text: str) -> str | None:
    """The command that whoever sent this message may have meant."""
    return _LOOK_ALIKE.get(text.lower())


def expand(pattern: str, rows: Sequence[wire.FileRow]) -> list[wire.FileRow]:
    """The files that `pattern` stands for: the one of exactly that name, or else those that match."""
    exact = [row for row in rows if row.name == pattern]
    return exact or [row for row in rows if is_pattern(pattern) and fnmatch.fnmatchcase(row.name, pattern)]


def is_pattern(name: str) -> bool:
    """Whether it may stand for several files."""
    return not _WILD.isdisjoint(name)
