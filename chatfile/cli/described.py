"""The command line as the shells want it, read from its parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from chatfile.completions import SHELLS, Argument, Command, Kind, Option, Program, RemoteNames, Value

_KINDS = {"FILE": Kind.FILE, "FOLDER": Kind.FOLDER, "NAME": Kind.REMOTE}
"""What the words stand for that --help shows for values; all others could be anything."""
_WORDS = {"SHELL": SHELLS}
_LISTING = ("--quiet", "--timeout", "2", "list")
_SERVER = ("server", "cafile", "cert", "key")
"""Which server it is, and how it is reached."""


def described(parser: argparse.ArgumentParser) -> Program:
    """Everything that `parser` takes."""
    commands = _commands(parser)
    everywhere = set.intersection(*({*command._option_string_actions} for command in commands.values()))
    options = [_option(parser, action) for action in _options(parser)]
    return Program(
        parser.prog,
        tuple(option for option in options if everywhere.issuperset(option.names)),
        tuple(option for option in options if not everywhere.issuperset(option.names)),
        tuple(_command(name, command, everywhere) for name, command in commands.items()),
        RemoteNames(_LISTING, tuple(_names(parser, _SERVER))),
    )


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    choices = (action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(next(choices))


def _options(parser: argparse.ArgumentParser) -> Iterable[argparse.Action]:
    return (action for action in parser._actions if action.option_strings)


def _names(parser: argparse.ArgumentParser, wanted: Iterable[str]) -> Iterable[str]:
    options = {action.dest: action.option_strings for action in _options(parser)}
    return (name for option in wanted for name in options[option])


def _command(name: str, parser: argparse.ArgumentParser, elsewhere: set[str]) -> Command:
    own = [action for action in parser._actions if not elsewhere.intersection(action.option_strings)]
    return Command(
        name,
        str(parser.description),
        tuple(_option(parser, action) for action in own if action.option_strings),
        tuple(Argument(_value(action), action.nargs == "+") for action in own if not action.option_strings),
    )


def _option(parser: argparse.ArgumentParser, action: argparse.Action) -> Option:
    meaning = parser._get_formatter()._expand_help(action)
    return Option(tuple(action.option_strings), meaning, None if action.nargs == 0 else _value(action))


def _value(action: argparse.Action) -> Value:
    title = str(action.metavar)
    if title in _WORDS:
        return Value(Kind.WORD, title, _WORDS[title])
    return Value(_KINDS.get(title, Kind.ANYTHING), title)
