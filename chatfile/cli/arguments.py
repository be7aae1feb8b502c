"""The configuration of a run, from the arguments of `chatfile-client` and from environment variables, all checked."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from types import MappingProxyType

from chatfile import errors, tls, wire
from chatfile.cli.commands import (
    ALIASES,
    Command,
    GetFiles,
    HashFiles,
    ListFiles,
    SendMessage,
    ShowServerHelp,
    ShowStatus,
    WatchClients,
)
from chatfile.cli.config import DEFAULT_DOWNLOADS, DEFAULT_PORT, DEFAULT_SERVER, ClientConfig
from chatfile.cli.parser import client_endpoint_description, command_line, parse_folder, parse_server_option, utf8

_DEFAULT_ADDRESS = f"{DEFAULT_SERVER}:{DEFAULT_PORT}"
_NOTHING: Mapping[str, str] = MappingProxyType({})
_FROM_ENVIRONMENT = ("server", "downloads", "cafile", "cert", "key")
"""Options that can be set by an environment variable as well, such as CHATFILE_SERVER."""


def _check_tls(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> None:
    """End the process with a message where options about TLS would have no effect."""
    if parsed.key is not None and parsed.cert is None:
        parser.error("--key goes with --cert")
    for option in ("cafile", "cert"):
        if getattr(parsed, option) is not None and tls.parse_address(parsed.server) is None:
            parser.error(f"--{option} goes with --server tls:HOST:PORT")


def parse_arguments(arguments: Sequence[str], environment: Mapping[str, str] = _NOTHING) -> ClientConfig:
    """Return the configuration that `arguments` make; `environment` counts for what they leave open.

    An empty variable is no value. Ends the process with status 2 and a message where the arguments are wrong.
    """
    parser = command_line()
    parsed = parser.parse_args(options_first(parser, arguments))
    parser = vars(parsed).pop("parser", parser)  # the command's own shows the right usage
    found = {option: environment.get(f"CHATFILE_{option.upper()}") or None for option in _FROM_ENVIRONMENT}
    _take_places(parser, parsed, found)
    _check_tls(parser, parsed)
    _take_certificates(parsed, found)
    return ClientConfig(
        server=parsed.server,
        downloads=parsed.downloads,
        timeout=parsed.timeout,
        wait=parsed.wait,
        cafile=parsed.cafile,
        cert=parsed.cert,
        key=parsed.key,
        as_json=parsed.json,
        is_quiet=parsed.quiet,
        command=_command(parser, parsed),
        completion=parsed.completion,
    )


def _take_places(parser: argparse.ArgumentParser, parsed: argparse.Namespace, found: Mapping[str, str | None]) -> None:
    """Fill in the server and the folder for downloads, where the command line leaves them open."""
    for option, check, otherwise in (
        ("server", parse_server_option, _DEFAULT_ADDRESS),
        ("downloads", parse_folder, DEFAULT_DOWNLOADS),
    ):
        if getattr(parsed, option) is None:
            try:
                setattr(parsed, option, check(found[option] or otherwise))
            except argparse.ArgumentTypeError as error:
                parser.error(f"CHATFILE_{option.upper()}: {error}")


def _take_certificates(parsed: argparse.Namespace, found: Mapping[str, str | None]) -> None:
    """Fill in certificates, for servers that speak TLS alone, and the key that belongs to one of them."""
    if tls.parse_address(parsed.server) is None:
        return
    parsed.cafile = parsed.cafile or found["cafile"]
    if parsed.cert is None and found["cert"] is not None:
        parsed.cert, parsed.key = found["cert"], found["key"]


def _command(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> Command | WatchClients | None:
    match parsed.command:
        case "send":
            return SendMessage(_checked_message(parser, " ".join(parsed.words)))
        case "get":
            if parsed.output is not None and len(parsed.names) > 1:
                parser.error(f"-o names one file, but {len(parsed.names)} were asked for")
            return GetFiles(tuple(parsed.names), parsed.output, parsed.force)
        case "list" | "hash" as name:
            names = tuple(parsed.names)
            return ListFiles(names, sort=parsed.sort) if name == "list" else HashFiles(names)
        case "watch":
            return WatchClients(parsed.interval)
    return ShowStatus(parsed.all) if parsed.command == "status" else ShowServerHelp() if parsed.command else None


def _checked_message(parser: argparse.ArgumentParser, words: str) -> str:
    text = utf8(words)
    try:
        wire.format_request(wire.Message(text))
    except errors.ChatFileError as error:
        parser.error(str(error))
    return text


# --- options anywhere: argparse wants those of a command between it and its names ---

_Known = Mapping[str, argparse.Action]


class _Unknown(Exception):
    """Raised for an option that nobody knows, with its name."""


def _is_address(word: str) -> bool:
    """Tell whether a word looks like the address of a server, and like nothing else."""
    try:
        return ":" in word and bool(client_endpoint_description(word))
    except ValueError:
        return False


def _no_command(names: Sequence[str], commands: Mapping[str, object]) -> str:
    """Return what to say of a first word that is no command: what may have been meant by it."""
    word = names[0]
    if _is_address(word) or (len(names) > 1 and names[1] in commands):
        return f'"{word}" is no command; to talk to that server, use -s {word}'
    meant = ALIASES.get(word) or next(iter(difflib.get_close_matches(word, commands, 1)), "")
    hint = f'; did you mean "{meant}"?' if meant in commands else f" (choose from {', '.join(commands)})"
    return f'"{word}" is no command{hint}'


def options_first(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> list[str]:
    """Return `arguments` in the order that argparse understands: options, the command, its options, `--`, its names.

    They are returned as they are where there is no command, or where one has names and takes none: `parser` complains
    of that. Ends the process with a message where an option is unknown, or an address stands in the place of a command.
    """
    commands = _commands(parser)
    known: dict[str, argparse.Action] = {}
    for each in (parser, *commands.values()):
        known |= each._option_string_actions
    try:
        names, options = _separate_options(known, arguments)
    except _Unknown as unknown:
        parser.error(f'there is no option {unknown}; "{parser.prog} --help" shows those that there are')
    if names and names[0] not in commands:
        parser.error(_no_command(names, commands))
    for option in options if names else ():
        if not {_name(option[0])} & {*parser._option_string_actions, *commands[names[0]]._option_string_actions}:
            commands[names[0]].error(f"{names[0]} has no option {_name(option[0])}")
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


def _separate_options(known: _Known, arguments: Iterable[str]) -> tuple[list[str], list[list[str]]]:
    """Return the words that are no options, and the options, each with its value. Raises `_Unknown`."""
    names: list[str] = []
    options: list[list[str]] = []
    rest = iter(arguments)
    for word in rest:
        if word == "--":
            names.extend(rest)
        elif word.startswith("-") and word != "-":
            value = islice(rest, 1) if _takes_next_word(known, word) else ()
            options.append([word, *value])
        else:
            names.append(word)
    return names, options


def _name(word: str) -> str:
    """Return the name, with its dashes, of the option that `word` begins with."""
    return word.partition("=")[0] if word.startswith("--") else word[:2]


def _takes_next_word(known: _Known, word: str) -> bool:
    """Tell whether the word after this option is its value. Raises `_Unknown`."""
    if word.startswith("--"):
        return _takes_value(known, word) and "=" not in word
    letters = word[1:]
    for at, letter in enumerate(letters):
        if _takes_value(known, f"-{letter}"):
            return at == len(letters) - 1
    return False


def _takes_value(known: _Known, name: str) -> bool:
    action = known.get(name.partition("=")[0])
    if action is None:
        raise _Unknown(name.partition("=")[0])
    return action.nargs != 0
