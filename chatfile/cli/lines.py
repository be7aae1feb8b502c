"""Lines that are typed or piped in: which command each is, and its words and options."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chatfile import errors, wire
from chatfile.cli.commands import (
    ALIASES,
    DESCRIPTIONS,
    RAW,
    ChangeFolder,
    Command,
    GetFiles,
    HashFiles,
    LeaveServer,
    ListFiles,
    MirrorFolder,
    PromptCommand,
    RunShell,
    SendMessage,
    ShowFolder,
    ShowPromptHelp,
    ShowRaw,
    ShowServerHelp,
    ShowStatus,
    ShowTree,
    WriteSums,
)

_ALONE: dict[str, Command] = {
    "list": ListFiles(), "tree": ShowTree(), "mirror": MirrorFolder(), "sums": WriteSums(), "status": ShowStatus(),
    "help": ShowServerHelp(), "exit": LeaveServer(),
}  # fmt: skip
_FLAGS = {"--force": "force", "--checksum": "by_digest"}
_VALUES = {"-o": "output", "--output": "output", "--sha256": "sha256", "--sums": "sums"}
_OPTION = rf"""(?:(?P<flag>{"|".join(_FLAGS)})|(?P<name>{"|".join(_VALUES)})[ =]\s*(?P<value>"[^"]*"|'[^']*'|\S+))"""
_FIRST, _LAST, _ALL = re.compile(rf"{_OPTION}\s+"), re.compile(rf"\s+{_OPTION}\s*\Z"), re.compile(_OPTION)
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


def _parse_tree(rest: str, line: str) -> Command:
    folder = rest.strip()
    return ShowTree(folder.rstrip("/"), None if folder.endswith("/") else line)


_MIRROR_FLAGS = {
    "--delete": "delete", "-n": "is_dry_run", "--dry-run": "is_dry_run", "--force": "force", "--checksum": "by_digest",
}  # fmt: skip


def _parse_mirror(rest: str, _: str) -> Command:
    words, flags, folders = iter(split_words(rest)), set[str](), list[str]()
    patterns: dict[str, list[str]] = {"--include": [], "--exclude": []}
    for word in words:
        option, equals, value = word.partition("=")
        if word in _MIRROR_FLAGS:
            flags.add(_MIRROR_FLAGS[word])
        elif option in patterns:
            patterns[option].append(value if equals else next(words, ""))
        elif word.startswith("-"):
            raise errors.UnknownOption(option=wire.printable(word))
        else:
            folders.append(word.rstrip("/"))
    if len(folders) > 1:
        raise errors.Usage(usage="mirror [FOLDER]")
    include, exclude = map(tuple, patterns.values())
    return MirrorFolder("".join(folders), include=include, exclude=exclude, **dict.fromkeys(flags, True))


_WITH_ARGUMENTS: dict[str, Callable[[str, str], Command | None]] = {
    "send": lambda rest, _: SendMessage(_checked(rest)),
    "list": _parse_list,
    "tree": _parse_tree,
    "mirror": _parse_mirror,
    "sums": lambda rest, _: WriteSums(_checked_name(rest)),
    "status": lambda rest, _: ShowStatus(everyone=True) if rest.strip() == "--all" else None,
    "get": lambda rest, _: GetFiles(_checked_name(rest)),
    "get!": lambda rest, _: GetFiles(_checked_name(rest), force=True),
    "hash": lambda rest, _: HashFiles(_checked_name(rest)),
    "resume": _parse_resume,
}
"""The functions that parse a command with arguments, called with these and with the whole line."""


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
        return ChangeFolder(rest.strip())
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


def split_options(command: GetFiles) -> GetFiles:
    """Return the command with the options that its text, typed after `get`, begins or ends with.

    Raises `UnclosedQuote`.
    """
    typed = command.wanted
    given: dict[str, Any] = {}
    while isinstance(typed, str) and (option := _FIRST.match(typed) or _LAST.search(typed) or _ALL.fullmatch(typed)):
        typed = typed[: option.start()] + typed[option.end() :]
        if option["flag"]:
            given[_FLAGS[option["flag"]]] = True
        else:
            given.setdefault(_VALUES[option["name"]], split_words(option["value"])[0])
    return replace(command, wanted=typed or (), **given)


def split_words(text: str) -> list[str]:
    """Return the words of `text` as a shell reads them. Raises `UnclosedQuote`."""
    try:
        return shlex.split(text)
    except ValueError:
        raise errors.UnclosedQuote(text=wire.printable(text)) from None
