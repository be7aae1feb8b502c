"""What can be asked for: the same commands on the command line, at the prompt and in piped lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from chatfile import errors, wire

STDOUT = "-"
"""What stands for standard output in the place of a file's name."""
DEFAULT_INTERVAL = 2.0
"""Seconds between two looks of `watch`."""

Wanted = tuple[str, ...] | str
"""Names and patterns: as words of a command line; or a text as it was typed, which may be one name with spaces."""


@dataclass(frozen=True, slots=True)
class SendMessage:
    """`send TEXT`, or a line that is no command."""

    text: str


@dataclass(frozen=True, slots=True)
class ShowStatus:
    """`status`, or `status --all`: those who are here and the latest who left, or everyone."""

    everyone: bool = False


@dataclass(frozen=True, slots=True)
class ListFiles:
    """`list`, or `list NAME...`: all files, or those that are named or match.

    Where there is none of them, `message` is sent instead, if there is one: the line may have been talk. `sort` is by
    name, size or time; None as it suits the reader.
    """

    wanted: Wanted = ()
    message: str | None = None
    sort: str | None = None


@dataclass(frozen=True, slots=True)
class GetFiles:
    """`get NAME...`: each file that is named or matches.

    `output` is the path under which a single one is saved, or `-` for standard output; `force` replaces what differs.
    """

    wanted: Wanted
    output: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class HashFiles:
    """`hash NAME...`: the digest of each file that is named or matches."""

    wanted: Wanted


@dataclass(frozen=True, slots=True)
class WatchClients:
    """`watch`, with a look every `interval` seconds; on the command line only."""

    interval: float = DEFAULT_INTERVAL


@dataclass(frozen=True, slots=True)
class ShowServerHelp:
    """`help`: what the server says of its commands."""


@dataclass(frozen=True, slots=True)
class LeaveServer:
    """`exit`."""


Command = SendMessage | ShowStatus | ListFiles | GetFiles | HashFiles | WatchClients | ShowServerHelp | LeaveServer

_ALONE: dict[str, Command] = {
    "list": ListFiles(), "status": ShowStatus(), "help": ShowServerHelp(), "exit": LeaveServer(),
}  # fmt: skip
_ALIASES = {"ls": "list", "dir": "list", "quit": "exit", "bye": "exit", "q": "exit", "?": "help"}
"""Words of other clients, and ours that is meant by them."""
_OPTION = r"""(?:--(?P<{0}force>force)|(?:-o|--output)[ =]\s*(?P<{0}output>"[^"]*"|'[^']*'|\S+))"""
_FIRST = re.compile(rf"{_OPTION.format('first_')}\s+")
_SORT = re.compile(r"(?:^|\s)--sort[ =](name|size|time)(?=\s|$)")
_LAST = re.compile(rf"\s+{_OPTION.format('last_')}\s*\Z")


def parse_line(line: str) -> Command:
    """Return what a line asks for; spaces around a command are forgiven, names and messages are taken to the letter.

    Raises a `ChatFileError` where it can't be sent.
    """
    command = _parse_command(line.lstrip())
    return SendMessage(_checked(line)) if command is None else command


def _parse_command(line: str) -> Command | None:
    if line[:4].lower() == "get!":
        line = f"get! {line[4:].lstrip()}"
    word, _, rest = line.partition(" ")
    word = word.lower()
    if (meant := _ALIASES.get(word)) is not None:
        word, rest = meant, re.sub(r"(?:^|\s+)-(?!-sort\b)\S+", "", rest)  # `ls -l`
    if not rest.strip():
        return _parse_bare(word.strip())
    parse = _WITH_ARGUMENTS.get(word)
    return None if parse is None else parse(rest, line)


def _parse_bare(word: str) -> Command | None:
    if word in ("get", "get!", "hash", "resume"):
        raise errors.Usage(usage=f"{word} NAME")
    return _ALONE.get(word)


def _parse_resume(rest: str, _: str) -> Command:
    """Forgive an offset: from which byte on a file is missing is known here."""
    offset, _, name = rest.partition(" ")
    return GetFiles(_checked_name(name if offset.isdecimal() and name else rest))


def _checked_name(name: str) -> str:
    """Return `name`, which can be asked for in one line. Raises `BadLine`, `LineTooLong`."""
    wire.format_request(wire.Get(name))
    return name


def _checked(text: str) -> str:
    """Return `text`, which can be sent as one line. Raises `BadLine`, `LineTooLong`, `IsCommand`."""
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
"""The commands with something behind them, each made of that and of the whole line."""


def split_options(typed: str) -> tuple[str, str | None, bool]:
    """Return what is left of the text behind `get` without its options, the value of `-o`, and whether to `--force`.

    They may stand before the names or behind them. Raises `UnclosedQuote`.
    """
    output, force, found = None, False, True
    while found:
        found = False
        for pattern, name in ((_FIRST, "first_"), (_LAST, "last_")):
            if match := pattern.match(typed) if name == "first_" else pattern.search(typed):
                typed = typed[match.end() :] if name == "first_" else typed[: match.start()]
                force = force or match[f"{name}force"] is not None
                output = match[f"{name}output"] or output
                found = True
    return typed, output and split_words(output)[0], force


def split_words(text: str) -> list[str]:
    """Return the words of `text` as a shell reads them. Raises `UnclosedQuote`."""
    try:
        return shlex.split(text)
    except ValueError:
        raise errors.UnclosedQuote(text=wire.printable(text)) from None
