"""What a line at the prompt asks for: a request of the wire, or one of the few things that only the prompt knows."""

from __future__ import annotations

import difflib
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
_ALONE = ("status", "help", "exit")
_NOT_HERE = frozenset(("cd", "put", "mput", "upload", "rm", "del", "delete", "mv", "rename", "mkdir", "lcd", "pwd"))
_SIMILAR = 0.8
"""How much of a word must be that of a command, in difflib's measure, to be taken for a slip."""
_LONGEST_MISTAKE = 2
"""Words of a line that may be a mistaken command; a longer one is talk."""
HELP = (
    ("list", "the files that there are"),
    ("list *.csv", "those that match: * any text, ? any character"),
    ("status", "who is connected and who was"),
    ("get NAME", "save a file, or go on where it stopped"),
    ('get *.csv "a b"', "all that match, and others, in a row"),
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


@dataclass(frozen=True, slots=True)
class Fetch:
    """`get NAME`, `get PATTERN`; `get! NAME` replaces."""

    wanted: str
    replace: bool = False


@dataclass(frozen=True, slots=True)
class ListMatching:
    """`list PATTERN`, `list NAME`; or, where there is no such file, talk that begins with that word."""

    wanted: str
    talk: wire.Request


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


Command = Fetch | ListMatching | Sum | Raw | ShowHelp | wire.Request


def parse(line: str) -> Command:
    """What `line` asks for; spaces around a command are forgiven. Raises a `ChatFileError`: why it can't be sent."""
    command = _command(line.lstrip())
    if isinstance(command, wire.Message):
        command = _command(line.strip())
    return wire.parse_request(_bytes(line)) if isinstance(command, wire.Message) else command


def _command(line: str) -> Command:
    if (own := _own_command(line)) is not None:
        return own
    match request := wire.parse_request(_bytes(line)):
        case wire.Help():
            return ShowHelp()
        case wire.Get(name) | wire.Resume(_, name):
            return Fetch(name)
        case wire.Hash(name):
            return Sum(name)
        case _:
            return request


def _own_command(line: str) -> Command | None:
    """What only the prompt knows."""
    word, _, rest = line.partition(" ")
    word = word.lower()
    if word in RAW and not rest:
        return Raw(RAW[word])
    if word == "get!":
        if not rest:
            raise errors.Usage(usage="get! NAME")
        return Fetch(rest, replace=True)
    if word == "list" and rest.strip():
        return ListMatching(rest, wire.parse_request(_bytes(line)))
    if word == "resume" and rest and not rest[0].isdigit():
        return Fetch(rest)  # from which byte on is known here
    return None


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
    if words[1:] and (word in _ALONE or word in RAW):
        return f'"{word}" is a command when nothing stands behind it'
    if word == "send" and words[1:]:
        return 'at the prompt no "send" is needed before it'
    if word in _NOT_HERE or (word.startswith("!") and word[1:].isalpha()):
        return f'there is no command "{word}", "help" shows what there is'
    swapped = [command for command in DESCRIPTIONS if sorted(command) == sorted(word)]
    similar = swapped or difflib.get_close_matches(word, DESCRIPTIONS, 1, _SIMILAR)
    return f'the command is "{similar[0]}"' if similar else None
