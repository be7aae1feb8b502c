"""The lines that a server sends, as values that are parsed and formatted."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from chatfile import errors
from chatfile.wire.requests import MAX_NUMBER
from chatfile.wire.text import printable

VERSION = "chatfile/1"
MAX_REPLY = 8192
"""Bytes of a line that a client accepts."""


@dataclass(frozen=True, slots=True)
class Ack:
    """`<text> ACK`: the answer to a message."""

    text: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """The server's first words: the name that it gave to the client."""

    name: str


@dataclass(frozen=True, slots=True)
class Bye:
    """The answer to `exit`."""

    name: str


@dataclass(frozen=True, slots=True)
class StatusHeader:
    """`count` rows of `ClientRow` follow."""

    count: int


@dataclass(frozen=True, slots=True)
class ClientRow:
    """One client; times are seconds since 1970 (UTC), `disconnected` is None while it is connected."""

    name: str
    address: str
    connected: int
    disconnected: int | None
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ListHeader:
    """`count` rows of `FileRow` follow."""

    count: int


@dataclass(frozen=True, slots=True)
class TreeHeader:
    """`count` rows of `FileRow` follow, whose names are paths."""

    count: int


@dataclass(frozen=True, slots=True)
class FileRow:
    """One file; size in bytes, mtime in seconds since 1970 (UTC)."""

    size: int
    mtime: int
    name: str


@dataclass(frozen=True, slots=True)
class HelpHeader:
    """`count` rows of text follow."""

    count: int


@dataclass(frozen=True, slots=True)
class FileHeader:
    """Exactly `size` raw bytes follow, then `End`; mtime in seconds since 1970 (UTC)."""

    size: int
    mtime: int
    name: str


@dataclass(frozen=True, slots=True)
class End:
    """What follows a file's bytes: the digest of the file in lower-case hex, None where the server does not hash."""

    sha256: str | None


@dataclass(frozen=True, slots=True)
class Digest:
    """The answer to `hash`."""

    sha256: str | None
    size: int
    mtime: int
    name: str


@dataclass(frozen=True, slots=True)
class Error:
    """The answer in place of any other, or a last line that is the answer to nothing."""

    code: str
    sentence: str


Reply = (
    Ack
    | Welcome
    | Bye
    | StatusHeader
    | ClientRow
    | ListHeader
    | TreeHeader
    | FileRow
    | HelpHeader
    | FileHeader
    | End
    | Digest
    | Error
)
R = TypeVar("R")

_EPOCH = datetime(1970, 1, 1)
"""Without a time zone: all times here are UTC, and so they are parsed in half the time."""
_DAY = 86_400
_FIRST = (datetime.min - _EPOCH).days * _DAY
_LAST = (datetime.max - _EPOCH).days * _DAY + _DAY - 1


def format_time(seconds: float) -> str:
    """Write seconds since 1970 as `2026-11-22T13:26:00Z`; beyond the years 1 to 9999, the nearest time within."""
    whole = int(min(max(seconds // 1, _FIRST), _LAST))
    return f"{(_EPOCH + timedelta(seconds=whole)).isoformat()}Z"


def parse_time(text: str) -> int:
    """Read what `format_time` writes. Raises ValueError."""
    since = datetime.fromisoformat(text.removesuffix("Z")) - _EPOCH
    return since.days * _DAY + since.seconds


class _Terminal(NamedTuple):
    pattern: str
    parse: Callable[[str], Any]
    format: Callable[[Any], str]


def _dash_or(terminal: _Terminal) -> _Terminal:
    """Make a terminal that is `terminal`, or `-` for None."""
    return _Terminal(
        f"-|{terminal.pattern}",
        lambda text: None if text == "-" else terminal.parse(text),
        lambda value: "-" if value is None else terminal.format(value),
    )


def _bounded_number(digits: str) -> int:
    if (number := int(digits)) > MAX_NUMBER:
        raise ValueError(digits)
    return number


_TEXT = _Terminal(r"\S+", str, str)
_NUMBER = _Terminal(r"[0-9]{1,19}", _bounded_number, str)
_TIME = _Terminal(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", parse_time, format_time)

_TERMINALS = {
    "<name>": _TEXT,
    "<address>": _TEXT,
    "<code>": _TEXT,
    "<sentence>": _TEXT,
    "<text>": _Terminal(r".*", str, str),
    "<count>": _NUMBER,
    "<size>": _NUMBER,
    "<files>": _NUMBER,
    "<bytes>": _NUMBER,
    "<mtime>": _TIME,
    "<connected>": _TIME,
    "<disconnected>": _dash_or(_TIME),
    "<sha256>": _dash_or(_Terminal(r"[0-9a-fA-F]{64}", str.lower, str)),
}

GRAMMAR: dict[type, str] = {
    Welcome: f"WELCOME <name> {VERSION}",
    Bye: "BYE <name>",
    StatusHeader: "STATUS <count>",
    ClientRow: "<name> <address> <connected> <disconnected> <files> <bytes>",
    ListHeader: "LIST <count>",
    TreeHeader: "TREE <count>",
    FileRow: "<size> <mtime> <name>",
    HelpHeader: "HELP <count>",
    FileHeader: "FILE <size> <mtime> <name>",
    End: "END <sha256>",
    Digest: "HASH <sha256> <size> <mtime> <name>",
    Error: "ERROR <code> <sentence>",
    Ack: "<text> ACK",
}
"""Every line of the server, as docs/protocol.md writes it."""


def _compile(line: str) -> re.Pattern[str]:
    """Make the pattern of `line`.

    One or more spaces separate fields, but exactly one comes before a text at the end, which may begin with spaces.
    """
    if line == "<text> ACK":
        return re.compile("(?P<text>.*) ACK", re.DOTALL)
    *words, last = line.split(" ")
    patterns = " +".join(_pattern(word) for word in words)
    if _TERMINALS.get(last) is _TEXT:
        return re.compile(f"{patterns} (?P<{last.strip('<>')}>.+)", re.DOTALL)
    return re.compile(f"{patterns} +{_pattern(last)}")


def _pattern(word: str) -> str:
    terminal = _TERMINALS.get(word)
    return re.escape(word) if terminal is None else f"(?P<{word.strip('<>')}>{terminal.pattern})"


def _parser(line: str) -> tuple[re.Pattern[str], list[tuple[int, Callable[[str], Any]]]]:
    """Return the pattern of `line`, and of its fields that are no text, the numbers and what parses them."""
    parsers = [_TERMINALS[word].parse for word in line.split(" ") if word in _TERMINALS]
    return _compile(line), [(at, parse) for at, parse in enumerate(parsers) if parse is not str]


_PARSERS = {kind: _parser(line) for kind, line in GRAMMAR.items()}


def _template(line: str) -> tuple[str, list[tuple[str, Callable[[Any], str]]]]:
    """Return `line` with `%s` for its fields, and the name of each of these and what formats it."""
    fields = [word for word in line.split(" ") if word in _TERMINALS]
    return re.sub("<[a-z0-9]+>", "%s", line), [(field.strip("<>"), _TERMINALS[field].format) for field in fields]


_TEMPLATES = {kind: _template(line) for kind, line in GRAMMAR.items()}


def format_reply(reply: Reply) -> bytes:
    """Return the line of `reply`, without its end."""
    template, fields = _TEMPLATES[type(reply)]
    return (template % tuple([format_field(getattr(reply, name)) for name, format_field in fields])).encode()


def parse_reply(line: bytes, kind: type[R]) -> R:
    """Parse `line` as a reply of that `kind`, which the caller knows from its request.

    Raises `ProtocolViolation`. A text in the reply may contain control characters: show it through `printable`.
    """
    try:
        pattern, fields = _PARSERS[kind]
        match = pattern.fullmatch(line.decode())
        if match:
            values: list[Any] = list(match.groups())
            for at, parse in fields:
                values[at] = parse(values[at])
            return kind(*values)
    except ValueError:
        pass  # not UTF-8, a number that is too large, or a date that does not exist
    said = printable(line[:100].decode(errors="backslashreplace"))
    raise errors.ProtocolViolation(what=f'"{said}" instead of "{GRAMMAR[kind]}"')
