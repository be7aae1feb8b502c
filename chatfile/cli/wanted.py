"""Which files are meant by what stands behind `get`: names as they are, patterns, or several words as at a shell."""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Callable, Sequence

from chatfile import errors, wire
from chatfile.partfile import is_hidden

UNKNOWN = -1
"""The size of a file that is not listed."""
_WILD = frozenset("*?[")
_LONGEST_NAME = 40
"""Words of a name that is found among others without quotation marks."""


def expand(wanted: str, rows: Sequence[wire.FileRow]) -> list[wire.FileRow]:
    """The files that are `wanted`: the one of that very name; or all that match; or those of each word.

    A word that stands for nothing, beside others that do, is a name that is not listed: its size is unknown. Raises
    `NoMatch` where a pattern stands for nothing.
    """
    if found := _matching(wanted, rows):
        return found
    words = _words(wanted, rows)
    each = [_matching(word, rows) or [_unlisted(word)] for word in words]
    if any(row.size != UNKNOWN for found in each for row in found):
        return list(dict.fromkeys(row for found in each for row in found))
    if is_pattern(wanted):
        raise errors.NoMatch(pattern=wire.printable(wanted))
    return [_unlisted(words[0] if len(words) == 1 else wanted)]


def matching(names: Sequence[str], rows: Sequence[wire.FileRow]) -> list[str]:
    """The names, in place of a pattern those that match it, and none twice; one that matches nothing stays as it is."""
    found = ([row.name for row in _matching(name, rows)] or [name] for name in names)
    return list(dict.fromkeys(name for each in found for name in each))


def is_pattern(name: str) -> bool:
    """Whether it may stand for several files."""
    return not _WILD.isdisjoint(name)


def _matching(wanted: str, rows: Sequence[wire.FileRow]) -> list[wire.FileRow]:
    exact = [row for row in rows if row.name == wanted]
    return exact or ([row for row in rows if _matches(row.name, wanted)] if is_pattern(wanted) else [])


def _matches(name: str, pattern: str) -> bool:
    """Whether it does, and nobody could be surprised by what is saved then: a hidden file is named or not meant."""
    return not is_hidden(name) and fnmatch.fnmatchcase(name, pattern)


def _unlisted(name: str) -> wire.FileRow:
    return wire.FileRow(UNKNOWN, 0, name)


def _words(text: str, rows: Sequence[wire.FileRow]) -> list[str]:
    """Of the line, or, where not all of them are names, of the line as a shell reads it."""
    names = {row.name for row in rows}
    spans = [word.span() for word in re.finditer(r"[^ \t]+", text)]
    plain = _together(len(spans), lambda at, end: text[spans[at][0] : spans[end - 1][1]], names)
    if names.issuperset(plain):
        return plain
    try:
        words = shlex.split(text)
    except ValueError:  # a quotation mark without another
        return []
    return _together(len(words), lambda at, end: " ".join(words[at:end]), names)


def _together(count: int, between: Callable[[int, int], str], names: set[str]) -> list[str]:
    """So many words, but those together that are a name: Tab puts the first one into the line as it is."""
    found, at = [], 0
    while at < count:
        ends = range(min(count, at + _LONGEST_NAME), at + 1, -1)
        end = next((end for end in ends if between(at, end) in names), at + 1)
        found.append(between(at, end))
        at = end
    return found


# --- a line that is being typed ---


def last_word(text: str) -> tuple[int, str]:
    """Where the last word begins, and what it says without its quotation marks, of which one may be open."""
    start, said, quote, is_escaped = 0, "", "", False
    for at, character in enumerate(text):
        if is_escaped or (quote and character not in (quote, "\\")):
            said, is_escaped = said + character, False
        elif character == "\\":
            is_escaped = True
        elif character in ("'", '"'):
            quote = "" if quote else character
        elif character == " ":
            start, said = at + 1, ""
        else:
            said += character
    return start, said


def escaped(name: str) -> str:
    """As one word of several."""
    return re.sub(r"""([\s'"\\])""", r"\\\1", name)
