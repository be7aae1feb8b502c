"""Which files are wanted: names as they are, patterns, or several words as at a shell."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Callable, Sequence
from itertools import islice

from chatfile import errors, wire
from chatfile.cli.commands import Wanted, split_words
from chatfile.partfile import is_hidden

UNKNOWN = -1
"""The size of a file that is not listed."""
_WILD = frozenset("*?[")
_SIMILAR = 0.7
"""How much of a name must be that of another, in difflib's measure, to be taken for a slip."""
_MOST_COMPARED = 1000
"""Names among which it is looked for."""
_LONGEST_NAME = 40
"""Words of a name that is found among others without quotation marks."""


def select(wanted: Wanted, rows: Sequence[wire.FileRow]) -> list[wire.FileRow]:
    """Return the files that are `wanted`, none twice; one that is not listed has an unknown size.

    Of a text that was typed: the one of that very name; or all that match; or those of each word. Raises `NoMatch`
    where a pattern alone stands for nothing, and `UnclosedQuote`.
    """
    found = _select_words(wanted, rows) if isinstance(wanted, tuple) else _select_typed(wanted, rows)
    return list(dict.fromkeys(found))


def _select_words(words: Sequence[str], rows: Sequence[wire.FileRow]) -> list[wire.FileRow]:
    return [row for word in words for row in _matching(word, rows) or [_unlisted(word)]]


def _select_typed(text: str, rows: Sequence[wire.FileRow]) -> list[wire.FileRow]:
    if found := _matching(text, rows):
        return found
    words = _words(text, rows)
    found = _select_words(words, rows)
    if any(row.size != UNKNOWN for row in found):
        return found
    if is_pattern(text):
        raise errors.NoMatch(pattern=wire.printable(text))
    return [_unlisted(words[0] if len(words) == 1 else text)]


def needs_listing(wanted: Wanted) -> bool:
    """Tell whether it takes the listing to know which files are `wanted`, or how big several of them are."""
    if isinstance(wanted, tuple):
        return len(wanted) > 1 or any(map(is_pattern, wanted))
    return is_pattern(wanted) or any(character in wanted for character in " \t'\"\\")


def closest(name: str, rows: Sequence[wire.FileRow]) -> str | None:
    """Return the listed name that `name` is nearly, if there is one."""
    some = [row.name for row in islice(rows, _MOST_COMPARED)]
    return next(iter(difflib.get_close_matches(name, some, 1, _SIMILAR)), None)


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
    words = split_words(text)
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
