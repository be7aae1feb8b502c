"""The files in the picture: names as people give them, and times that look the same on every day."""

from __future__ import annotations

import os
import time
from pathlib import Path

FIRST, LARGE, SENT_BEFORE = "Grüße aus Köln.txt", "disk image.iso", "Отчёт.pdf"
"""Of the menu; still on its way when the picture is taken; and what somebody else has fetched."""
_MINUTES, _HOURS = 60, 3600
_SIZES_AND_AGES = {
    FIRST: (1_437, 2.5 * _MINUTES),
    LARGE: (250_000_000, 5.5 * _HOURS),
    "readings 2026-10-05.csv": (48_213, None),
    "readings 2026-10-06.csv": (51_706, None),
    SENT_BEFORE: (262_144, None),
    "旅行の写真.zip": (2_418_905, 22.5 * _HOURS),
}
_LONG_AGO = 1_791_273_780  # 2026-10-06 08:03 UTC


def fill(folder: Path) -> None:
    """Their sizes and times are what is looked at, not what is in them."""
    folder.mkdir()
    for name, (size, age) in _SIZES_AND_AGES.items():
        (folder / name).touch()
        os.truncate(folder / name, size)
        changed = _LONG_AGO if age is None else time.time() - age
        os.utime(folder / name, (changed, changed))
