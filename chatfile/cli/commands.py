"""The commands: the same on the command line, at the prompt and in piped lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

STDOUT = "-"
"""The file name that means standard output."""
DEFAULT_INTERVAL = 2.0
"""Seconds between two looks of `watch`."""

Wanted = tuple[str, ...] | str
"""Names and patterns: the words of a command line; or the text of a line, which may be one name with spaces."""


@dataclass(frozen=True, slots=True)
class SendMessage:
    """`send TEXT`, or a line that is no command: send a message."""

    text: str
    hint: str | None = field(default=None, compare=False)
    """What may have been meant by a line that looks like a command, and is none."""


@dataclass(frozen=True, slots=True)
class ShowStatus:
    """`status`: show the clients that are connected and the latest that left; `status --all`: every one."""

    everyone: bool = False


@dataclass(frozen=True, slots=True)
class ListFiles:
    """`list`: show all files; `list NAME...`: show those that are named or match.

    Where no such file exists, `message` is sent instead, unless it is None: the line may have been talk. `sort` is
    "name", "size" or "time"; None leaves the order to the view.
    """

    wanted: Wanted = ()
    message: str | None = None
    sort: str | None = None


@dataclass(frozen=True, slots=True)
class GetFiles:
    """`get NAME...`: download each file that is named or matches.

    `output` is the path under which a single one is saved, or `-` for standard output. `force` replaces a file that
    exists and differs. `by_digest` compares several files that exist by their digests, too, not by size and time.
    `sha256`, in hex, is the digest that a single one must have; `sums` is the path of a list of such digests, and
    without names all that it has are wanted. `digests` are those that were read from either, by the names of the files.
    """

    wanted: Wanted = ()
    output: str | None = None
    force: bool = False
    by_digest: bool = False
    sha256: str | None = None
    sums: str | None = None
    digests: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ShowTree:
    """`tree`, `tree FOLDER`: show all files of the server, or of a folder, and of the folders in it.

    Where there is no such folder, `message` is sent instead, unless it is None: the line may have been talk.
    """

    folder: str = ""
    message: str | None = None


@dataclass(frozen=True, slots=True)
class MirrorFolder:
    """`mirror`, `mirror FOLDER`: make the folder of downloads what the server's folder is.

    `delete` removes what a mirror has fetched and the server has no more; `is_dry_run` shows what would be done. See
    `Mirror` for the others.
    """

    folder: str = ""
    delete: bool = False
    is_dry_run: bool = False
    force: bool = False
    by_digest: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WriteSums:
    """`sums`, `sums NAME...`: show the digests of all files, or of those that match, as `sha256sum` does."""

    wanted: Wanted = ()


@dataclass(frozen=True, slots=True)
class HashFiles:
    """`hash NAME...`: show the digest of each file that is named or matches."""

    wanted: Wanted


@dataclass(frozen=True, slots=True)
class WatchClients:
    """`watch`: show every `interval` seconds the clients that are connected; on the command line only."""

    interval: float = DEFAULT_INTERVAL


@dataclass(frozen=True, slots=True)
class ShowServerHelp:
    """`help`: show the server's help."""


@dataclass(frozen=True, slots=True)
class LeaveServer:
    """`exit`: end the session."""


Command = (
    SendMessage
    | ShowStatus
    | ListFiles
    | ShowTree
    | GetFiles
    | MirrorFolder
    | HashFiles
    | WriteSums
    | ShowServerHelp
    | LeaveServer
)
"""What can be carried out over one connection, in every mode. `WatchClients` takes a whole run."""
ALIASES = {"ls": "list", "dir": "list", "quit": "exit", "bye": "exit", "q": "exit", "?": "help"}
"""Words that other programs use, each with the command here that does the same."""

HELP = (
    ("list", "the files that there are"),
    ("list *.csv", "those that match: * any text, ? any character"),
    ("list --sort size", "the largest first; or by name, or time"),
    ("status", "who is connected, and the latest who left"),
    ("status --all", "everyone who left, too"),
    ("get NAME", "save a file, or go on where it stopped"),
    ('get *.csv "a b"', "all that match, and others, in a row"),
    ("get! NAME", "the same, and replace what is here already"),
    ("get NAME -o FILE", "save it under another name; --force replaces what is there"),
    ("get NAME --sha256 HEX", "save it only if it has that digest; --sums FILE: those of a list"),
    ("tree", "the files in all folders, where the server has some"),
    ("tree FOLDER", "those in one folder"),
    ("mirror", "make the local folder what the server's is"),
    ("mirror FOLDER -n", "show what that would do with one folder; --delete, too"),
    ("hash NAME", "the SHA-256 of a file, or of all that match"),
    ("sums", "the SHA-256 of all files, as sha256sum has them"),
    ("send TEXT", "send a text that would be a command, such as ls"),
    ("lcd FOLDER", "save files elsewhere from now on"),
    ("lpwd", "where files are saved"),
    ("help", "this text"),
    ("exit", "leave, when all that was typed is done"),
    ("!list", "the files as the server has it, row by row"),
    ("!status", "who is connected, in the same way"),
    ("!help", "what the server says of its commands"),
    ("!COMMAND", "carried out by a shell here"),
)
"""What can be typed at the prompt, and what it does."""
DESCRIPTIONS: dict[str, str] = {}
"""Every first word of a command of lines, those that only the prompt has too, and what it does."""
for _usage, _meaning in HELP[:-1]:
    DESCRIPTIONS.setdefault(_usage.partition(" ")[0], _meaning)
OPTIONS = {
    "get": {
        "--force": "replace what is here already",
        "-o ": "save it under another name",
        "--checksum": "compare digests of what is here already, not sizes and times",
        "--sha256 ": "the digest that it must have",
        "--sums ": "a list of digests that files must have",
    },
    "mirror": {
        "--delete": "remove what the server has no more",
        "--dry-run": "show what would be done",
        "--force": "replace what you have changed",
        "--checksum": "compare digests, not sizes and times",
        "--include ": "a pattern of what is mirrored",
        "--exclude ": "a pattern of what is not",
    },
    "list": {"--sort name": "a to z", "--sort size": "the largest first", "--sort time": "the latest first"},
    "status": {"--all": "everyone who left, too"},
}
"""The options of commands in lines, as Tab offers them."""
HELP_BELOW = """\
Anything else is a message and comes back with ACK behind it.

Tab completes commands and file names, Ctrl-R searches what was typed before. Ctrl-C drops the line; where there is \
none, it asks and stops the download. Ctrl-D leaves, Ctrl-Z suspends. What is typed during a download is carried out \
behind it."""
RAW: dict[str, Command] = {"!status": ShowStatus(), "!list": ListFiles(), "!help": ShowServerHelp()}
TAKES_A_NAME = ("get", "get!", "hash", "sums")
TAKES_A_FOLDER = ("tree", "mirror")


@dataclass(frozen=True, slots=True)
class ShowRaw:
    """`!list`: the answer row by row, as a program would have it."""

    command: Command


@dataclass(frozen=True, slots=True)
class ShowPromptHelp:
    """`help`: the prompt's own text, which tells of the server's commands, too."""


@dataclass(frozen=True, slots=True)
class ChangeFolder:
    """`lcd FOLDER`: save files in that folder from now on."""

    folder: str


@dataclass(frozen=True, slots=True)
class ShowFolder:
    """`lpwd`: show the folder in which files are saved."""


@dataclass(frozen=True, slots=True)
class RunShell:
    """`!COMMAND`: let a shell on this machine carry it out."""

    command: str


PromptCommand = ShowRaw | ShowPromptHelp | ChangeFolder | ShowFolder | RunShell | Command
