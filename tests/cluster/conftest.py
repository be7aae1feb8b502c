from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.redis import Redis

BIG = 30_000_000
"""Bytes of a file that no socket buffer holds."""


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    served = tmp_path_factory.mktemp("work") / "served"
    served.mkdir()
    (served / "small.txt").write_bytes(b"a line\n")
    (served / "big.bin").write_bytes(os.urandom(BIG))
    return served


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with Redis(tmp_path / "redis") as engine:
        yield engine
