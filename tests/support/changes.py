"""What can happen to a file, and when: the two sides of a matrix."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

PIECE = 1000
"""Bytes sent, and bytes hashed, in one go."""
CONTENT = bytes(range(251)) * 16  # four pieces and a bit
OTHER = CONTENT[::-1]
MORE = b"END -\nFILE 0\n" * 100
ALL = 5
"""Pieces of the whole."""


# --- what happens to the file ---


class Seen(Enum):
    """What it is through a descriptor that was open before."""

    SAME = "the bytes that were promised, and maybe more"
    CUT = "not all that was promised any more"
    OTHER = "as many bytes as were promised, but not the same"
    LONGER = "longer, and the beginning is not the same"


@dataclass(frozen=True)
class Change:
    act: Callable[[Path], object]
    fresh: bytes | str
    """The content, or the error's code, for who opens it afterwards."""
    seen: Seen = Seen.SAME

    @property
    def contents(self) -> list[bytes]:
        """What may pass for verified: how the file was, and how it begins now."""
        return [CONTENT] if isinstance(self.fresh, str) else [CONTENT, self.fresh[: len(CONTENT)]]


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(MORE)


def _overwrite(content: bytes, at: int = 0) -> Callable[[Path], None]:
    def act(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(at)
            file.write(content)

    return act


def _cut_unseen(path: Path) -> None:
    before = path.stat()
    os.truncate(path, 2345)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replace(path: Path) -> None:
    new = path.with_name("new")
    new.write_bytes(OTHER)
    new.replace(path)


def _move_and_link(path: Path) -> None:
    path.symlink_to(path.rename(path.with_name("b")).name)


def _become(put: Callable[[Path], object]) -> Change:
    def act(path: Path) -> None:
        path.unlink()
        put(path)

    return Change(act, "no-such-file")


def _both_ends(path: Path) -> None:
    _overwrite(b"new head")(path)
    _overwrite(b"new tail", len(CONTENT) - 8)(path)


def _head_and_more(path: Path) -> None:
    _overwrite(b"new head")(path)
    _append(path)


CHANGES = {
    "nothing": Change(lambda path: None, CONTENT),
    "grown": Change(_append, CONTENT + MORE),
    "emptied": Change(lambda path: os.truncate(path, 0), b"", Seen.CUT),
    "cut in the middle of a piece": Change(lambda path: os.truncate(path, 2345), CONTENT[:2345], Seen.CUT),
    "cut behind a piece": Change(lambda path: os.truncate(path, 2 * PIECE), CONTENT[: 2 * PIECE], Seen.CUT),
    "a byte shorter": Change(lambda path: os.truncate(path, len(CONTENT) - 1), CONTENT[:-1], Seen.CUT),
    "cut, its time put back": Change(_cut_unseen, CONTENT[:2345], Seen.CUT),
    "rewritten shorter": Change(lambda path: path.write_bytes(OTHER[:1500]), OTHER[:1500], Seen.CUT),
    "rewritten": Change(lambda path: path.write_bytes(OTHER), OTHER, Seen.OTHER),
    "rewritten in place": Change(_overwrite(OTHER), OTHER, Seen.OTHER),
    "rewritten at both ends": Change(_both_ends, b"new head" + CONTENT[8:-8] + b"new tail", Seen.OTHER),
    "rewritten with what it was": Change(lambda path: path.write_bytes(CONTENT), CONTENT, Seen.OTHER),
    "rewritten longer": Change(lambda path: path.write_bytes(OTHER + MORE), OTHER + MORE, Seen.LONGER),
    "rewritten at its head, and grown": Change(_head_and_more, b"new head" + CONTENT[8:] + MORE, Seen.LONGER),
    "replaced": Change(_replace, OTHER),
    "unlinked": Change(Path.unlink, "no-such-file"),
    "renamed": Change(lambda path: path.rename(path.with_name("b")), "no-such-file"),
    "hidden": Change(lambda path: path.rename(path.with_name(".a")), "no-such-file"),
    "a link to itself, elsewhere": Change(_move_and_link, "no-such-file"),
    "a link elsewhere": _become(lambda path: path.symlink_to("/etc/passwd")),
    "a dangling link": _become(lambda path: path.symlink_to("nowhere")),
    "a FIFO": _become(os.mkfifo),
    "a folder": _become(Path.mkdir),
}  # fmt: skip


# --- when it happens ---


@dataclass(frozen=True)
class Point:
    """How far a conversation is: pieces sent, and hashed."""

    sent: int = 0
    hashed: int = 0
    has_begun: bool = True
    """Whether the header is out."""


POINTS = {
    "between its opening and the header": Point(has_begun=False),
    "behind the header": Point(),
    "nothing sent, half hashed": Point(0, 2),
    "nothing sent, all hashed": Point(0, ALL),
    "half sent": Point(2, 1),
    "half hashed": Point(1, 2),
    "half sent, all hashed": Point(2, ALL),
    "all sent, nothing hashed": Point(ALL, 0),
    "all sent, half hashed": Point(ALL, 2),
}
