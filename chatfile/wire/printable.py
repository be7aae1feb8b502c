"""Text from elsewhere, made fit to be shown."""

from __future__ import annotations

import unicodedata

_JOINERS = "\u200c\u200d"
"""Format characters that many scripts and emoji need and that can't mislead."""


def printable(text: str) -> str:
    """`text` fit for one line of a terminal or a log: what controls or reorders it stands escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def exact(text: str) -> str:
    """Return `text` to the letter, as one line for a program; what no name may hold, and would end a line, escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_unbroken(character) for character in text)


def _unbroken(character: str) -> str:
    if character == "\t" or unicodedata.category(character) not in ("Cc", "Zl", "Zp"):
        return character
    return _escaped(character)


def _escaped(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
