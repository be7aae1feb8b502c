"""What may be the name of a file, and how text from elsewhere is shown."""

from __future__ import annotations

from unicodedata import category

_JOINERS = "\u200c\u200d"
"""Format characters that many scripts and emoji need and that can't mislead."""


def is_servable(name: str) -> bool:
    """Tell whether a file can be served under `name`: the predicate of list, get and hash, at both ends.

    A single path component, not hidden, that stands on a line of its own: UTF-8 without control characters or line
    separators (design: the repository).
    """
    if not name or name.startswith(".") or "/" in name:
        return False
    return (name.isascii() and name.isprintable()) or not any(category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name)


def printable(text: str) -> str:
    """Make `text` fit for one line of a terminal or a log, with all that controls or reorders it escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape_unsafe(character) for character in text)


def exact(text: str) -> str:
    """Return `text` to the letter, as one line for a program; what no name may hold, and would end a line, escaped."""
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
