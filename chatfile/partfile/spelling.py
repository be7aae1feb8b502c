"""Names that are spelled differently, but that some file systems take for the same name."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator

from chatfile import errors
from chatfile.partfile.names import NOTE, PART

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
    """Remembers the names that were saved in one run, folder by folder.

    So no file replaces another one of the run whose name the disk takes for the same.
    """

    def __init__(self) -> None:
        """Begin without names."""
        self._names: dict[tuple[str, str], set[str]] = {}

    def add(self, folder: str, name: str) -> None:
        """Remember that `name` was saved in `folder`."""
        self._names.setdefault((folder, folded(name)), set()).add(name)

    def has_like(self, folder: str, name: str) -> bool:
        """Tell whether another name was saved that the disk may take for the same one."""
        return bool(self._like(folder, name))

    def _like(self, folder: str, name: str) -> set[str]:
        return self._names.get((folder, folded(name)), set()) - {name}

    def check(self, folder: str, name: str) -> None:
        """Raise `NameTaken` if `name` is the file of another saved name. It blocks, so it is for threads."""
        path = os.path.join(folder, name)
        for other in self._like(folder, name):
            try:
                is_one = os.path.samestat(os.lstat(path), os.lstat(os.path.join(folder, other)))
            except OSError:
                continue  # one of the two was removed
            if is_one:
                raise errors.NameTaken(path=path)
