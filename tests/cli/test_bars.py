"""Bars and the picture of `watch`, as wide as the terminal at most, whatever the names."""

from __future__ import annotations

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType
from twisted.internet.task import Clock

from chatfile import wire
from chatfile.cli.live import MARGIN, LiveRegion, bars, what_is_next
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


def drawn(what: RenderableType, width: int, **options: object) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, **options).print(what)  # type: ignore[arg-type]
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
def test_a_bar_is_one_line_that_fits(name: str, width: int) -> None:
    lines = drawn(bars([meter(name), total()], width), width).splitlines()
    assert len(lines) == 2
    assert max(map(cell_len, lines)) <= width
    assert "\x1b" not in "".join(lines)
    assert "\u202e" not in "".join(lines)


@pytest.mark.parametrize(
    ("width", "said"),
    [
        (40, ["big.iso", "25 %", "0:03"]),
        (60, ["big.iso", "━", "25 %", "100 MB/s", "0:03"]),
        (80, ["big.iso", "━", "25 %", "400 MB", "100 MB/s", "0:03"]),
    ],
)
def test_the_wider_the_more_is_said(width: int, said: list[str]) -> None:
    line = drawn(bars([meter()], width), width)
    for part in said:
        assert part in line
    assert cell_len(line.rstrip()) <= width - MARGIN


@pytest.mark.parametrize("step", [Step.CHECKING, Step.VERIFYING])
def test_what_is_done_instead_of_receiving_is_said(step: Step) -> None:
    assert what_is_next(meter(step=step)) == step.value
    assert step.value in drawn(bars([meter(step=step)], 60), 60)


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
        place.draw(text)
    place.clear()
    place.draw("three")
    place.leave()
    assert "?25" not in stream.getvalue()
    assert stream.getvalue().endswith("three\n")


def test_without_colour_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = io.StringIO()
    LiveRegion(stream).draw(bars([meter()], 80))
    assert re.findall(r"\x1b\[(?:3[0-7]|9[0-7])m", stream.getvalue()) == []


@pytest.mark.parametrize("width", [10, 20, 40, 60, 80, 120])
def test_the_picture_of_who_is_connected_fits(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [wire.ClientRow(f"Client{number:02}", "[2001:db8::1]:50914", 0, None, 3, 10**9) for number in range(3)]
    monkeypatch.setenv("COLUMNS", str(width))
    stream = io.StringIO()
    WatchTable(stream).show(Rates("Client01").look(rows, 0.0), 100.0)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue()).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert width < 60 or [line.split()[0] for line in lines[2:]] == ["Client00", "Client01", "Client02"]
