"""What is to be seen of downloads under way: the gauges, and when they are shown."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TextIO

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from chatfile.cli.gauges import Gauge, Overall


class Display(Protocol):
    """Shows gauges again and again."""

    interval: float
    """Seconds between two times."""

    def draw(self, current: Gauge | None, overall: Overall | None) -> None:
        """As they are now. Raises OSError."""

    def clear(self) -> None:
        """Leave the place to something else, until the next time. Raises OSError."""


class Progress:
    """The download under way, and the several of which it is one."""

    def __init__(self, clock: IReactorTime, display: Display | None = None) -> None:
        """Without a `display` nothing is shown, but `current` and `overall` can be looked at."""
        self.current: Gauge | None = None
        self.overall: Overall | None = None
        self.unfinished: Gauge | None = None
        """The latest download, where it did not end well."""
        self._clock = clock
        self._display = display
        self._is_shown = False
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = clock

    @contextmanager
    def several(self, sizes: Sequence[int]) -> Iterator[None]:
        """Around downloads of files of these sizes."""
        self.overall = Overall(sizes, self._clock.seconds)
        try:
            with self._shown():
                yield
        finally:
            self.overall = None

    @contextmanager
    def of(self, name: str, number: int = 0) -> Iterator[Gauge]:
        """Around one download; of several, that with this number, from 0 on."""
        if self.overall is not None:
            self.overall.begin(number)
        self.current = self.unfinished = Gauge(name, self._clock.seconds, part_of=self.overall)
        try:
            with self._shown():
                yield self.current
            self.unfinished = None
        finally:
            self.current = None

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Around something else that is written where the display is."""
        was_shown = self._is_shown
        self.clear()
        yield
        if was_shown:
            self._draw()

    def clear(self) -> None:
        """Show nothing for now."""
        if self._is_shown and self._display is not None:
            self._is_shown = False
            self._attempt(self._display.clear)

    @contextmanager
    def _shown(self) -> Iterator[None]:
        """The display is up from a moment after the beginning to the end; the outermost counts."""
        is_outermost = self._display is not None and not self._ticking.running
        if is_outermost and self._display is not None:
            self._ticking.start(self._display.interval, now=False)
        try:
            yield
        finally:
            if is_outermost:
                self._ticking.stop()
                self.clear()

    def _tick(self) -> None:
        for gauge in (self.current, self.overall):
            if gauge is not None:
                gauge.measure()
        self._draw()

    def _draw(self) -> None:
        if self.overall is not None:
            self.overall.follow(self.current)
        if self._display is not None:
            self._is_shown = True
            self._attempt(self._display.draw, self.current, self.overall)

    def _attempt(self, show: Callable[..., None], *gauges: Gauge | None) -> None:
        try:
            show(*gauges)
        except OSError:
            self._display = None  # nobody looks any more; the download goes on


class Bars:
    """Bars on a terminal, loaded when there is something to draw: most downloads are over by then."""

    interval = 0.1

    def __init__(self, stream: TextIO) -> None:
        """On the terminal `stream`."""
        self._stream = stream
        self._display: Display | None = None

    def draw(self, current: Gauge | None, overall: Overall | None) -> None:
        """See `Display`."""
        if self._display is None:
            from chatfile.cli.bars import Lines  # noqa: PLC0415 -- rich takes longer to load than all the rest

            self._display = Lines(self._stream)
        self._display.draw(current, overall)

    def clear(self) -> None:
        """See `Display`."""
        if self._display is not None:
            self._display.clear()


def is_drawable(stream: TextIO | None) -> bool:
    """Whether what is on `stream` can be drawn anew: it is a terminal that can move its cursor."""
    return stream is not None and stream.isatty() and not is_dumb()


def is_dumb() -> bool:
    """Whether nobody knows of a terminal that it could draw."""
    return os.environ.get("TERM", "").lower() in ("", "dumb", "unknown")
