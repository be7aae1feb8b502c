"""Lists of digests from elsewhere, as `sha256sum` writes them (GNU coreutils)."""

from __future__ import annotations

import re

from chatfile import errors, wire

_LINE = re.compile(rb"(\\?)([0-9a-fA-F]{64}) [ *](.+)", re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPED = {b"\\": b"\\", b"n": b"\n", b"r": b"\r"}


def parse_sums(content: bytes, name: str) -> dict[str, str]:
    """Return the digests in lower-case hex, by the names of their files, of the list called `name`.

    Raises `BadSums` for a line that is none of `sha256sum`, a name that no server has, or one with two digests.
    """
    sums: dict[str, str] = {}
    for number, line in enumerate(content.split(b"\n"), 1):
        try:
            _add(sums, line.removesuffix(b"\r"))
        except ValueError as error:
            raise errors.BadSums(list=wire.printable(name), line=number, why=error) from error
    return sums


def _add(sums: dict[str, str], line: bytes) -> None:
    """Add the digest of a line that is not empty. Raises ValueError."""
    if not line:
        return
    name, sha256 = _parse_line(line)
    if sums.setdefault(name, sha256) != sha256:
        raise ValueError(f'"{wire.printable(name)}" has two digests')


def _parse_line(line: bytes) -> tuple[str, str]:
    found = _LINE.fullmatch(line)
    if found is None:
        raise ValueError("it is not a SHA-256, two spaces and a name")
    is_escaped, sha256, raw = found.groups()
    file = _unescape(raw) if is_escaped else raw
    path = file.decode(errors="surrogateescape").removeprefix("./")
    if not wire.is_servable_path(path):
        raise ValueError(f'no server has a file of the name "{wire.printable(path)}"')
    return path, sha256.decode().lower()


def _unescape(raw: bytes) -> bytes:
    try:
        return _ESCAPE.sub(lambda found: _ESCAPED[found[1]], raw)
    except KeyError:
        raise ValueError("an escape in its name is none") from None


def format_sums(digests: dict[str, str]) -> bytes:
    """Return the list of `digests`, by the names of their files, as `sha256sum --check` reads it."""
    return b"".join(_format_line(sha256, name.encode()) for name, sha256 in digests.items())


def _format_line(sha256: str, name: bytes) -> bytes:
    escaped = name.replace(b"\\", b"\\\\")
    mark = b"\\" if escaped != name else b""
    return b"%b%b  %b\n" % (mark, sha256.encode(), escaped)
