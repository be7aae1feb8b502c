"""When progress is shown, and that nothing of it is left, whatever happens to the download or the display."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from chatfile.cli.meter import TotalMeter, TransferMeter
from chatfile.cli.progress import Progress
from chatfile.cli.terminal import is_drawable


class Shown:
    """A display that writes down what it is told."""

    interval = 0.1

    def __init__(self) -> None:
        self.log: list[str] = []
        self.is_broken = False

    def draw(self, current: TransferMeter | None, total: TotalMeter | None) -> None:
        if self.is_broken:
            raise OSError
        self.log.append(" + ".join(meter.name for meter in (current, total) if meter is not None))

    def clear(self) -> None:
        self.log.append("clear")


def test_a_download_is_shown_until_it_ends() -> None:
    clock, shown = Clock(), Shown()
    with Progress(clock, shown).of("a"):
        clock.pump([0.1, 0.1])
    assert shown.log == ["a", "a", "clear"]
    assert clock.getDelayedCalls() == []


def test_what_is_over_in_a_moment_is_not_shown() -> None:
    clock, shown = Clock(), Shown()
    with Progress(clock, shown).of("a"):
        clock.advance(0.05)
    assert (shown.log, clock.getDelayedCalls()) == ([], [])


def test_several_are_shown_with_the_whole_and_between_them() -> None:
    clock, shown = Clock(), Shown()
    progress = Progress(clock, shown)
    with progress.several([1, 1]):
        with progress.of("a", 0):
            clock.advance(0.1)
        clock.advance(0.1)
        with progress.of("b", 1):
            clock.advance(0.1)
    assert shown.log == ["a + 0 of 2 files", "0 of 2 files", "b + 1 of 2 files", "clear"]
    assert clock.getDelayedCalls() == []


def test_a_failure_leaves_nothing_on_the_display() -> None:
    clock, shown = Clock(), Shown()
    progress = Progress(clock, shown)

    def fail() -> None:
        with progress.several([1]), progress.of("a"):
            clock.advance(0.1)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert shown.log[-1] == "clear"
    assert (progress.current, progress.total, clock.getDelayedCalls()) == (None, None, [])


def test_the_display_makes_room_for_what_is_written() -> None:
    clock, shown = Clock(), Shown()
    progress = Progress(clock, shown)
    with progress.aside():
        shown.log.append("before")
    with progress.of("a"):
        clock.advance(0.1)
        with progress.aside():
            shown.log.append("written")
    assert shown.log == ["before", "a", "clear", "written", "a", "clear"]


def test_a_display_that_breaks_does_not_end_the_download() -> None:
    clock, shown = Clock(), Shown()
    shown.is_broken = True
    with Progress(clock, shown).of("a") as meter:
        clock.pump([0.1, 0.1])
        meter.advance(5)
    assert (shown.log, meter.at, clock.getDelayedCalls()) == ([], 5, [])


def test_without_a_display_it_can_still_be_looked_at() -> None:
    clock = Clock()
    progress = Progress(clock)
    with progress.several([10]), progress.of("a") as meter:
        assert (progress.current, clock.getDelayedCalls()) == (meter, [])


@pytest.mark.parametrize(
    ("is_terminal", "kind", "is_wanted"),
    [(True, "xterm", True), (True, "dumb", False), (True, None, False), (False, "xterm", False)],
)
def test_only_a_terminal_that_moves_its_cursor_is_drawn_on(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, kind: str | None, is_wanted: bool
) -> None:
    class Stream:
        def isatty(self) -> bool:
            return is_terminal

    monkeypatch.delenv("TERM", raising=False)
    if kind is not None:
        monkeypatch.setenv("TERM", kind)
    assert is_drawable(Stream()) == is_wanted  # type: ignore[arg-type]
