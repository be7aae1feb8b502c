"""The configuration of a run, from the arguments of `chatfile-client` and from environment variables, all checked."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

from chatfile import tls
from chatfile.cli.commands import ALIASES, STDOUT, Command, GetFiles, WatchClients
from chatfile.cli.parser import command_line
from chatfile.cli.values import (
    DEFAULT_DOWNLOADS,
    DEFAULT_PORT,
    DEFAULT_SERVER,
    DEFAULT_TIMEOUT,
    client_endpoint_description,
    parse_folder,
    parse_server_option,
)
from chatfile.typed import TypedLine, options_of

_DEFAULT_ADDRESS = f"{DEFAULT_SERVER}:{DEFAULT_PORT}"
_NOTHING: Mapping[str, str] = MappingProxyType({})
_FROM_ENVIRONMENT = ("server", "downloads", "cafile", "cert", "key")
"""Options that can be set by an environment variable as well, such as CHATFILE_SERVER."""


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """The options, checked, and the command. Without a command, lines are read from standard input or at the prompt."""

    server: str = _DEFAULT_ADDRESS
    """HOST, HOST:PORT, [IPv6]:PORT, or the description of an endpoint."""
    downloads: str = DEFAULT_DOWNLOADS
    timeout: float = DEFAULT_TIMEOUT
    """Seconds without progress before giving up; 0 is never."""
    wait: float = 0.0
    """Seconds for which a server that is full is tried again."""
    limit_rate: int = 0
    """Bytes of files that are read a second; 0 means no limit."""
    cafile: str | None = None
    cert: str | None = None
    key: str | None = None
    as_json: bool = False
    is_quiet: bool = False
    command: Command | WatchClients | None = None
    completion: str | None = None
    """The shell whose completion script is shown, instead of anything else."""

    @property
    def writes_to_stdout(self) -> bool:
        """Tell whether the bytes of a file go to standard output."""
        return isinstance(self.command, GetFiles) and self.command.output == STDOUT


def parse_arguments(arguments: Sequence[str], environment: Mapping[str, str] = _NOTHING) -> ClientConfig:
    """Return the configuration that `arguments` make; `environment` counts for what they leave open.

    An empty variable is no value. Ends the process with status 2 and a message where the arguments are wrong.
    """
    parser = command_line()
    parsed = parser.parse_args(options_first(parser, arguments))
    parser = getattr(parsed, "parser", parser)  # the command's own shows the right usage
    given = {field.name: getattr(parsed, field.name) for field in fields(ClientConfig) if field.name in parsed}
    given["command"] = parsed.make(parsed) if parsed.command else None
    found = {option: value for option in _FROM_ENVIRONMENT if (value := environment.get(f"CHATFILE_{option.upper()}"))}
    for option, check in (("server", parse_server_option), ("downloads", parse_folder)):
        if option in found and option not in given:
            try:
                given[option] = check(found[option])
            except argparse.ArgumentTypeError as error:
                parser.error(f"CHATFILE_{option.upper()}: {error}")
    return _with_certificates(parser, ClientConfig(**given), found)


def _with_certificates(parser: argparse.ArgumentParser, config: ClientConfig, found: Mapping[str, str]) -> ClientConfig:
    """Return `config` with what was `found` in the environment, where its server speaks TLS.

    Ends the process with a message where options about TLS would have no effect.
    """
    if config.key is not None and config.cert is None:
        parser.error("--key goes with --cert")
    if tls.parse_address(config.server) is None:
        for option in ("cafile", "cert"):
            if getattr(config, option) is not None:
                parser.error(f"--{option} goes with --server tls:HOST:PORT")
        return config
    if config.cert is None and "cert" in found:
        config = replace(config, cert=found["cert"], key=found.get("key"))
    return replace(config, cafile=config.cafile or found.get("cafile"))


# --- options anywhere: argparse wants those of a command between it and its names ---


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

    Ends the process with a message where an option is unknown, or an address stands in the place of a command.
    """
    typed = TypedLine(parser, arguments)
    names, command = typed.names, typed.command if typed.names else None
    if typed.unknown:
        parser.error(f'there is no option {typed.unknown[0]}; "{parser.prog} --help" shows those that there are')
    if names and command is None:
        parser.error(_no_command(names, typed.commands))
    common, here = dict(options_of(parser)), dict(options_of(command)) if command else {}
    options = [*typed.given, *([typed.wanting] if typed.wanting else [])]
    for option in options:
        if command is not None and option.name not in common | here:
            command.error(f"{names[0]} has no option {option.name}")
    before = [word for option in options if option.name not in here for word in option.words()]
    behind = [word for option in options if option.name in here for word in option.words()]
    takes_names = command is not None and any(not action.option_strings for action in command._actions)
    return [*before, *names[:1], *behind, *(["--"] if takes_names and names[1:] else []), *names[1:]]
