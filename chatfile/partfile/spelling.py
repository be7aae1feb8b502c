"""Names that are spelled differently, but that some file systems take for the same name."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator

from chatfile import errors
from chatfile.partfile.names import NOTE, PART
from chatfile.paths import LocalPath

_IGNORED = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Unicode's default ignorable code points: file systems that fold names leave them out."""
_HIDDEN = re.compile(r"\.(?!\.)")
"""Matches one dot, but not the three that an ellipsis is folded to: no program looks for a file of such a name."""
_SOME_IGNORED = "\u200c"
_PLAIN = re.compile("[!-~]")
_TO_WIDE = 0xFEE0
"""The distance from a character of ASCII to its fullwidth form."""


def folded(name: str) -> str:
    """Return `name` as the file system that distinguishes least reads it: without case and ignored characters, in NFKC.

    Names that any file system takes for the same one have the same result.
    """
    if name.isascii():
        return name.lower().rstrip(". ")
    bare = _IGNORED.sub("", unicodedata.normalize("NFKC", name)).casefold()
    return unicodedata.normalize("NFKC", bare).rstrip(". ")


def is_hidden(name: str) -> bool:
    """Tell whether a file of that name is a hidden one, here or on another file system."""
    return name.startswith(".") or bool(_HIDDEN.match(folded(name)))


def is_unfinished(name: str) -> bool:
    """Tell whether `name` is one of those that part files and their notes have."""
    return is_hidden(name) and folded(name).endswith((PART, NOTE))


def has_other_spelling(folder: int, name: str) -> bool:
    """Tell whether the file that is found as `name` in the open `folder` is spelled differently there.

    Raises OSError if that can't be found out.
    """
    if not any(_exists(folder, variant) for variant in _variants(name)):
        return False  # the file system folds no names: no need to read the whole folder
    with os.scandir(folder) as found:
        return all(entry.name != name for entry in found)


def _variants(name: str) -> Iterator[str]:
    """Yield spellings of `name`; a file system that folds names in any way takes at least one of them for `name`."""
    forms = (unicodedata.normalize(form, name) for form in ("NFC", "NFD", "NFKC"))
    cases = (name.swapcase(), name.casefold())
    ends = (name.rstrip(". "), f"{name}.", f"{name}{_SOME_IGNORED}")
    wide = _PLAIN.sub(lambda found: chr(ord(found[0]) + _TO_WIDE), name, count=1)
    for variant in {*forms, *cases, *ends, wide}:
        if variant not in ("", name):
            yield variant


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except (OSError, UnicodeError):
        return False  # there is no such file, or can't be one
    return True


class Saved:
    """Remembers the paths that were saved in one run.

    So no file replaces another one of the run whose path the disk takes for the same.
    """

    def __init__(self) -> None:
        """Begin without paths."""
        self._paths: dict[tuple[str, ...], set[LocalPath]] = {}

    def add(self, path: LocalPath) -> None:
        """Remember that a file was saved as `path`."""
        self._paths.setdefault(_key(path), set()).add(path)

    def has_like(self, path: LocalPath) -> bool:
        """Tell whether another path was saved that the disk may take for the same one."""
        return bool(self._like(path))

    def _like(self, path: LocalPath) -> set[LocalPath]:
        return self._paths.get(_key(path), set()) - {path}

    def check(self, path: LocalPath) -> None:
        """Raise `NameTaken` if `path` is the file of another saved path. It blocks, so it is for threads."""
        for other in self._like(path):
            try:
                is_one = os.path.samestat(os.lstat(str(path)), os.lstat(str(other)))
            except OSError:
                continue  # one of the two was removed
            if is_one:
                raise errors.NameTaken(path=path)


def _key(path: LocalPath) -> tuple[str, ...]:
    return path.root, *map(folded, path.names)
