"""The names of files: what a server may list, and what a client may ask for."""

from __future__ import annotations

from unicodedata import category


def is_servable(name: str) -> bool:
    """Tell whether a file can be served under `name`: the predicate of list, get and hash, at both ends.

    A single path component, not hidden, that stands on a line of its own: UTF-8 without control characters or line
    separators (design: the repository).
    """
    if not name or name.startswith(".") or "/" in name:
        return False
    return (name.isascii() and name.isprintable()) or not any(category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name)
