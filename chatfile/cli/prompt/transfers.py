"""The files that one line typed at the prompt fetches, one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from chatfile import wire
from chatfile.cli.meter import TotalMeter, TransferMeter
from chatfile.downloads import Stage


class Transfer:
    """The files of one `get`, and what came of them; what is left of them survives a connection."""

    def __init__(self, rows: Sequence[wire.FileRow], seconds: Callable[[], float]) -> None:
        """Begin with the first of the `rows` as they were listed; `seconds` is the clock."""
        self.left = deque(rows)
        self.count = len(rows)
        self.failed = 0
        self.differ = 0
        """Of them, those of which another one is here already."""
        self.fetched = 0
        """Bytes of the files that are done, without those that were here before."""
        self.total = TotalMeter([row.size for row in rows], seconds)
        self._seconds = seconds
        self.begin()

    @property
    def name(self) -> str:
        """Return the file that is under way."""
        return self.left[0].name if self.left else ""

    def begin(self) -> None:
        """Turn to the next file, or to the same once more on another connection."""
        self.total.begin(self.count - len(self.left))
        self.meter = TransferMeter(self.name, self._seconds, self.total)

    def stage(self, stage: Stage) -> None:
        """Note what is done for the file from now on."""
        self.meter.stage(stage)

    def advance(self, count: int) -> None:
        """Count so many bytes more that came."""
        self.meter.advance(count)

    def done(self, size: int | None) -> None:
        """Leave this file: it has so many bytes, or None where it failed."""
        self.left.popleft()
        self.failed += size is None
        self.fetched += self.meter.received if size is not None else 0
        self.begin()
