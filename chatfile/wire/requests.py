"""The lines that a client sends, as values that are parsed and formatted."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from chatfile import errors
from chatfile.wire.text import is_servable, is_servable_path, printable

MAX_REQUEST = 4096
"""Bytes of a request, without its end."""
MAX_NUMBER = 2**63 - 1
"""The largest size or offset; a larger offset is taken for this one, which no file reaches."""
HELP = (
    "get NAME            send the file NAME (size first, then its bytes, then its SHA-256)",
    "resume OFFSET NAME  the same, from byte OFFSET on",
    "hash NAME           the SHA-256, size and time of the file NAME",
    "list                the files that there are",
    "status              who is connected and who was",
    "help                this text",
    "exit                say goodbye",
    "anything else       is a message, and comes back with ACK behind it",
)
HELP_WITH_TREE = (
    *HELP[:4],
    "tree                the files that there are in all folders; get, resume and hash take their paths, too",
    "tree FOLDER/        those of one folder and the folders in it",
    *HELP[4:],
)
"""The same, of a server that has subfolders."""


@dataclass(frozen=True, slots=True)
class Message:
    """Any line that is not a command."""

    text: str


@dataclass(frozen=True, slots=True)
class Status:
    """`status`: the clients that are and were connected."""


@dataclass(frozen=True, slots=True)
class List:
    """`list`: the files."""


@dataclass(frozen=True, slots=True)
class Tree:
    """`tree`, `tree <folder>/`: the files of all folders, or of `folder`, a path without an end, and those in it."""

    folder: str = ""


@dataclass(frozen=True, slots=True)
class Get:
    """`get <name>`: a file from its first byte on."""

    name: str


@dataclass(frozen=True, slots=True)
class Resume:
    """`resume <offset> <name>`: a file from byte `offset` on."""

    offset: int
    name: str


@dataclass(frozen=True, slots=True)
class Hash:
    """`hash <name>`: the digest of a file."""

    name: str


@dataclass(frozen=True, slots=True)
class Help:
    """`help`: the commands, for a person."""


@dataclass(frozen=True, slots=True)
class Exit:
    """`exit`: goodbye."""


Request = Message | Status | List | Tree | Get | Resume | Hash | Help | Exit

CONTROL = "".join(map(chr, (*range(0x20), *range(0x7F, 0xA0)))).replace("\t", "")
"""The characters that no request may contain: Unicode category Cc without the tab."""
_CONTROL = re.compile(f"[{re.escape(CONTROL)}]")
_DIGITS = re.compile("[0-9]+")


def _clean_text(line: bytes) -> str:
    if len(line) > MAX_REQUEST:
        raise errors.LineTooLong(limit=MAX_REQUEST)
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise errors.BadLine from None
    if _CONTROL.search(text):
        raise errors.BadLine
    return text


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    return min(int(digits or 0), MAX_NUMBER) if len(digits) <= len(str(MAX_NUMBER)) else MAX_NUMBER


def _parse_tree(rest: str) -> Tree | None:
    """Return the request for the folder `rest`; None where it does not end in a `/`, which makes a message of it."""
    return Tree(rest[:-1]) if rest.endswith("/") and rest != "/" else None


def _parse_get(rest: str) -> Get:
    if not rest:
        raise errors.Usage(usage="get NAME")
    return Get(rest)


def _parse_hash(rest: str) -> Hash:
    if not rest:
        raise errors.Usage(usage="hash NAME")
    return Hash(rest)


def _parse_resume(rest: str) -> Resume:
    offset, _, name = rest.partition(" ")
    if not name or not _DIGITS.fullmatch(offset):
        raise errors.Usage(usage="resume OFFSET NAME, the offset in decimal digits")
    return Resume(_number(offset), name)


_BARE: dict[bytes, Request] = {
    b"status": Status(),
    b"list": List(),
    b"tree": Tree(),
    b"help": Help(),
    b"exit": Exit(),
}
_WITH_ARGUMENTS: dict[bytes, Callable[[str], Request | None]] = {
    b"tree": _parse_tree,
    b"get": _parse_get,
    b"resume": _parse_resume,
    b"hash": _parse_hash,
}
COMMANDS = tuple(dict.fromkeys(word.decode() for word in (*_BARE, *_WITH_ARGUMENTS)))
"""The first words of all requests that are not messages."""


def parse_request(line: bytes, *, has_tree: bool = True) -> Request:
    """Parse `line`, given without its end; `tree` is a message unless the server `has_tree`.

    Raises `LineTooLong`, `BadLine` or `Usage`.
    """
    text = _clean_text(line)
    # bytes.lower() touches ASCII letters only: a Kelvin sign is not a k.
    request = _BARE.get(line.lower())
    if request is None:
        word, _, rest = text.partition(" ")
        parse = _WITH_ARGUMENTS.get(word.encode().lower())
        request = None if parse is None else parse(rest)
    if request is None or (isinstance(request, Tree) and not has_tree):
        return Message(text)
    return request


def format_request(request: Request) -> bytes:
    """Return the line that makes `request`, without its end.

    Raises `LineTooLong`, `BadLine` or `Usage` if no such line can be made, and `IsCommand` for a message that a server
    would take for a command.
    """
    match request:
        case Message(text):
            line = text
        case Get(name):
            line = f"get {name}"
        case Resume(offset, name):
            line = f"resume {offset} {name}"
        case Hash(name):
            line = f"hash {name}"
        case Tree(folder):
            line = f"tree {folder}/" if folder else "tree"
        case _:
            line = type(request).__name__.lower()
    try:
        encoded = line.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        raise errors.BadLine from None
    if isinstance(request, Message) and is_command(encoded):
        raise errors.IsCommand(text=printable(line))
    parse_request(encoded)
    return encoded


def check_name(name: str) -> None:
    """Raise `BadName` for a name under which no server has a file, before it is asked for."""
    if not is_servable(name):
        raise errors.BadName(name=printable(name))


def check_path(path: str) -> None:
    """Raise `BadName` for what is neither a name nor a path under which any server has a file."""
    if not is_servable_path(path):
        raise errors.BadName(name=printable(path))


def is_command(line: bytes) -> bool:
    """Tell whether a server takes `line` for a command, well formed or not; `tree`, which not all do, is one."""
    word, _, rest = line.partition(b" ")
    if line.lower() in _BARE or word.lower() != b"tree":
        return line.lower() in _BARE or word.lower() in _WITH_ARGUMENTS
    return _parse_tree(rest.decode(errors="replace")) is not None
