"""What a line at the prompt asks for: a request of the wire, or one of the few things that only the prompt knows."""

from __future__ import annotations

import fnmatch
import shlex
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
    "ls": "list", "dir": "list", "who": "status", "w": "status", "watch": "status", "?": "help", "man": "help",
    "quit": "exit", "bye": "exit", "logout": "exit", "q": "exit", "mget": "get", "fetch": "get", "download": "get",
    "sha256sum": "hash",
}  # fmt: skip
_ALONE = ("list", "status", "help", "exit")
_NOT_HERE = frozenset(("cd", "put", "mput", "upload", "rm", "del", "delete", "mv", "rename", "mkdir", "lcd", "pwd"))
_LONGEST_MISTAKE = 2
"""Words of a line that may be a mistaken command; a longer one is talk."""
_WILD = frozenset("*?[")
HELP = (
    ("list", "the files that there are"),
    ("status", "who is connected and who was"),
    ("get NAME", "save a file, or go on where it stopped"),
    ('get *.csv "a b"', "all that match: * any text, ? any character"),
    ("get! NAME", "the same, and replace what is here already"),
    ("hash NAME", "the SHA-256 of a file, or of all that match"),
    ("help", "this text"),
    ("exit", "leave, when all that was typed is done"),
    ("!list !status", "row by row, as the server has it"),
    ("!help", "what the server says of its commands"),
)
HELP_BELOW = """\
Anything else is a message and comes back with ACK behind it.

Tab completes commands and file names, Ctrl-R searches what was typed before. Ctrl-C drops the line; where there is \
none, it asks and stops the download. Ctrl-D leaves, Ctrl-Z suspends. What is typed during a download is carried out \
behind it."""


UNKNOWN = -1
"""The size of a file that is not listed."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """`get NAME`, `get PATTERN`; `get! NAME` replaces."""

    wanted: str
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Sum:
    """`hash NAME`, `hash PATTERN`."""

    wanted: str


@dataclass(frozen=True, slots=True)
class Raw:
    """`!list`: the answer row by row, as a program would have it."""

    request: wire.Request


@dataclass(frozen=True, slots=True)
class ShowHelp:
    """`help`: the prompt's own, which tells of the server's commands too."""


Command = Fetch | Sum | Raw | ShowHelp | wire.Request


def parse(line: str) -> Command:
    """What `line` asks for; spaces around a command are forgiven. Raises a `ChatFileError`: why it can't be sent."""
    command = _command(line.lstrip())
    if isinstance(command, wire.Message):
        command = _command(line.strip())
    return wire.parse_request(_bytes(line)) if isinstance(command, wire.Message) else command


def _command(line: str) -> Command:
    if line.lower() in RAW:
        return Raw(RAW[line.lower()])
    word, _, name = line.partition(" ")
    if word.lower() == "get!":
        if not name:
            raise errors.Usage(usage="get! NAME")
        return Fetch(name, replace=True)
    match request := wire.parse_request(_bytes(line)):
        case wire.Help():
            return ShowHelp()
        case wire.Get(name) | wire.Resume(_, name):
            return Fetch(name)
        case wire.Hash(name):
            return Sum(name)
        case _:
            return request


def _bytes(line: str) -> bytes:
    return line.encode(errors="surrogateescape")


def mistaken(text: str) -> str | None:
    """What to tell whoever sent this message and may have meant a command; None where it is a message like any."""
    words = text.lower().split()
    if not 0 < len(words) <= _LONGEST_MISTAKE:
        return None
    word = words[0]
    if meant := _LOOK_ALIKE.get(word):
        return f'the command is "{meant}"'
    if word in _ALONE and words[1:]:
        return f'"{word}" is a command when nothing stands behind it'
    if word == "send" and words[1:]:
        return 'at the prompt no "send" is needed before it'
    if word in _NOT_HERE or (word.startswith("!") and word[1:].isalpha()):
        return f'there is no command "{word}", "help" shows what there is'
    return None


def expand(wanted: str, rows: Sequence[wire.FileRow]) -> list[wire.FileRow]:
    """The files that are `wanted`: the one of that very name; or all that match; or those of each word, as in a shell.

    A word that stands for nothing, beside others that do, is a name that is not listed: its size is unknown. Raises
    `NoMatch` where a pattern stands for nothing.
    """
    if found := _matching(wanted, rows):
        return found
    words = _words(wanted)
    each = [_matching(word, rows) or [_unlisted(word)] for word in words]
    if any(row.size != UNKNOWN for found in each for row in found):
        return list(dict.fromkeys(row for found in each for row in found))
    if is_pattern(wanted):
        raise errors.NoMatch(pattern=wire.printable(wanted))
    return [_unlisted(words[0] if len(words) == 1 else wanted)]


def _matching(wanted: str, rows: Sequence[wire.FileRow]) -> list[wire.FileRow]:
    exact = [row for row in rows if row.name == wanted]
    return exact or [row for row in rows if is_pattern(wanted) and fnmatch.fnmatchcase(row.name, wanted)]


def _unlisted(name: str) -> wire.FileRow:
    return wire.FileRow(UNKNOWN, 0, name)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quotation mark without another
        return []


def is_pattern(name: str) -> bool:
    """Whether it may stand for several files."""
    return not _WILD.isdisjoint(name)
