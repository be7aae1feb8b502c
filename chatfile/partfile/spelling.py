"""Names that one file system takes for one and the same, and another does not."""

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
"""What Unicode calls default ignorable code points: file systems that fold names leave them out."""
_HIDDEN = re.compile(r"\.(?!\.)")
"""Not three dots, which an ellipsis may become: no program looks for a file of that name."""
_SOME_IGNORED = "\u200c"
_PLAIN = re.compile("[!-~]")
_TO_WIDE = 0xFEE0
"""From a character of ASCII to the wide one that is compatible with it."""


def folded(name: str) -> str:
    """Return `name` as the most forgiving file system reads it: no case, no ignored characters, one normal form."""
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
    """Tell whether the file that is found as `name` in the open `folder` has another name there, spelled otherwise.

    Raises OSError where that can't be told.
    """
    if not any(_exists(folder, variant) for variant in _variants(name)):
        return False  # it folds nothing: no need to read the whole folder
    with os.scandir(folder) as found:
        return all(entry.name != name for entry in found)


def _variants(name: str) -> Iterator[str]:
    """Yield names of which a file system that takes any other for `name` takes one for it as well."""
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
        return False  # no such name, or none that it takes
    return True


class Saved:
    """Notes what one run has saved, so that no name takes the file of another that is the same one on this disk."""

    def __init__(self) -> None:
        """Begin with nothing saved."""
        self._names: dict[tuple[str, str], set[str]] = {}

    def add(self, folder: str, name: str) -> None:
        """Note that `name` was saved in `folder`."""
        self._names.setdefault((folder, folded(name)), set()).add(name)

    def has_like(self, folder: str, name: str) -> bool:
        """Tell whether another name was saved that may be the same one on this disk."""
        return bool(self._like(folder, name))

    def _like(self, folder: str, name: str) -> set[str]:
        return self._names.get((folder, folded(name)), set()) - {name}

    def check(self, folder: str, name: str) -> None:
        """Raise `NameTaken` where `name` is the file of another name. It looks at the disk, so it is for threads."""
        path = os.path.join(folder, name)
        for other in self._like(folder, name):
            try:
                is_one = os.path.samestat(os.lstat(path), os.lstat(os.path.join(folder, other)))
            except OSError:
                continue  # one of them is not there any more
            if is_one:
                raise errors.NameTaken(path=path)
