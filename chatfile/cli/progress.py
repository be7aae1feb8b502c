"""The progress of downloads under way: their meters, and the displays that show these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from chatfile.cli.live import Bars
from chatfile.cli.meter import TotalMeter, TransferMeter
from chatfile.cli.view import View
from chatfile.downloads import Step


class Progress:
    """Measures the download under way, and the several of which it is one, and lets a display show that."""

    def __init__(self, clock: IReactorTime, display: Bars | ProgressEvents | None = None) -> None:
        """Let `display` show `current` and `total`; without one, nothing is shown."""
        self.current: TransferMeter | None = None
        self.total: TotalMeter | None = None
        self.unfinished: TransferMeter | None = None
        """The latest download, where it is under way or failed."""
        self._clock = clock
        self._display = display
        self._is_shown = False
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = clock

    @contextmanager
    def several(self, sizes: Sequence[int]) -> Iterator[None]:
        """Measure the downloads of several files, of these sizes in bytes, within this context."""
        self.total = TotalMeter(sizes, self._clock.seconds)
        try:
            with self._shown():
                yield
        finally:
            self.total = None

    @contextmanager
    def of(self, name: str, number: int = 0) -> Iterator[TransferMeter]:
        """Measure one download within this context; of several, the one with this number, from 0 on."""
        if self.total is not None:
            self.total.begin(number)
        self.current = self.unfinished = TransferMeter(name, self._clock.seconds, self.total)
        try:
            with self._shown():
                yield self.current
            self.unfinished = None
        finally:
            self.current = None

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Clear the display within this context, where something else is written to the terminal."""
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
        """Show the display within this context, from a moment after its begin; a nested context changes nothing."""
        is_outermost = self._display is not None and not self._ticking.running
        if is_outermost and self._display is not None:
            self._ticking.start(self._display.interval, now=False)
        try:
            yield
        finally:
            if is_outermost:
                self._ticking.stop()
                self.clear()

    def measure(self) -> None:
        """Let the meters know what time it is: rates fall where nothing comes."""
        for meter in (self.current, self.total):
            if meter is not None:
                meter.measure()

    def _tick(self) -> None:
        self.measure()
        self._draw()

    def _draw(self) -> None:
        if self._display is not None:
            self._is_shown = True
            self._attempt(self._display.draw, self.current, self.total)

    def _attempt(self, show: Callable[..., None], *meters: TransferMeter | TotalMeter | None) -> None:
        try:
            show(*meters)
        except OSError:
            self._display = None  # nobody reads it any more; the download goes on


class ProgressEvents:
    """Writes a `progress` event in JSON for the download under way, twice a second."""

    interval = 0.5

    def __init__(self, view: View) -> None:
        """Write the events to `view`."""
        self._view = view

    def draw(self, current: TransferMeter | None, total: TotalMeter | None) -> None:
        """Write an event, unless its reader is slower than we are. Raises OSError."""
        if current is not None and self._view.is_free:
            several = {} if total is None else {"overall": _total_object(total)}
            self._view.event("progress", **_transfer_object(current), **several)

    def clear(self) -> None:
        """Do nothing: an event that is written stays."""


def _transfer_object(meter: TransferMeter) -> dict[str, object]:
    rate = meter.rate if meter.step is Step.RECEIVING else None
    return {
        "name": meter.name,
        "step": "waiting" if meter.step is None else meter.step.value,
        "bytes": meter.at,
        "size": meter.size,
        "rate": _rounded(rate),
        "seconds_left": _rounded(meter.seconds_left if rate else None),
        "resumed_from": meter.resumed_from,
    }


def _total_object(total: TotalMeter) -> dict[str, object]:
    return {"files_done": total.done, "files": total.files, "bytes": total.at, "size": total.size}


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 1)
