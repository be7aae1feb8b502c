"""Bars and the picture of `watch`, as wide as the terminal at most, whatever the names."""

from __future__ import annotations

import io
import re

import pytest
from twisted.internet.task import Clock

from chatfile import wire
from chatfile.cli.format import cell_width
from chatfile.cli.live import Line, LiveRegion, bars, what_is_next
from chatfile.cli.meter import TotalMeter, TransferMeter
from chatfile.cli.watch import Rates, WatchTable
from chatfile.downloads import Stage, Step

NAMES = [
    "a",
    "n" * 255,
    "отчёт за ноябрь месяц.pdf",
    "文件" * 40,
    "🎉" * 30,
    "👩‍👩‍👧‍👦.txt",
    "e\u0301" * 50,
    "\u202eliv\x1b[2J",
]
WIDTHS = [1, 10, 20, 33, 40, 44, 60, 64, 80, 200]


ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def drawn(lines: list[Line]) -> str:
    return ESCAPES.sub("", shown(lines))


def shown(lines: list[Line]) -> str:
    stream = io.StringIO()
    LiveRegion(stream).draw(lines)
    return stream.getvalue()


def meter(name: str = "big.iso", step: Step = Step.RECEIVING) -> TransferMeter:
    clock = Clock()
    meter = TransferMeter(name, clock.seconds)
    meter.stage(Stage(Step.RECEIVING, 0, 400_000_000))
    clock.advance(1)
    meter.advance(100_000_000)
    meter.measure()
    meter.step = step
    return meter


def total() -> TotalMeter:
    total = TotalMeter([400_000_000] * 3, Clock().seconds)
    total.begin(1)
    return total


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NAMES)
def test_a_bar_is_one_line_that_fits(name: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = drawn(bars([meter(name), total()], LiveRegion(io.StringIO()).width)).splitlines()
    assert len(lines) == 2
    assert max(map(cell_width, lines)) <= max(width - 3, 1), "what the terminal shows of a Ctrl-C begins no other line"
    assert "\x1b" not in "".join(lines)
    assert "\u202e" not in "".join(lines)


@pytest.mark.parametrize(
    ("width", "said"),
    [
        (37, ["big.iso", "25 %", "0:03"]),
        (57, ["big.iso", "━", "25 %", "100 MB/s", "0:03"]),
        (77, ["big.iso", "━", "25 %", "400 MB", "100 MB/s", "0:03"]),
    ],
)
def test_the_wider_the_more_is_said(width: int, said: list[str]) -> None:
    line = drawn(bars([meter()], width))
    for part in said:
        assert part in line
    assert cell_width(line.rstrip()) <= width


@pytest.mark.parametrize("step", [Step.CHECKING, Step.VERIFYING])
def test_what_is_done_instead_of_receiving_is_said(step: Step) -> None:
    assert what_is_next(meter(step=step)) == step.value
    assert step.value in drawn(bars([meter(step=step)], 60))


def test_a_transfer_that_has_not_begun_or_stands_still_waits() -> None:
    clock = Clock()
    meter = TransferMeter("a", clock.seconds)
    assert what_is_next(meter) == "waiting"
    meter.stage(Stage(Step.RECEIVING, 0, 100))
    clock.advance(1)
    meter.measure()
    assert what_is_next(meter) == "waiting"


def test_the_cursor_is_never_hidden() -> None:
    stream = io.StringIO()
    place = LiveRegion(stream)
    for text in ("one", "two"):
        place.draw([[(text, "")]])
    place.clear()
    place.draw([[("three", "")]])
    place.leave()
    assert "?25" not in stream.getvalue()
    assert stream.getvalue().endswith("three\n")


def test_without_colour_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert re.findall(r"\x1b\[[0-9;]*m", shown(bars([meter()], 80)))
    monkeypatch.setenv("NO_COLOR", "1")
    assert re.findall(r"\x1b\[[0-9;]*m", shown(bars([meter()], 80))) == []


def test_a_locale_that_lacks_a_sign_has_another_as_wide() -> None:
    bytes_shown = io.BytesIO()
    stream = io.TextIOWrapper(bytes_shown, encoding="latin-1")
    LiveRegion(stream).draw(bars([meter("日本")], 80))
    line = ESCAPES.sub("", bytes_shown.getvalue().decode("latin-1"))
    assert re.match(r"\?\? +-", line)


def rows_erased(stream: io.StringIO, place: LiveRegion) -> int:
    before = len(stream.getvalue())
    place.draw([[("again", "")]])
    return stream.getvalue()[before:].count("\x1b[2K")


@pytest.mark.parametrize(("narrower", "rows"), [(80, 2), (50, 3), (20, 5)])
def test_lines_that_a_narrower_window_has_wrapped_are_all_erased(
    narrower: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    place = LiveRegion(stream)
    monkeypatch.setenv("COLUMNS", "80")
    place.draw([[("x" * 60, "1"), ("y" * 10, "")], [("short", "")]])
    monkeypatch.setenv("COLUMNS", str(narrower))
    assert rows_erased(stream, place) == rows


def test_no_more_is_shown_than_the_window_has_lines_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINES", "5")
    assert drawn([[(f"{number}", "")] for number in range(9)]).splitlines() == ["0", "1", "2", "3", "…"]
    assert len(drawn([[("all", "")]] * 5).splitlines()) == 5


@pytest.mark.parametrize("width", [10, 20, 40, 60, 80, 120])
def test_the_picture_of_who_is_connected_fits(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [wire.ClientRow(f"Client{number:02}", "[2001:db8::1]:50914", 0, None, 3, 10**9) for number in range(3)]
    monkeypatch.setenv("COLUMNS", str(width))
    stream = io.StringIO()
    WatchTable(stream).show(Rates("Client01").look(rows, 0.0), 100.0)
    lines = ESCAPES.sub("", stream.getvalue()).splitlines()
    assert max(map(cell_width, lines)) <= width
    assert width < 60 or [line.split()[0] for line in lines[2:]] == ["Client00", "Client01", "Client02"]
