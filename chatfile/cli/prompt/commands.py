"""The commands of a line at the prompt: those that every mode knows, and the few that only the prompt has."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from chatfile.cli.commands import Command, ListFiles, ShowServerHelp, ShowStatus, parse_line, split_words

RAW: dict[str, Command] = {"!status": ShowStatus(), "!list": ListFiles(), "!help": ShowServerHelp()}
DESCRIPTIONS = {
    "list": "the files that there are",
    "status": "who is connected and who was",
    "get": "save a file, or all that match a pattern",
    "get!": "the same, and replace what is here already",
    "hash": "the SHA-256 of a file",
    "help": "this text",
    "exit": "leave",
    "send": "send a text that would be a command",
    "lcd": "save files elsewhere from now on",
    "lpwd": "where files are saved",
    "!list": "the files as the server has it, row by row",
    "!status": "who is connected, in the same way",
    "!help": "what the server says of its commands",
}
"""Everything that Tab offers as a first word."""
TAKES_A_NAME = ("get", "get!", "hash")
_LOOK_ALIKE = {
    "who": "status", "w": "status", "man": "help", "logout": "exit",
    "mget": "get", "fetch": "get", "download": "get", "sha256sum": "hash", "cd": "lcd", "pwd": "lpwd",
}  # fmt: skip
_ALONE = ("status", "help", "exit")
_WITH_MORE = ("lcd", "send")
_NOT_HERE = ("put", "mput", "upload", "rm", "del", "delete", "mv", "rename", "mkdir")
_HINTS = {
    **{word: f'the command is "{meant}"' for word, meant in _LOOK_ALIKE.items()},
    **{word: f'there is no command "{word}", "help" shows what there is' for word in _NOT_HERE},
    "watch": 'outside the prompt there is "chatfile-client watch"',
}
_SIMILAR = 0.8
"""How much of a word must be that of a command, in difflib's measure, to be taken for a slip."""
_LONGEST_MISTAKE = 2
"""Words of a line that may be a mistaken command; a longer one is talk."""
HELP = (
    ("list", "the files that there are"),
    ("list *.csv", "those that match: * any text, ? any character"),
    ("list --sort size", "the largest first; or by name, or time"),
    ("status", "who is connected, and the latest who left"),
    ("status --all", "everyone who left, too"),
    ("get NAME", "save a file, or go on where it stopped"),
    ('get *.csv "a b"', "all that match, and others, in a row"),
    ("get! NAME", "the same, and replace what is here already"),
    ("get NAME -o FILE", "save it under another name; --force replaces what is there"),
    ("hash NAME", "the SHA-256 of a file, or of all that match"),
    ("send TEXT", "send a text that would be a command, such as ls"),
    ("lcd FOLDER, lpwd", "save files elsewhere from now on; where that is"),
    ("help", "this text"),
    ("exit", "leave, when all that was typed is done"),
    ("!list !status", "row by row, as the server has it"),
    ("!help", "what the server says of its commands"),
    ("!COMMAND", "carried out by a shell here"),
)
HELP_BELOW = """\
Anything else is a message and comes back with ACK behind it.

Tab completes commands and file names, Ctrl-R searches what was typed before. Ctrl-C drops the line; where there is \
none, it asks and stops the download. Ctrl-D leaves, Ctrl-Z suspends. What is typed during a download is carried out \
behind it."""


@dataclass(frozen=True, slots=True)
class ShowRaw:
    """`!list`: the answer row by row, as a program would have it."""

    command: Command


@dataclass(frozen=True, slots=True)
class ShowPromptHelp:
    """`help`: the prompt's own text, which tells of the server's commands, too."""


@dataclass(frozen=True, slots=True)
class ChangeFolder:
    """`lcd FOLDER`: save files in that folder from now on."""

    folder: str


@dataclass(frozen=True, slots=True)
class ShowFolder:
    """`lpwd`: show the folder in which files are saved."""


@dataclass(frozen=True, slots=True)
class RunShell:
    """`!COMMAND`: let a shell on this machine carry it out."""

    command: str


PromptCommand = ShowRaw | ShowPromptHelp | ChangeFolder | ShowFolder | RunShell | Command


def parse(line: str) -> PromptCommand:
    """Return what a line at the prompt asks for. Raises a `ChatFileError` where it can't be sent."""
    own = _own_command(line.strip())
    if own is not None:
        return own
    command = parse_line(line)
    return ShowPromptHelp() if isinstance(command, ShowServerHelp) else command


def _own_command(line: str) -> PromptCommand | None:
    """Return the command of `line` that only the prompt has; None where it is none of those."""
    word, _, rest = line.partition(" ")
    if not rest and word.lower() in RAW:
        return ShowRaw(RAW[word.lower()])
    if word.lower() == "lcd" and rest:
        return ChangeFolder(" ".join(split_words(rest)))
    if word.lower() == "lpwd" and not rest:
        return ShowFolder()
    if line.startswith("!") and line[1:].strip(" !"):
        return RunShell(line[1:].strip())
    return None


def mistaken(text: str) -> str | None:
    """Return a hint for a user whose message `text` looks like a command; None where it looks like any message."""
    words = text.lower().split()
    if not 0 < len(words) <= _LONGEST_MISTAKE:
        return None
    word, is_alone = words[0], not words[1:]
    if word in _HINTS:
        return _HINTS[word]
    if not is_alone and (word in _ALONE or word in RAW):
        return f'"{word}" is a command when nothing stands behind it'
    if is_alone and word in _WITH_MORE:
        return f'"{word}" is a command when something stands behind it'
    swapped = [command for command in DESCRIPTIONS if sorted(command) == sorted(word)]
    similar = swapped or difflib.get_close_matches(word, DESCRIPTIONS, 1, _SIMILAR)
    return f'the command is "{similar[0]}"' if similar else None
