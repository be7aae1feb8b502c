"""The selection of files by names, patterns, or several words as in a shell."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Callable, Sequence
from itertools import islice, takewhile

from chatfile import errors, wire
from chatfile.cli.commands import Wanted
from chatfile.cli.format import natural_order
from chatfile.cli.lines import split_words
from chatfile.partfile import is_hidden

UNKNOWN = -1
"""The size of a file that is not listed."""
_WILD = frozenset("*?[")
_SIMILAR = 0.7
"""How similar two names must be, as difflib measures it, for one to be a mistyping of the other."""
_MOST_COMPARED = 1000
"""How many names are compared for that."""
_LONGEST_NAME = 40
"""Words that a name among others may have and still be found without quotation marks."""


def select(wanted: Wanted, rows: Sequence[wire.FileRow]) -> list[wire.FileRow]:
    """Return the files that are `wanted`, none twice; one that is not among `rows` has the size `UNKNOWN`.

    A text that was typed means the file of that very name; or all that match; or those that each of its words means.
    Those that match a pattern come in the order of people. Raises `NoMatch` where a text is a pattern and nothing
    matches, `UnclosedQuote`, and `UnknownOption` for what was typed like an option and is no name.
    """
    found = _select_words(wanted, rows) if isinstance(wanted, tuple) else _select_typed(wanted, rows)
    return list(dict.fromkeys(found))


def _select_words(words: Sequence[str], rows: Sequence[wire.FileRow]) -> list[wire.FileRow]:
    return [row for word in words for row in _matching(word, rows) or [_unlisted(word)]]


def _select_typed(text: str, rows: Sequence[wire.FileRow], *, has_ended: bool = False) -> list[wire.FileRow]:
    if found := _matching(text, rows):
        return found
    if text.startswith("-- "):  # all that follows are names
        return _select_typed(text[3:].lstrip(), rows, has_ended=True)
    words = _words(text, rows)
    found = _select_words(words, rows)
    for row in found:
        if row.size == UNKNOWN and row.name.startswith("-") and not has_ended:
            raise errors.UnknownOption(option=wire.printable(row.name))
    if any(row.size != UNKNOWN for row in found):
        return found
    if is_pattern(text):
        raise errors.NoMatch(pattern=wire.printable(text))
    return [_unlisted(words[0] if len(words) == 1 else text)]


def needs_listing(wanted: Wanted) -> bool:
    """Tell whether the listing is needed to know which files are `wanted`, or how big several of them are."""
    if isinstance(wanted, tuple):
        return len(wanted) > 1 or any(map(is_pattern, wanted))
    return is_pattern(wanted) or any(character in wanted for character in " \t'\"\\")


def closest(name: str, rows: Sequence[wire.FileRow]) -> str | None:
    """Return the name among `rows` that is most similar to `name`; None where no name is similar enough."""
    some = [row.name for row in islice(rows, _MOST_COMPARED)]
    return next(iter(difflib.get_close_matches(name, some, 1, _SIMILAR)), None)


def is_pattern(name: str) -> bool:
    """Tell whether `name` may stand for several files."""
    return not _WILD.isdisjoint(name)


def _matching(wanted: str, rows: Sequence[wire.FileRow]) -> list[wire.FileRow]:
    exact = [row for row in rows if row.name == wanted]
    if exact or not is_pattern(wanted):
        return exact
    return sorted((row for row in rows if _matches(row.name, wanted)), key=lambda row: natural_order(row.name))


def _matches(path: str, pattern: str) -> bool:
    """Tell whether a name or path matches, name by name: no `*` stands for a `/`.

    A hidden file never does: it might surprise a user to have it saved.
    """
    names, patterns = path.split("/"), pattern.split("/")
    return len(names) == len(patterns) and all(
        not is_hidden(name) and fnmatch.fnmatchcase(name, each) for name, each in zip(names, patterns, strict=True)
    )


def folders_of_patterns(wanted: Wanted) -> list[str]:
    """Return the folders of which the trees tell which paths match the patterns of `wanted`, each once."""
    words = wanted if isinstance(wanted, tuple) else split_words(wanted) if "/" in wanted else ()
    return list(dict.fromkeys(_fixed_folder(word) for word in words if "/" in word and is_pattern(word)))


def _fixed_folder(pattern: str) -> str:
    """Return the path of the folder that a pattern names before its first name that stands for several."""
    return "/".join(takewhile(lambda name: not is_pattern(name), pattern.split("/")[:-1]))


def _unlisted(name: str) -> wire.FileRow:
    return wire.FileRow(UNKNOWN, 0, name)


def _words(text: str, rows: Sequence[wire.FileRow]) -> list[str]:
    """Return the words of `text` between spaces; where not all of these are names, its words as a shell reads it."""
    names = {row.name for row in rows}
    spans = [word.span() for word in re.finditer(r"[^ \t]+", text)]
    plain = _together(len(spans), lambda at, end: text[spans[at][0] : spans[end - 1][1]], names)
    if names.issuperset(plain):
        return plain
    words = split_words(text)
    return _together(len(words), lambda at, end: " ".join(words[at:end]), names)


def _together(count: int, between: Callable[[int, int], str], names: set[str]) -> list[str]:
    """Return `count` words, adjacent ones joined where they make a name: Tab writes a name with spaces as it is.

    `between(at, end)` returns the text from one word up to, but without, another.
    """
    found, at = [], 0
    while at < count:
        ends = range(min(count, at + _LONGEST_NAME), at + 1, -1)
        end = next((end for end in ends if between(at, end) in names), at + 1)
        found.append(between(at, end))
        at = end
    return found


# --- a line that is being typed ---


def last_word(text: str) -> tuple[int, str]:
    """Return where the last word of `text` begins, and the word without quotation marks, of which one may be open."""
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
    """Return `name` with backslashes, so that it is one word as a shell reads it."""
    return re.sub(r"""([\s'"\\])""", r"\\\1", name)
