"""Options anywhere on the command line: argparse wants those of a command between it and its names."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

_Known = Mapping[str, argparse.Action]


class _Unknown(Exception):
    """An option that nobody knows."""


def options_first(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> list[str]:
    """The same command line in the order in which `parser`, whose commands have parsers of their own, understands it.

    As it is where there is no command, or one that takes no names has some, or an option that nobody knows: argparse
    says so.
    """
    commands = _commands(parser)
    known: dict[str, argparse.Action] = {}
    for each in (parser, *commands.values()):
        known |= each._option_string_actions
    try:
        names, options = _parted(known, arguments)
    except _Unknown:
        return list(arguments)
    if not names or names[0] not in commands or (names[1:] and not _takes_names(commands[names[0]])):
        return list(arguments)
    here = commands[names[0]]._option_string_actions
    before = [word for option in options if _name(option[0]) not in here for word in option]
    behind = [word for option in options if _name(option[0]) in here for word in option]
    return [*before, names[0], *behind, *(["--", *names[1:]] if names[1:] else [])]


def _commands(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    actions = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    choices: Mapping[str, argparse.ArgumentParser] = next(actions).choices
    return choices


def _takes_names(command: argparse.ArgumentParser) -> bool:
    return any(not action.option_strings for action in command._actions)


def _parted(known: _Known, arguments: Iterable[str]) -> tuple[list[str], list[list[str]]]:
    """The names, and the options each with its value. Raises `_Unknown`."""
    names: list[str] = []
    options: list[list[str]] = []
    rest = iter(arguments)
    for word in rest:
        if word == "--":
            names.extend(rest)
        elif word.startswith("-") and word != "-":
            value = islice(rest, 1) if _wants_the_next(known, word) else ()
            options.append([word, *value])
        else:
            names.append(word)
    return names, options


def _name(word: str) -> str:
    """Of an option as it was typed."""
    return word.partition("=")[0] if word.startswith("--") else word[:2]


def _wants_the_next(known: _Known, word: str) -> bool:
    """Whether the value of an option is the word behind it. Raises `_Unknown`."""
    if word.startswith("--"):
        return "=" not in word and _takes_value(known, word)
    letters = word[1:]
    for at, letter in enumerate(letters):
        if _takes_value(known, f"-{letter}"):
            return at == len(letters) - 1
    return False


def _takes_value(known: _Known, name: str) -> bool:
    action = known.get(name.partition("=")[0])
    if action is None:
        raise _Unknown
    return action.nargs != 0
