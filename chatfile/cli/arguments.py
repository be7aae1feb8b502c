"""What the user typed behind `chatfile-client`, checked."""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

from chatfile import errors, program_and_version, tls, wire
from chatfile.cli.commands import (
    DEFAULT_INTERVAL,
    Command,
    GetFiles,
    HashFiles,
    ListFiles,
    SendMessage,
    ShowServerHelp,
    ShowStatus,
    WatchClients,
)
from chatfile.cli.config import DEFAULT_DOWNLOADS, DEFAULT_PORT, DEFAULT_SERVER, DEFAULT_TIMEOUT, ClientConfig
from chatfile.cli.intermixed import options_first

LAST_PORT = 65535
SHORTEST_INTERVAL = 0.1

_DEFAULT_ADDRESS = f"{DEFAULT_SERVER}:{DEFAULT_PORT}"
_NOTHING: Mapping[str, str] = MappingProxyType({})
_FROM_ENVIRONMENT = ("server", "downloads", "cafile", "cert", "key")
"""Options that CHATFILE_SERVER and the like stand for."""
_ENDPOINT = re.compile(r"(tcp|tls|unix):")  # not ssl: it would verify nothing of the server
_BRACKETED = re.compile(r"\[([^\]]+)\](?::([0-9]+))?")
_HOST = re.compile(r"([^:\[\]\s]+)(?::([0-9]+))?")


def endpoint_description(server: str) -> str:
    """The client endpoint description that HOST, HOST:PORT, [::1]:PORT, or a description itself stands for.

    Raises ValueError.
    """
    if _ENDPOINT.match(server):
        tls.parse_address(server)
        return server
    match = _BRACKETED.fullmatch(server) or _HOST.fullmatch(server)
    host, port = match.groups() if match else (server, None)
    if match is None:
        ipaddress.IPv6Address(server.partition("%")[0])
    number = DEFAULT_PORT if port is None else int(port)
    if not 0 < number <= LAST_PORT:
        raise ValueError(f"there is no port {number}")
    escaped = host.replace("\\", "\\\\").replace(":", "\\:").replace("=", "\\=")
    return f"tcp:host={escaped}:port={number}"


def _server(text: str) -> str:
    try:
        endpoint_description(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is none of HOST, HOST:PORT, [IPv6]:PORT, tcp:..., tls:... or unix:PATH"
        ) from None
    return text


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return number


def _interval(text: str) -> float:
    number = _seconds(text)
    if number < SHORTEST_INTERVAL:
        raise argparse.ArgumentTypeError(f"{text!r} is less than {SHORTEST_INTERVAL:g} seconds")
    return number


def _folder(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("it needs the name of a folder")
    return text


def _file(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("it needs the name of a file")
    return text


def _utf8(argument: str) -> str:
    """What its bytes say as UTF-8, whatever the locale took them for: a locale may lack most characters."""
    return argument.encode(errors="surrogateescape").decode(errors="surrogateescape")


def _checked(check: Callable[[str], object]) -> Callable[[str], str]:
    """The text as UTF-8, if `check` raises nothing about it."""

    def parse(argument: str) -> str:
        text = _utf8(argument)
        try:
            check(text)
        except errors.ChatFileError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return text

    return parse


def _check_requested(name: str) -> None:
    wire.check_name(name)
    wire.format_request(wire.Get(name))


def _add_options(parser: argparse.ArgumentParser, *, again: bool) -> None:
    """The options, which may stand before the command or behind it; there (`again`) without defaults of their own."""

    def default(value: object) -> object:
        return argparse.SUPPRESS if again else value

    add = parser.add_argument
    add(
        "-s", "--server", type=_server, metavar="ADDRESS", default=default(None),
        help=f"HOST, HOST:PORT, [::1]:PORT, or an endpoint such as unix:PATH [{DEFAULT_SERVER}:{DEFAULT_PORT}]",
    )  # fmt: skip
    add(
        "-d", "--downloads", type=_folder, metavar="FOLDER", default=default(None),
        help=f"where files are saved, created when needed [{DEFAULT_DOWNLOADS}]",
    )  # fmt: skip
    add(
        "--timeout", type=_seconds, metavar="SECONDS", default=default(DEFAULT_TIMEOUT),
        help="without progress before giving up, 0: never; behind a file, a second more per 20 MB of it, for its digest"
        f" [{DEFAULT_TIMEOUT:g}]",
    )  # fmt: skip
    add(
        "--wait", type=_seconds, metavar="SECONDS", default=default(0.0),
        help="where the server is full, keep trying for so long [0]",
    )  # fmt: skip
    add(
        "--cafile", type=_file, metavar="FILE", default=default(None),
        help="behind tls:, the certificates (PEM) of the authorities to trust instead of the system's",
    )  # fmt: skip
    add(
        "--cert", type=_file, metavar="FILE", default=default(None),
        help="behind tls:, your own certificate (PEM), for a server that wants one",
    )  # fmt: skip
    add(
        "--key", type=_file, metavar="FILE", default=default(None),
        help="its key (PEM), if that is not in the same file",
    )  # fmt: skip
    add("--json", action="store_true", default=default(False), help="machine-readable output, one JSON object a line")
    add(
        "-q", "--quiet", action="store_true", default=default(False),
        help="results and errors only, no progress and no notes",
    )  # fmt: skip


_NAME_HELP = (
    "a name as `list` shows it, or a pattern in quotation marks: * any text, ? any character, [abc] one of these"
)


class _Parser(argparse.ArgumentParser):
    """One whose complaints, which quote the arguments, can be shown."""

    def error(self, message: str) -> NoReturn:
        super().error(wire.printable(message))

    def _print_message(self, message: str, file: Any = None) -> None:
        """Of a stream that nobody reads, the exit code tells."""
        with contextlib.suppress(OSError):
            super()._print_message(message, file)


def command_line() -> argparse.ArgumentParser:
    """The parser of all that can be typed."""
    parser = _Parser(
        prog="chatfile-client",
        usage="%(prog)s [OPTION...] [COMMAND [ARGUMENT...]]",
        description="Talk to a chatfile server: messages, lists, verified downloads.",
        epilog="Without a command: a prompt on a terminal; otherwise the lines of standard input.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the version and exit")
    parser.add_argument(
        "--completion", type=_shell, metavar="SHELL",
        help="show what completes this command line in a shell (bash, zsh, fish), and exit",
    )  # fmt: skip
    _add_options(parser, again=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", prog=parser.prog)

    def command(name: str, text: str, arguments: str = "") -> argparse.ArgumentParser:
        usage = f"%(prog)s [OPTION...]{arguments}"
        added = commands.add_parser(name, help=text, description=text, allow_abbrev=False, usage=usage)
        _add_options(added, again=True)
        added.set_defaults(parser=added)
        return added

    send = command("send", "send a message and show what comes back", " TEXT...")
    send.add_argument("words", metavar="TEXT", nargs="+")
    status = command("status", "show who is connected and who was")
    status.add_argument("--all", action="store_true", help="on a terminal everyone who left, not the latest ten")
    listing = command("list", "show the files that there are, or those that are named or match", " [NAME...]")
    listing.add_argument("names", metavar="NAME", nargs="*", type=_checked(_check_requested), help=_NAME_HELP)
    listing.add_argument(
        "--sort", choices=("name", "size", "time"), metavar="ORDER",
        help="by name, size (the largest first) or time (the latest first)",
    )  # fmt: skip
    command("help", "show what the server says of its commands")
    digest = command("hash", "show the SHA-256 of files, computed by the server", " NAME...")
    digest.add_argument("names", metavar="NAME", nargs="+", type=_checked(_check_requested), help=_NAME_HELP)
    get = command("get", "download files, verified and resumed; what is here already is not sent again", " NAME...")
    get.add_argument("names", metavar="NAME", nargs="+", type=_checked(_check_requested), help=_NAME_HELP)
    get.add_argument("-o", "--output", type=_file, metavar="FILE", help="save under this name; - for standard output")
    get.add_argument("--force", action="store_true", help="replace a file that exists and differs")
    watch = command("watch", "show who is connected and how fast they are sent files, until q or Ctrl-C")
    watch.add_argument(
        "--interval", type=_interval, metavar="SECONDS", default=DEFAULT_INTERVAL,
        help=f"between two looks, at least {SHORTEST_INTERVAL:g} [{DEFAULT_INTERVAL:g}]",
    )  # fmt: skip
    return parser


class _ShowVersion(argparse.Action):
    """Looks it up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser._print_message(f"{program_and_version()}\n", sys.stdout)  # as --help; what exit says is an error
        parser.exit()


def _shell(text: str) -> str:
    from chatfile.completion import SHELLS  # noqa: PLC0415 -- no command needs it

    if text not in SHELLS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(SHELLS)}")
    return text


def _check_tls(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> None:
    """Complain of options that are about TLS and would go unheeded."""
    if parsed.key is not None and parsed.cert is None:
        parser.error("--key goes with --cert")
    for option in ("cafile", "cert"):
        if getattr(parsed, option) is not None and tls.parse_address(parsed.server) is None:
            parser.error(f"--{option} goes with --server tls:HOST:PORT")


def parse_arguments(arguments: Sequence[str], environment: Mapping[str, str] = _NOTHING) -> ClientConfig:
    """Return what `arguments` ask for, with `environment` for what they leave open; an empty variable is none.

    Ends the process with status 2 and a message where they are wrong.
    """
    parser = command_line()
    parsed = parser.parse_args(options_first(parser, arguments))
    parser = vars(parsed).pop("parser", parser)  # that of the command knows best how it is used
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
    """Fill in the server and the folder, where the command line leaves them open."""
    for option, check, otherwise in (("server", _server, _DEFAULT_ADDRESS), ("downloads", _folder, DEFAULT_DOWNLOADS)):
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


def _command(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> Command | None:
    match parsed.command:
        case "send":
            return SendMessage(_checked_message(parser, " ".join(parsed.words)))
        case "get":
            if parsed.output is not None and len(parsed.names) > 1:
                parser.error("-o goes with a single name")
            return GetFiles(tuple(parsed.names), parsed.output, parsed.force)
        case "list" | "hash" as name:
            names = tuple(parsed.names)
            return ListFiles(names, sort=parsed.sort) if name == "list" else HashFiles(names)
        case "watch":
            return WatchClients(parsed.interval)
    return ShowStatus(parsed.all) if parsed.command == "status" else ShowServerHelp() if parsed.command else None


def _checked_message(parser: argparse.ArgumentParser, words: str) -> str:
    text = _utf8(words)
    try:
        wire.format_request(wire.Message(text))
    except errors.ChatFileError as error:
        parser.error(str(error))
    return text
