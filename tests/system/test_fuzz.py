"""What fuzzing begins with, and what it has found, is tried each time; `python -m tests.fuzz` looks for more."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.cuts import CUT
from tests.fuzz.targets import CORPUS, TARGETS

INPUTS = sorted(path for path in CORPUS.glob("*/*") if path.is_file())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_fuzzing_has_seen_breaks_no_promise(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


def test_every_target_has_a_corpus_and_every_corpus_a_target() -> None:
    assert {path.parent.name for path in INPUTS} == set(TARGETS)


def inputs(target: str) -> st.SearchStrategy[tuple[str, bytes]]:
    """The beginning of one that is kept, then lines of others, with cuts and any bytes between them."""
    kept = [path.read_bytes() for path in INPUTS if path.parent.name == target]
    lines = sorted({line for data in kept for line in data.splitlines(keepends=True)})
    begun = st.builds(lambda data, end: data[:end], st.sampled_from(kept), st.integers(0, 400))
    more = st.lists(st.sampled_from(lines) | st.sampled_from([CUT, b"\n", b"\xff"]) | st.binary(max_size=8), max_size=9)
    return st.builds(lambda data, pieces: (target, data + b"".join(pieces)), begun, more)


@settings(max_examples=120)
@given(st.one_of([inputs(target) for target in TARGETS]))
def test_nothing_that_a_stranger_says_breaks_a_promise(said: tuple[str, bytes]) -> None:
    target, data = said
    TARGETS[target](data)
