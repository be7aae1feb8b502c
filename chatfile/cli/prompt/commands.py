"""The commands of a line at the prompt: those that every mode knows, and the few that only the prompt has."""

from __future__ import annotations

from dataclasses import dataclass

from chatfile.cli.commands import Command, ListFiles, ShowServerHelp, ShowStatus, parse_line, split_words

RAW: dict[str, Command] = {"!status": ShowStatus(), "!list": ListFiles(), "!help": ShowServerHelp()}
TAKES_A_NAME = ("get", "get!", "hash")
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
