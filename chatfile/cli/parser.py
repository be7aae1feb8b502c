"""The parser of `chatfile-client`: its commands and options."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from chatfile import errors, program_and_version, wire
from chatfile.cli.commands import (
    DEFAULT_INTERVAL,
    Command,
    GetFiles,
    HashFiles,
    ListFiles,
    MirrorFolder,
    SendMessage,
    ShowServerHelp,
    ShowStatus,
    ShowTree,
    WatchClients,
    WriteSums,
)
from chatfile.cli.values import (
    DEFAULT_DOWNLOADS,
    DEFAULT_PORT,
    DEFAULT_SERVER,
    DEFAULT_TIMEOUT,
    SHORTEST_INTERVAL,
    parse_folder,
    parse_interval,
    parse_name,
    parse_path,
    parse_rate_option,
    parse_remote_folder,
    parse_seconds,
    parse_server_option,
    parse_sha256,
    utf8,
)


def _common_options(title: str, *, saves: bool) -> _Parser:
    """Return a parser of the options that may stand before the command or after it; its result has only what is given.

    `saves`: the command saves files, and its help shows the option for the folder.
    """
    parser = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    add = parser.add_argument_group(title).add_argument
    add(
        "-s", "--server", type=parse_server_option, metavar="ADDRESS",
        help=f"HOST, HOST:PORT, [::1]:PORT, or an endpoint such as unix:PATH [{DEFAULT_SERVER}:{DEFAULT_PORT}]",
    )  # fmt: skip
    add(
        "-d", "--downloads", type=parse_folder, metavar="FOLDER",
        help=f"where files are saved, created when needed [{DEFAULT_DOWNLOADS}]" if saves else argparse.SUPPRESS,
    )  # fmt: skip
    add(
        "--timeout", type=parse_seconds, metavar="SECONDS",
        help="without progress before giving up, 0: never; behind a file, a second more per 20 MB of it, for its digest"
        f" [{DEFAULT_TIMEOUT:g}]",
    )  # fmt: skip
    add(
        "--wait", type=parse_seconds, metavar="SECONDS",
        help="where the server is full, wait in its line, or keep trying, for so long [0]",
    )  # fmt: skip
    add(
        "--limit-rate", type=parse_rate_option, metavar="BYTES",
        help="bytes of files that are read a second, such as 500K or 1.5M (powers of ten), 0: no limit [0]",
    )  # fmt: skip
    add(
        "--cafile", type=parse_path, metavar="FILE",
        help="behind tls:, the certificates (PEM) of the authorities to trust instead of the system's",
    )  # fmt: skip
    add(
        "--cert", type=parse_path, metavar="FILE",
        help="behind tls:, your own certificate (PEM), for a server that wants one",
    )  # fmt: skip
    add("--key", type=parse_path, metavar="FILE", help="its key (PEM), if that is not in the same file")
    add("--json", dest="as_json", action="store_true", help="machine-readable output, one JSON object a line")
    add(
        "-q", "--quiet", dest="is_quiet", action="store_true",
        help="results and errors only, no progress and no notes",
    )  # fmt: skip
    return parser


_NAME_HELP = (
    "a name as `list` shows it, or a pattern in quotation marks: * any text, ? any character, [abc] one of these"
)

_FOLDER_HELP = "the path of a folder on the server, as `tree` shows it"
_CHECKSUM_HELP = "compare what is here already by digests, not by size and time"


class _Parser(argparse.ArgumentParser):
    """A parser whose messages, which quote the arguments, are escaped."""

    def error(self, message: str) -> NoReturn:
        super().error(wire.printable(message))

    def _print_message(self, message: str, file: Any = None) -> None:
        """Write a message; where that fails, the exit code has to do."""
        with contextlib.suppress(OSError):
            super()._print_message(message, file)


_EPILOG = """\
Without a command: a prompt on a terminal; otherwise the lines of standard input.

examples:
  chatfile-client list                         the files that there are
  chatfile-client get welcome.txt '*.png'      one file, and all that match
  chatfile-client get a.bin -o - | wc -c       to another program
  chatfile-client mirror -d copy --delete      a copy of all that the server has
  chatfile-client -s host:5000 watch           who is connected, how fast they are sent files
  printf 'hello\\nlist\\n' | chatfile-client     several requests over one connection

exit codes: 0 done, 2 usage, 3 no connection, 4 the server is full, 5 refused, 6 the transfer broke, 7 the digest does
not match, 8 the local file could not be written, 130 interrupted, 141 nobody reads standard output

chatfile-client COMMAND --help shows the options of a command, man chatfile-client says more.
"""


_Make = Callable[[argparse.Namespace], Command | WatchClients]


class _AddCommand(Protocol):
    """Adds a command to the command line, and returns its own parser for what it takes."""

    def __call__(self, name: str, text: str, make: _Make, arguments: str = "") -> argparse.ArgumentParser: ...


def _make_message(parsed: argparse.Namespace) -> Command:
    text = utf8(" ".join(parsed.words))
    try:
        wire.format_request(wire.Message(text))
    except errors.ChatFileError as error:
        parsed.parser.error(str(error))
    return SendMessage(text)


def _make_get(parsed: argparse.Namespace) -> Command:
    if parsed.output is not None and len(parsed.names) > 1:
        parsed.parser.error(f"-o names one file, but {len(parsed.names)} were asked for")
    if parsed.sha256 is not None and (parsed.sums is not None or len(parsed.names) != 1):
        parsed.parser.error("--sha256 goes with the name of one file; --sums FILE has the digests of many")
    if not parsed.names and parsed.sums is None:
        parsed.parser.error("it needs a NAME, or --sums FILE")
    return GetFiles(tuple(parsed.names), parsed.output, parsed.force, parsed.checksum, parsed.sha256, parsed.sums)


def _make_mirror(parsed: argparse.Namespace) -> Command:
    return MirrorFolder(
        parsed.folder, parsed.delete, parsed.dry_run, parsed.force, parsed.checksum,
        tuple(map(utf8, parsed.include)), tuple(map(utf8, parsed.exclude)),
    )  # fmt: skip


def command_line() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = _Parser(
        prog="chatfile-client",
        usage="%(prog)s [OPTION...] [COMMAND [ARGUMENT...]]",
        description="Talk to a chatfile server: messages, lists, verified downloads.",
        epilog=_EPILOG,
        parents=[_common_options("options", saves=True)],
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the version and exit")
    parser.add_argument(
        "--completion", type=_shell, metavar="SHELL",
        help="show what completes this command line in a shell (bash, zsh, fish), and exit",
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", prog=parser.prog)

    def command(name: str, text: str, make: _Make, arguments: str = "") -> argparse.ArgumentParser:
        usage = f"%(prog)s [OPTION...]{arguments}"
        common = _common_options("options of every command", saves=name in ("get", "mirror"))
        added = commands.add_parser(
            name, help=text, description=text, allow_abbrev=False, usage=usage, parents=[common]
        )
        added.set_defaults(parser=added, make=make)
        return added

    _add_conversation(command)
    _add_views_of_files(command)
    _add_get(command)
    _add_mirror(command)
    _add_watch(command)
    return parser


def _add_conversation(command: _AddCommand) -> None:
    send = command("send", "send a message and show what comes back", _make_message, " TEXT...")
    send.add_argument("words", metavar="TEXT", nargs="+")
    status = command("status", "show who is connected and who was", lambda parsed: ShowStatus(parsed.all))
    status.add_argument("--all", action="store_true", help="on a terminal everyone who left, not the latest ten")
    command("help", "show what the server says of its commands", lambda _: ShowServerHelp())


def _add_views_of_files(command: _AddCommand) -> None:
    listing = command(
        "list", "show the files that there are, or those that are named or match",
        lambda parsed: ListFiles(tuple(parsed.names), sort=parsed.sort), " [NAME...]",
    )  # fmt: skip
    listing.add_argument("names", metavar="NAME", nargs="*", type=parse_name, help=_NAME_HELP)
    listing.add_argument(
        "--sort", choices=("name", "size", "time"), metavar="ORDER",
        help="by name, size (the largest first) or time (the latest first)",
    )  # fmt: skip
    tree = command(
        "tree", "show the files of all folders, or of one, where the server has some",
        lambda parsed: ShowTree(parsed.folder), " [FOLDER]",
    )  # fmt: skip
    tree.add_argument("folder", metavar="FOLDER", nargs="?", default="", type=parse_remote_folder, help=_FOLDER_HELP)
    digest = command(
        "hash", "show the SHA-256 of files, computed by the server",
        lambda parsed: HashFiles(tuple(parsed.names)), " NAME...",
    )  # fmt: skip
    digest.add_argument("names", metavar="NAME", nargs="+", type=parse_name, help=_NAME_HELP)
    sums = command(
        "sums", "show the SHA-256 of all files, or of some, as sha256sum does: a list to publish",
        lambda parsed: WriteSums(tuple(parsed.names)), " [NAME...]",
    )  # fmt: skip
    sums.add_argument("names", metavar="NAME", nargs="*", type=parse_name, help=_NAME_HELP)


def _add_get(command: _AddCommand) -> None:
    get = command(
        "get", "download files, verified and resumed; what is here already is not sent again", _make_get, " NAME..."
    )
    get.add_argument("names", metavar="NAME", nargs="*", type=parse_name, help=_NAME_HELP)
    get.add_argument(
        "-o", "--output", type=parse_path, metavar="FILE", help="save under this name; - for standard output"
    )
    get.add_argument("--force", action="store_true", help="replace a file that exists and differs")
    get.add_argument("--checksum", action="store_true", help=_CHECKSUM_HELP)
    get.add_argument(
        "--sha256",
        type=parse_sha256,
        metavar="HEX",
        help="keep the file only if it has this digest, known from elsewhere",
    )
    get.add_argument(
        "--sums", type=parse_path, metavar="FILE",
        help="the same for the digests of a list, as sha256sum writes it; without a NAME, get all that are in it",
    )  # fmt: skip


def _add_mirror(command: _AddCommand) -> None:
    mirror = command(
        "mirror", "make the folder of downloads what the server's is: get what is new or has changed",
        _make_mirror, " [FOLDER]",
    )  # fmt: skip
    mirror.add_argument("folder", metavar="FOLDER", nargs="?", default="", type=parse_remote_folder, help=_FOLDER_HELP)
    mirror.add_argument(
        "--delete", action="store_true",
        help="remove what a mirror has fetched, you have not changed, and the server has no more",
    )  # fmt: skip
    mirror.add_argument("-n", "--dry-run", action="store_true", help="show what would be done, and do nothing")
    mirror.add_argument(
        "--force", action="store_true", help="replace files that are not from a mirror, or were changed"
    )
    mirror.add_argument("--checksum", action="store_true", help=_CHECKSUM_HELP)
    for option, help_text in (("--include", "of the files that are mirrored"), ("--exclude", "of those that are not")):
        mirror.add_argument(option, metavar="PATTERN", action="append", default=[], help=f"a pattern {help_text}")


def _add_watch(command: _AddCommand) -> None:
    watch = command(
        "watch", "show who is connected and how fast they are sent files, until q or Ctrl-C",
        lambda parsed: WatchClients(parsed.interval),
    )  # fmt: skip
    watch.add_argument(
        "--interval", type=parse_interval, metavar="SECONDS", default=DEFAULT_INTERVAL,
        help=f"between two looks, at least {SHORTEST_INTERVAL:g} [{DEFAULT_INTERVAL:g}]",
    )  # fmt: skip


class _ShowVersion(argparse.Action):
    """Shows the version, which is looked up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser._print_message(f"{program_and_version()}\n", sys.stdout)  # exit() would write to standard error
        parser.exit()


def _shell(text: str) -> str:
    from chatfile.completion import SHELLS  # noqa: PLC0415 -- no command needs it

    if text not in SHELLS:
        raise argparse.ArgumentTypeError(f"unknown shell {text!r} (choose {', '.join(SHELLS[:-1])} or {SHELLS[-1]})")
    return text
