"""The reading of a command line, whole or as far as it is typed, by its argparse parser: options may stand anywhere."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple


class GivenOption(NamedTuple):
    """An option that was typed: `name` with its dashes, and the value behind it, None where there is none."""

    name: str
    action: argparse.Action
    value: str | None

    def words(self) -> list[str]:
        """Return the option as argparse understands it, also where the value begins with a dash."""
        if self.value is None:
            return [self.name]
        if self.name.startswith("--"):
            return [f"{self.name}={self.value}"]
        return [f"{self.name}{self.value}"] if self.value else [self.name, ""]


class TypedLine:
    """The words of a command line: the command and its arguments, and the options, up to a `--`, among them."""

    def __init__(self, parser: argparse.ArgumentParser, words: Iterable[str]) -> None:
        """Read `words`, those after the name of the program."""
        self.program = parser
        """The parser of the whole command line."""
        self.commands = _commands(parser)
        self._known = {name: action for each in (*self.commands.values(), parser) for name, action in options_of(each)}
        self.names: list[str] = []
        """The words that are no options: the command, if the program has some, and its arguments."""
        self.given: list[GivenOption] = []
        self.unknown: list[str] = []
        """What looks like an option, and is none."""
        self.wanting: GivenOption | None = None
        """The option whose value comes next; None where none is open."""
        self.is_ended = False
        """Whether there was a `--`."""
        for word in words:
            self._read(word)

    @property
    def command(self) -> argparse.ArgumentParser | None:
        """Return the parser of the command that was typed; None where there is no such command."""
        return self.commands.get(self.names[0]) if self.commands and self.names else self.program

    def option(self, name: str) -> argparse.Action | None:
        """Return the option with this name, which includes its dashes; None where there is none."""
        return self._known.get(name)

    def argument(self) -> argparse.Action | None:
        """Return the positional argument that comes next; None where no more may come."""
        count = len(self.names) - bool(self.commands)
        arguments = [each for each in self.command._actions if not each.option_strings] if self.command else []
        if arguments and count >= len(arguments) and arguments[-1].nargs in ("+", "*"):
            return arguments[-1]
        return arguments[count] if count < len(arguments) else None

    def _read(self, word: str) -> None:
        if self.wanting is not None:
            self.given.append(self.wanting._replace(value=word))
            self.wanting = None
        elif self.is_ended or not word.startswith("-") or word == "-":
            self.names.append(word)
        elif word == "--":
            self.is_ended = True
        elif word.startswith("--"):
            name, equals, value = word.partition("=")
            self._take(name, value if equals else None)
        else:
            self._read_letters(word[1:])

    def _read_letters(self, letters: str) -> None:
        action = self.option(f"-{letters[0]}")
        if action is not None and action.nargs == 0 and letters[1:]:
            self._take(f"-{letters[0]}", None)
            self._read_letters(letters[1:])
        else:
            self._take(f"-{letters[0]}", letters[1:].removeprefix("=") if letters[1:] else None)

    def _take(self, name: str, value: str | None) -> None:
        action = self.option(name)
        if action is None:
            self.unknown.append(name)
        elif action.nargs == 0 or value is not None:
            self.given.append(GivenOption(name, action, value))
        else:
            self.wanting = GivenOption(name, action, None)


def options_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    """Yield the options of a parser by their names."""
    return ((name, action) for action in parser._actions for name in action.option_strings)


def _commands(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    choices = (action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return next(choices, {})
