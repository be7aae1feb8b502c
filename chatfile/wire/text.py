"""The names and paths that a file can be served under, and the escaping of text that is shown."""

from __future__ import annotations

from unicodedata import category

MAX_DEPTH = 16
"""Components of a path, the name of the file among them."""
MAX_PATH = 4000
"""Bytes of a path, so that a request with it fits on its line."""

_JOINERS = "\u200c\u200d"
"""Format characters that many scripts and emoji need, and that can't be used to mislead a reader."""


def is_servable(name: str) -> bool:
    """Tell whether a file can be served under `name`: the predicate of list, get and hash, at both ends.

    Such a name is a single path component, not hidden, that fits on one line: UTF-8 without control characters or line
    separators (docs/protocol.md).
    """
    if not name or name.startswith(".") or "/" in name:
        return False
    return (name.isascii() and name.isprintable()) or not any(category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name)


def is_servable_path(path: str) -> bool:
    """Tell whether a server of subfolders can have a file, or a folder, under `path`: the same predicate, at both ends.

    Such a path is names joined by `/`, each of which `is_servable`; a single name is one, too.
    """
    names = path.split("/")
    return len(names) <= MAX_DEPTH and all(map(is_servable, names)) and len(path.encode()) <= MAX_PATH


def printable(text: str) -> str:
    """Return `text` for one line of a terminal or a log: escape all characters that control or reorder text."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape_unsafe(character) for character in text)


def exact(text: str) -> str:
    """Return `text` as one line for a program: all but control characters (not tabs) and line separators unchanged.

    These are escaped; no name that can be served has any of them.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape_line_end(character) for character in text)


def _escape_unsafe(character: str) -> str:
    if character in _JOINERS or category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character
    return _escape(character)


def _escape_line_end(character: str) -> str:
    if character == "\t" or category(character) not in ("Cc", "Zl", "Zp"):
        return character
    return _escape(character)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
