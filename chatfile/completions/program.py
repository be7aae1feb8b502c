"""What a shell has to know of a program."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass


class Kind(enum.Enum):
    """What a word of the line stands for."""

    ANYTHING = "anything"
    """What no shell can know: a number, an address, a text."""
    FILE = "file"
    FOLDER = "folder"
    WORD = "word"
    """One of a few words."""
    REMOTE = "remote"
    """The name of a file that the program can list."""


@dataclass(frozen=True)
class Value:
    """What is expected behind an option, or as an argument."""

    kind: Kind
    title: str
    words: tuple[str, ...] = ()
    """Those to choose from, where it is one of a few."""


@dataclass(frozen=True)
class Option:
    """Something that begins with a dash."""

    names: tuple[str, ...]
    """All of them with their dashes."""
    meaning: str
    value: Value | None = None
    may_repeat: bool = False

    @property
    def short(self) -> tuple[str, ...]:
        """The names with one dash."""
        return tuple(name for name in self.names if not name.startswith("--"))

    @property
    def long(self) -> tuple[str, ...]:
        """The names with two."""
        return tuple(name for name in self.names if name.startswith("--"))


@dataclass(frozen=True)
class Argument:
    """Something in a place of its own behind a command."""

    value: Value
    may_repeat: bool = False


@dataclass(frozen=True)
class Command:
    """A word that says what is to be done, and what goes with it alone."""

    name: str
    meaning: str
    options: tuple[Option, ...] = ()
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True)
class RemoteNames:
    """How the program is asked for the names of remote files: its rows end in `Z`, two spaces, and a name."""

    words: tuple[str, ...]
    options: tuple[str, ...]
    """All names of those options of the line that are given to it as well; each has a value."""


@dataclass(frozen=True)
class Program:
    """A whole command line."""

    name: str
    anywhere: tuple[Option, ...]
    """Options before a command or behind it."""
    options: tuple[Option, ...] = ()
    """Options before a command only."""
    commands: tuple[Command, ...] = ()
    listing: RemoteNames | None = None

    @property
    def prefix(self) -> str:
        """What every function begins with."""
        return "_" + re.sub(r"[^0-9A-Za-z]", "_", self.name)

    def every_option(self) -> Iterator[tuple[str | None, Option]]:
        """With the command behind which it may stand: the empty one before all, None anywhere."""
        yield from ((None, option) for option in self.anywhere)
        yield from (("", option) for option in self.options)
        yield from ((command.name, option) for command in self.commands for option in command.options)
