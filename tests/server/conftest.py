from __future__ import annotations

import pytest

from chatfile.server import small_files


@pytest.fixture
def no_file_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send each file, however small, as the large ones are: in pieces, and hashed beside that."""
    monkeypatch.setattr(small_files, "SMALL", -1)
