"""The rooms whose score is told, and the tests that know each best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Room:
    """Files that are changed one by one, and the tests that each change is tried on."""

    name: str
    paths: Sequence[Path]
    tests: Sequence[str]


_TESTS: dict[str, Sequence[str]] = {
    "wire": ("tests/wire",),
    "lines": ("tests/lines", "tests/timeouts"),
    "admission": ("tests/admission",),
    "partfile": ("tests/partfile", "tests/downloads"),
    "repository": tuple(f"tests/repository/test_{each}.py" for each in ("repository", "tree", "failing_trees")),
    "disk": ("tests/disk/test_lanes.py",),
    "digests": ("tests/digests",),
    "receiving": ("tests/receiving",),
}


def _files(room: str) -> Sequence[Path]:
    return sorted(Path("chatfile").glob(f"{room}/*.py")) or [Path(f"chatfile/{room}.py")]


ROOMS = {name: Room(name, _files(name), tests) for name, tests in _TESTS.items()}
