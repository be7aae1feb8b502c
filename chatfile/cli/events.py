"""Progress for programs: an event now and then."""

from __future__ import annotations

from chatfile.cli.gauges import Gauge, Overall
from chatfile.cli.views import View
from chatfile.downloads import Step


class ProgressEvents:
    """A `progress` event for the download under way, twice a second."""

    interval = 0.5

    def __init__(self, view: View) -> None:
        """Shown by `view`."""
        self._view = view

    def draw(self, current: Gauge | None, overall: Overall | None) -> None:
        """See `Display`."""
        if current is not None and self._view.is_free:
            several = {} if overall is None else {"overall": _overall(overall)}
            self._view.event("progress", **_progress(current), **several)

    def clear(self) -> None:
        """Nothing: what is written stays."""


def _progress(gauge: Gauge) -> dict[str, object]:
    step = "waiting" if gauge.step is None else gauge.step.value
    rate = gauge.rate if gauge.step is Step.RECEIVING else None
    left = gauge.seconds_left if rate else None
    return {
        "name": gauge.name,
        "step": step,
        "bytes": gauge.at,
        "size": gauge.size,
        "rate": _rounded(rate),
        "seconds_left": _rounded(left),
        "resumed_from": gauge.resumed_from,
    }


def _overall(overall: Overall) -> dict[str, object]:
    return {"files_done": overall.done, "files": overall.files, "bytes": overall.at, "size": overall.size}


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 1)
