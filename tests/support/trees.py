"""What lies in a folder, to compare it with what lay there before."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def tree(folder: Path) -> dict[str, bytes | str]:
    """Everything below `folder`, hidden files and links (which are not followed) included: its path and what it is."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            what: bytes | str = "-> " + os.readlink(path)
        elif stat.S_ISREG(mode):
            what = path.read_bytes()
        else:
            what = stat.filemode(mode)[0]
        found[str(path.relative_to(folder))] = what
    return found
