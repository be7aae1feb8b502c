"""Which tests reach which lines."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from coverage import CoverageData

from tests.mutation.rooms import Room

MOST = 600
"""Tests from elsewhere that a change is tried on, at most, after all of its own room that reach it."""


class Reach:
    """What the tests of a room reach."""

    def __init__(self, room: Room, data: Path) -> None:
        """Run them under coverage.

        Raises:
            CalledProcessError: One of them fails as it is.
        """
        self._own = f"tests/{room.name}/"
        package = room.paths[0].parts[0].removesuffix(".py")
        options = [
            "-x",
            "-n0",
            "--dist=no",  # or pytest-cov, which looks before -n0 is obeyed, does not tell one test from another
            "-q",
            "-p",
            "no:cacheprovider",
            "--timeout=900",
            f"--cov={package}",
            "--cov-context=test",
            "--cov-report=",
        ]
        own = {**os.environ, "COVERAGE_FILE": str(data)}
        subprocess.run([sys.executable, "-m", "pytest", *options, *room.tests], env=own, check=True)
        self._data = CoverageData(str(data))
        self._data.read()

    def tests(self, path: Path, line: int) -> Sequence[str]:
        """Those that run the statement that has this line; an empty name stands for its being run by an import."""
        by_line = self._data.contexts_by_lineno(str(path.resolve()))
        contexts = {context for each in _statement(path.read_text(), line) for context in by_line.get(each, ())}
        tests = sorted({context.rpartition("|")[0] for context in contexts})
        own = [test for test in tests if test.startswith(self._own)]
        return own + [test for test in tests if test not in own][:MOST]


def _statement(source: str, line: int) -> Sequence[int]:
    """The lines of the innermost statement that has this one; of a compound one, those of its head."""
    found = range(line, line + 1)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt):
            decorators = getattr(node, "decorator_list", ())
            body = getattr(node, "body", None)
            first = min(each.lineno for each in [node, *decorators])
            last = max(node.lineno, body[0].lineno - 1) if body else node.end_lineno or node.lineno
            if first <= line <= last:
                found = range(first, last + 1)
    return found
