"""Text as roff takes it for text: nothing in it is a request or an escape, and a hyphen of an option stays one."""

from __future__ import annotations

import re

_ESCAPES = {"\\": r"\(rs", "^": r"\(ha", "~": r"\(ti", "`": r"\(ga"}
_ESCAPES_IN_CODE = {**_ESCAPES, "-": r"\-", "'": r"\(aq"}
_SPECIAL = re.compile(r"[^ -~\n]|[\\^~`'-]")
_HYPHEN = re.compile(r"(?<=\w)-(?=\w)")
_SENTENCE_END = re.compile(r'([.!?](?:\\f[BIR]|[)"])*) (?=["(\\A-Z])')
_STOP = re.compile(r"[.!?](\\f[BIR]|\))*$")
UNBROKEN = 24
"""Characters of code, spaces among them, that stay on one line: `-o -` is one thing to the eye."""


def _escaped(text: str, escapes: dict[str, str]) -> str:
    def escape(match: re.Match[str]) -> str:
        character = match[0]
        return escapes.get(character, character if character.isascii() else f"\\[u{ord(character):04X}]")

    return _SPECIAL.sub(escape, text)


def prose(text: str) -> str:
    """Words for people: an apostrophe and the hyphen within a word are typeset, a dash on its own is a minus."""
    return "-".join(_escaped(part, {**_ESCAPES, "-": r"\-"}) for part in _HYPHEN.split(text))


def code(text: str) -> str:
    """What may be copied into a terminal: every character comes out as that very one."""
    return _escaped(text, _ESCAPES_IN_CODE)


def unbroken(text: str, escaped: str) -> str:
    return escaped.replace(" ", r"\ ") if len(text) <= UNBROKEN else escaped


def font(name: str, text: str, around: str = "R") -> str:
    return f"\\f{name}{text}\\f{around}" if text else ""


def line(text: str) -> str:
    """One line of input that can't be taken for a request."""
    return rf"\&{text}" if text.startswith((".", "'")) else text


def sentences(text: str) -> list[str]:
    """A line for each: so roff knows where sentences end, and a change of one shows as that."""
    return [line(sentence) for sentence in _SENTENCE_END.sub(r"\1\n", text).splitlines()]


def sentence(text: str) -> str:
    """What stands in a table without a capital and a stop, with both."""
    return text[:1].upper() + text[1:] + ("" if _STOP.search(text) else ".")


def heading(macro: str, title: str) -> str:
    return f"{macro} {prose(title)}"
