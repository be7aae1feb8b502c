"""How far a download is: what one line typed at the prompt fetches, one file after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from chatfile import wire
from chatfile.cli.prompt.toolbar import FileProgress
from chatfile.downloads import Stage, Step

_WINDOW = 5.0
"""Seconds over which the rate is taken: long enough to stand still, short enough to be true."""
_PAUSE = 0.1
"""Seconds between two looks at the clock that are kept."""


class Transfer:
    """The files of one `get`; what is left of them survives a connection."""

    def __init__(self, rows: Sequence[wire.FileRow], seconds: Callable[[], float]) -> None:
        """`rows` as they were listed; a size that is not known is -1."""
        self.left = deque(rows)
        self.count = len(rows)
        self.failed = 0
        self.differ = 0
        """Of them, those of which another one is here already."""
        self.fetched = 0
        """Bytes of the files that are done, without those that were here before."""
        self._seconds = seconds
        self._total = sum(row.size for row in rows) if all(row.size >= 0 for row in rows) else None
        self._before = 0  # bytes of the files before
        self.begin()

    @property
    def name(self) -> str:
        """The file that is under way."""
        return self.left[0].name if self.left else ""

    def begin(self) -> None:
        """The next file, or the same once more on another connection."""
        self._step = Step.CHECKING
        self._at = self._resumed_at = 0
        self._size: int | None = None
        self._looks: deque[tuple[float, int]] = deque([(self._seconds(), 0)])

    def stage(self, stage: Stage) -> None:
        """What is done for it from now on."""
        self._step, self._size, self._at = stage.step, stage.size, stage.at
        if stage.step is Step.RECEIVING:
            self._resumed_at = stage.at
            self._looks = deque([(self._seconds(), stage.at)])

    def advance(self, count: int) -> None:
        """So many bytes more came."""
        self._at += count
        now = self._seconds()
        if now - self._looks[-1][0] >= _PAUSE:
            self._looks.append((now, self._at))
        while now - self._looks[0][0] > _WINDOW and len(self._looks) > 1:
            self._looks.popleft()

    def done(self, size: int | None) -> None:
        """This file is over: it has so many bytes, or None where it failed."""
        row = self.left.popleft()
        self.failed += size is None
        self.fetched += self._at - self._resumed_at if size is not None else 0
        self._before += max(row.size, 0)
        self.begin()

    def progress(self) -> FileProgress:
        """For the toolbar."""
        overall = None
        if self._total and self.count > 1:
            overall = min(1.0, (self._before + self._at) / self._total)
        return FileProgress(
            name=self.name,
            step=self._step,
            at=self._at,
            size=self._size,
            rate=self._rate(),
            resumed_at=self._resumed_at,
            position=self.count - len(self.left) + 1,
            count=self.count,
            overall=overall,
        )

    def _rate(self) -> float | None:
        """Bytes a second, ever fewer where it stands still; None where it is too early to tell."""
        began, at = self._looks[0]
        passed = self._seconds() - began
        return (self._at - at) / passed if passed >= _PAUSE else None
