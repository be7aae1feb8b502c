"""The commands: the same on the command line, at the prompt and in piped lines."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

from chatfile import errors, wire

STDOUT = "-"
"""The file name that means standard output."""
DEFAULT_INTERVAL = 2.0
"""Seconds between two looks of `watch`."""

Wanted = tuple[str, ...] | str
"""Names and patterns: the words of a command line; or the text of a line, which may be one name with spaces."""


@dataclass(frozen=True, slots=True)
class SendMessage:
    """`send TEXT`, or a line that is no command: send a message."""

    text: str
    hint: str | None = field(default=None, compare=False)
    """What may have been meant by a line that looks like a command, and is none."""


@dataclass(frozen=True, slots=True)
class ShowStatus:
    """`status`: show the clients that are connected and the latest that left; `status --all`: every one."""

    everyone: bool = False


@dataclass(frozen=True, slots=True)
class ListFiles:
    """`list`: show all files; `list NAME...`: show those that are named or match.

    Where no such file exists, `message` is sent instead, unless it is None: the line may have been talk. `sort` is
    "name", "size" or "time"; None leaves the order to the view.
    """

    wanted: Wanted = ()
    message: str | None = None
    sort: str | None = None


@dataclass(frozen=True, slots=True)
class GetFiles:
    """`get NAME...`: download each file that is named or matches.

    `output` is the path under which a single one is saved, or `-` for standard output. `force` replaces a file that
    exists and differs.
    """

    wanted: Wanted
    output: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class HashFiles:
    """`hash NAME...`: show the digest of each file that is named or matches."""

    wanted: Wanted


@dataclass(frozen=True, slots=True)
class WatchClients:
    """`watch`: show every `interval` seconds the clients that are connected; on the command line only."""

    interval: float = DEFAULT_INTERVAL


@dataclass(frozen=True, slots=True)
class ShowServerHelp:
    """`help`: show the server's help."""


@dataclass(frozen=True, slots=True)
class LeaveServer:
    """`exit`: end the session."""


Command = SendMessage | ShowStatus | ListFiles | GetFiles | HashFiles | ShowServerHelp | LeaveServer
"""What can be carried out over one connection, in every mode. `WatchClients` takes a whole run."""

_ALONE: dict[str, Command] = {
    "list": ListFiles(), "status": ShowStatus(), "help": ShowServerHelp(), "exit": LeaveServer(),
}  # fmt: skip
ALIASES = {"ls": "list", "dir": "list", "quit": "exit", "bye": "exit", "q": "exit", "?": "help"}
"""Words that other programs use, each with the command here that does the same."""
_OPTION = r"""(?:--(?P<force>force)|(?:-o|--output)[ =]\s*(?P<output>"[^"]*"|'[^']*'|\S+))"""
_FIRST, _LAST = re.compile(rf"{_OPTION}\s+"), re.compile(rf"\s+{_OPTION}\s*\Z")
_SORT = re.compile(r"(?:^|\s)--sort[ =](name|size|time)(?=\s|$)")


def parse_line(line: str) -> Command:
    """Return the command of a line, a message where it is no other one.

    Spaces around a command don't count; names and messages are taken literally. Raises a `ChatFileError` where the line
    can't be sent.
    """
    command = _parse_command(line.lstrip())
    return SendMessage(_checked(line), mistaken(line)) if command is None else command


def _parse_command(line: str) -> Command | None:
    if line[:4].lower() == "get!":
        line = f"get! {line[4:].lstrip()}"
    word, _, rest = line.partition(" ")
    word = word.lower()
    if (meant := ALIASES.get(word)) is not None:
        word, rest = meant, re.sub(r"(?:^|\s+)-(?!-sort\b)\S+", "", rest)  # `ls -l`
    if not rest.strip():
        return _parse_bare(word.strip())
    parse = _WITH_ARGUMENTS.get(word)
    return None if parse is None else parse(rest, line)


def _parse_bare(word: str) -> Command | None:
    if word in ("get", "get!", "hash", "resume"):
        raise errors.Usage(usage=f"{word} NAME...")
    return _ALONE.get(word)


def _parse_resume(rest: str, _: str) -> Command:
    """Return the download that `resume OFFSET NAME` means; the offset is ignored: a part file tells where to go on."""
    offset, _, name = rest.partition(" ")
    return GetFiles(_checked_name(name if offset.isdecimal() and name else rest))


def _checked_name(name: str) -> str:
    """Return `name`. Raises `BadLine` or `LineTooLong` where it can't be asked for in one line."""
    wire.format_request(wire.Get(name))
    return name


def _checked(text: str) -> str:
    """Return `text`. Raises `BadLine`, `LineTooLong` or `IsCommand` where it can't be sent as a message of one line."""
    wire.format_request(wire.Message(text))
    return text


def _parse_list(rest: str, line: str) -> Command:
    sorts = _SORT.search(rest)
    wanted = f"{rest[: sorts.start()]} {rest[sorts.end() :]}".strip() if sorts else rest
    return ListFiles(wanted or (), line if wanted else None, sorts and sorts[1])


_WITH_ARGUMENTS: dict[str, Callable[[str, str], Command | None]] = {
    "send": lambda rest, _: SendMessage(_checked(rest)),
    "list": _parse_list,
    "status": lambda rest, _: ShowStatus(everyone=True) if rest.strip() == "--all" else None,
    "get": lambda rest, _: GetFiles(_checked_name(rest)),
    "get!": lambda rest, _: GetFiles(_checked_name(rest), force=True),
    "hash": lambda rest, _: HashFiles(_checked_name(rest)),
    "resume": _parse_resume,
}
"""The functions that parse a command with arguments, called with these and with the whole line."""

# --- the prompt ---

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
    ("lcd FOLDER", "save files elsewhere from now on"),
    ("lpwd", "where files are saved"),
    ("help", "this text"),
    ("exit", "leave, when all that was typed is done"),
    ("!list", "the files as the server has it, row by row"),
    ("!status", "who is connected, in the same way"),
    ("!help", "what the server says of its commands"),
    ("!COMMAND", "carried out by a shell here"),
)
"""What can be typed at the prompt, and what it does."""
DESCRIPTIONS: dict[str, str] = {}
"""Every first word of a command of lines, those that only the prompt has too, and what it does."""
for _usage, _meaning in HELP[:-1]:
    DESCRIPTIONS.setdefault(_usage.partition(" ")[0], _meaning)
OPTIONS = {
    "get": {"--force": "replace what is here already", "-o ": "save it under another name"},
    "list": {"--sort name": "a to z", "--sort size": "the largest first", "--sort time": "the latest first"},
    "status": {"--all": "everyone who left, too"},
}
"""The options of commands in lines, as Tab offers them."""
HELP_BELOW = """\
Anything else is a message and comes back with ACK behind it.

Tab completes commands and file names, Ctrl-R searches what was typed before. Ctrl-C drops the line; where there is \
none, it asks and stops the download. Ctrl-D leaves, Ctrl-Z suspends. What is typed during a download is carried out \
behind it."""
RAW: dict[str, Command] = {"!status": ShowStatus(), "!list": ListFiles(), "!help": ShowServerHelp()}
TAKES_A_NAME = ("get", "get!", "hash")


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


def parse_at_prompt(line: str) -> PromptCommand:
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


# --- lines that look like a command ---

_LOOK_ALIKE = {
    "who": "status", "w": "status", "man": "help", "logout": "exit",
    "mget": "get", "fetch": "get", "download": "get", "sha256sum": "hash", "cd": "lcd", "pwd": "lpwd",
}  # fmt: skip
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


def mistaken(text: str) -> str | None:
    """Return a hint for a user whose message `text` looks like a command; None where it looks like any message."""
    words = text.lower().split()
    if not 0 < len(words) <= _LONGEST_MISTAKE:
        return None
    word, is_alone = words[0], not words[1:]
    if word in _HINTS:
        return _HINTS[word]
    if not is_alone and word in ("status", "help", "exit", *RAW):
        return f'"{word}" is a command when nothing stands behind it'
    if is_alone and word in ("lcd", "send"):
        return f'"{word}" is a command when something stands behind it'
    if word in ("lcd", "lpwd", *RAW):
        return f'"{word}" is a command at the prompt alone'
    swapped = [command for command in DESCRIPTIONS if sorted(command) == sorted(word)]
    similar = swapped or difflib.get_close_matches(word, DESCRIPTIONS, 1, _SIMILAR)
    return f'the command is "{similar[0]}"' if similar else None


# --- words ---


def split_options(typed: str) -> tuple[str, str | None, bool]:
    """Return the names that `typed`, the text after `get`, holds, the value of `-o`, and whether there is a `--force`.

    Options may stand before the names or after them. Raises `UnclosedQuote`.
    """
    output, force = None, False
    while option := _FIRST.match(typed) or _LAST.search(typed):
        typed = typed[: option.start()] + typed[option.end() :]
        force = force or option["force"] is not None
        output = option["output"] or output
    return typed, output and split_words(output)[0], force


def split_words(text: str) -> list[str]:
    """Return the words of `text` as a shell reads them. Raises `UnclosedQuote`."""
    try:
        return shlex.split(text)
    except ValueError:
        raise errors.UnclosedQuote(text=wire.printable(text)) from None
