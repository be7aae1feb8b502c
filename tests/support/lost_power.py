"""What a disk may hold after power was lost: a model of it, pure, from the calls that were made until then.

POSIX promises this alone: what was written to a file is there behind an fsync of the file, and what names a folder has,
behind an fsync of the folder. Of anything else, each call by itself may have reached the disk or not, whatever came
before or behind it; and the size of a file may be there without its bytes. What a journal adds to that, an order of the
calls about names, leaves fewer outcomes: what holds here holds there.
"""

from __future__ import annotations

import enum
import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Node:
    """A file or a folder, whatever its names."""

    number: int
    is_folder: bool = False


ROOT = Node(0, is_folder=True)


@dataclass(frozen=True, slots=True)
class Entries:
    """Names in a folder change, all of them or none: what each is of now, or that it is gone."""

    node: Node
    changes: tuple[tuple[str, Node | None], ...]


@dataclass(frozen=True, slots=True)
class Write:
    node: Node
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    node: Node
    size: int


@dataclass(frozen=True, slots=True)
class Time:
    node: Node
    mtime: int


@dataclass(frozen=True, slots=True)
class Sync:
    node: Node


Call = Entries | Write | Truncate | Time | Sync


class Fate(enum.Enum):
    """What became of a call."""

    LOST = "nothing of it is there"
    KEPT = "it is there"
    EMPTY = "the file is as long as with it, with zeros where there was nothing before"
    TORN = "some bytes from the beginning are there"


class Fated(NamedTuple):
    fate: Fate
    cut: float = 0.5
    """How much of it is there, if it is torn."""


LOST, KEPT, EMPTY, TORN = (Fated(fate) for fate in Fate)


class Found(NamedTuple):
    """A file as it is found; its time in seconds since 1970 is None where it is that of a write."""

    content: bytes
    mtime: int | None
    node: Node


Picture = dict[str, Found | None]
"""What is on a disk, by paths; None is a folder."""


@dataclass
class Disk:
    """Files and folders, as far as calls to the system have come."""

    files: dict[Node, tuple[bytes, int | None]] = field(default_factory=dict)
    folders: dict[Node, dict[str, Node]] = field(default_factory=lambda: {ROOT: {}})

    def copy(self) -> Disk:
        return Disk(dict(self.files), {node: dict(entries) for node, entries in self.folders.items()})

    def make(self, call: Call, fated: Fated = KEPT) -> None:
        """Let a call come to its end, or to what became of it."""
        if fated.fate is Fate.LOST or isinstance(call, Sync):
            return
        if isinstance(call, Entries):
            self._enter(call)
            return
        content, mtime = self.files.get(call.node, (b"", None))
        if isinstance(call, Time):
            mtime = call.mtime
        elif isinstance(call, Truncate):
            content, mtime = content[: call.size].ljust(call.size, b"\0"), None
        else:
            content, mtime = _written(content, call, fated), None
        self.files[call.node] = content, mtime

    def _enter(self, call: Entries) -> None:
        entries = self.folders.setdefault(call.node, {})
        for name, node in call.changes:
            if node is None:
                entries.pop(name, None)
            else:
                entries[name] = node

    def picture(self, node: Node = ROOT, start: str = "") -> Picture:
        found: Picture = {}
        for name, inner in sorted(self.folders.get(node, {}).items()):
            if inner.is_folder:
                found |= {start + name: None, **self.picture(inner, f"{start}{name}/")}
            else:
                found[start + name] = Found(*self.files.get(inner, (b"", None)), inner)
        return found


def _written(content: bytes, call: Write, fated: Fated) -> bytes:
    size = len(call.data)
    kept = {Fate.EMPTY: 0, Fate.TORN: int(size * fated.cut)}.get(fated.fate, size)
    end = call.offset + (kept if fated.fate is Fate.TORN else size)
    there = content.ljust(end, b"\0")
    return there[: call.offset] + call.data[:kept] + there[call.offset + kept :]


# --- what may be there ---


def fates(call: Call) -> tuple[Fated, ...]:
    """What may have become of a call that was not synced."""
    return (LOST, KEPT, EMPTY, TORN) if isinstance(call, Write) else (LOST, KEPT)


def unsettled(calls: Sequence[Call]) -> list[int]:
    """The numbers of the calls behind which no sync of their file or folder comes."""
    synced: set[Node] = set()
    left = []
    for number in reversed(range(len(calls))):
        call = calls[number]
        if isinstance(call, Sync):
            synced.add(call.node)
        elif call.node not in synced:
            left.append(number)
    return left[::-1]


def _choices(calls: Sequence[Call], most: int, chance: random.Random) -> Iterator[tuple[Fated, ...]]:
    """What may have become of calls that were not synced: everything, or beyond `most` choices, a part of that."""
    possible = [fates(call) for call in calls]
    if math.prod(map(len, possible)) <= most:
        yield from itertools.product(*possible)
        return
    for all_others in (LOST, KEPT):
        yield (all_others,) * len(calls)
        for number, some in enumerate(possible):
            for fated in some:
                yield (*(all_others,) * number, fated, *(all_others,) * (len(calls) - number - 1))
    for _ in range(most):
        yield tuple(Fated(chance.choice(some).fate, chance.random()) for some in possible)


def outcomes(before: Disk, calls: Sequence[Call], *, most: int, seed: int) -> Iterator[tuple[int, Picture]]:
    """Yield each different picture that power lost at any moment may leave, and how many calls had been made by then.

    Before each call and behind the last one, up to `most` choices are all tried. Of more, these are: all is lost or
    kept, each call has another fate than all others, and `most` more that the `seed` chooses.
    """
    seen: set[tuple[object, ...]] = set()
    chance = random.Random(seed)
    for count in range(len(calls) + 1):
        made = calls[:count]
        left = unsettled(made)
        for chosen in _choices([made[number] for number in left], most, chance):
            disk, fated = before.copy(), dict(zip(left, chosen, strict=True))
            for number, call in enumerate(made):
                disk.make(call, fated.get(number, KEPT))
            picture = disk.picture()
            key = tuple(picture.items())
            if key not in seen:
                seen.add(key)
                yield count, picture


# --- the same calls of a program that syncs too little ---


def without_syncs(calls: Sequence[Call]) -> list[Call]:
    return [call for call in calls if not isinstance(call, Sync)]


def syncs_behind_names(calls: Sequence[Call]) -> list[Call]:
    """The same calls, but each file is synced only when it has its next name."""
    late: list[Call] = []
    held: dict[Node, Sync] = {}
    for call in calls:
        if isinstance(call, Sync) and not call.node.is_folder:
            held[call.node] = call
            continue
        late.append(call)
        if isinstance(call, Entries):
            late += [held.pop(node) for _, node in call.changes if node in held]
    return [*late, *held.values()]
