"""What the parsers of both programs say: the synopsis, and what options take."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from chatfile.cli.parser import command_line
from chatfile.options import Options
from tests.manual import roff

_SERVER_VALUES = {
    "port": "PORT",
    "files": "FOLDER",
    "max-clients": "NUMBER",
    "max-per-address": "NUMBER",
    "waiting": "NUMBER",
    "rate": "BYTES",
    "rate-per-client": "BYTES",
    "history": "NUMBER",
    "state": "FOLDER",
    "idle-timeout": "SECONDS",
    "line-timeout": "SECONDS",
    "stall-timeout": "SECONDS",
    "flush-timeout": "SECONDS",
    "disk-timeout": "SECONDS",
    "drain-timeout": "SECONDS",
    "certificate": "FILE",
    "key": "FILE",
    "client-ca": "FILE",
    "cluster": "URL",
    "cluster-name": "NAME",
    "lease": "SECONDS",
    "completion": "SHELL",
}
"""What the options take: Twisted's parser has no words for it."""


def commands() -> dict[str, argparse.ArgumentParser]:
    """Those of the client."""
    kind = argparse._SubParsersAction
    return next(dict(action.choices) for action in command_line()._actions if isinstance(action, kind))


def _of_every_command() -> set[str]:
    return {option for action in command_line()._actions for option in action.option_strings}


def _own(command: argparse.ArgumentParser) -> list[argparse.Action]:
    """What only this command takes."""
    common = _of_every_command()
    return [action for action in command._actions if not common.intersection(action.option_strings)]


def client_actions() -> Iterator[tuple[str, argparse.Action]]:
    """Every option, behind the command that it belongs to, or "" where it belongs to all."""
    yield from (("", action) for action in command_line()._actions if action.option_strings)
    for name, command in commands().items():
        yield from ((name, action) for action in _own(command) if action.option_strings)


def _taken(action: argparse.Action) -> str:
    return roff.font("I", roff.code(str(action.metavar)))


def _usage(action: argparse.Action) -> str:
    if not action.option_strings:
        several = _taken(action) + (" ..." if action.nargs in ("*", "+") else "")
        return f"[{several}]" if action.nargs == "*" else several
    option = roff.font("B", roff.code(action.option_strings[0]))
    return f"[{option}]" if action.nargs == 0 else rf"[{option}\ {_taken(action)}]"


def _synopsis(*usages: tuple[str, str]) -> list[str]:
    lines = [line for program, usage in usages for line in (f".SY {roff.code(program)}", usage)]
    return [*lines, ".YS"]


def client_synopsis() -> list[str]:
    """A line without a command, and one for each."""
    options = "[" + roff.font("I", "options") + "]"
    usages = [
        " ".join([options, roff.font("B", name), *map(_usage, _own(command))]) for name, command in commands().items()
    ]
    return _synopsis(*(("chatfile-client", usage) for usage in (options, *usages)))


def server_synopsis() -> list[str]:
    """As a program of its own, and as one of twistd's."""
    options = "[" + roff.font("I", "options") + "]"
    of_twistd = "[" + roff.font("I", "options of twistd") + "]"
    return _synopsis(("chatfile-server", options), ("twistd", f"{of_twistd} {roff.font('B', 'chatfile')} {options}"))


def client_purpose() -> str:
    return _purpose(str(command_line().description))


def server_purpose() -> str:
    return _purpose(Options.longdesc)


def _purpose(text: str) -> str:
    return text[0].lower() + text[1:].rstrip(".")


def client_values() -> dict[str, str]:
    """What each option takes."""
    return {option: str(action.metavar) for _, action in client_actions() for option in action.option_strings}


def server_values() -> dict[str, str]:
    """The same, of the server."""
    shorts = {short: name for name, short, *_ in Options.optParameters if short}
    values = {f"--{name}": value for name, value in _SERVER_VALUES.items()}
    return values | {f"-{short}": _SERVER_VALUES[name] for short, name in shorts.items()}


def server_options() -> set[str]:
    """Every option of the server as it is typed."""
    options = Options()
    return {f"--{name.rstrip('=')}" for name in options.longOpt} | {
        f"-{name}" for name in options.shortOpt if name != ":"
    }
