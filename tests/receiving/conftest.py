"""Receivers that leave nothing open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatfile.receiving.splicing import Splice
from tests.support.receiving import Receiving, open_descriptors


@pytest.fixture
def receiving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(Splice, "PATIENCE", 0)
    made: list[Receiving] = []
    before: list[int] = []

    def make(*arguments: Any, **named: Any) -> Receiving:
        before.append(open_descriptors())
        made.append(Receiving(tmp_path / "a", *arguments, **named))
        return made[-1]

    yield make
    for each in made:
        each.close()
    assert not made or open_descriptors() == before[0], "nothing is left open"
