"""The picture of the benchmarks: of the figures in the docs, on its own, and with every row where it belongs."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.bench import __main__ as bench
from tests.bench import plot, saved
from tests.bench.measure import Figures
from tests.bench.registry import Goal, at_least, at_most
from tests.bench.table import Result, markdown
from tests.house.test_picture import NAMESPACE, assert_stands_on_its_own, texts
from tests.support import ROOT
from tests.support.chromium import Chromium
from tests.support.documents import DOCUMENTS

DOCS = DOCUMENTS["docs/benchmarks.md"]
PICTURE = ROOT / "docs" / "benchmarks.svg"
TOLD = "Some machine, 2 cores: python -m tests.bench"
MIDDLE = (plot.LEFT + plot.RIGHT) / 2


def row(
    goal: Goal | None, *figures: float, unit: str = "s", is_compared: bool = True, title: str = "time against x"
) -> saved.SavedRow:
    """The median, the least and the most, or none of them."""
    three = (figures[0], figures[1], figures[2]) if figures else None
    return saved.SavedRow("row", title, f"1.0 {unit}", f"2.0 {unit}" if is_compared else "-", goal, three)


def shapes(*rows: saved.SavedRow) -> list[ET.Element]:
    """What is drawn for the rows."""
    drawn = ET.fromstring(plot.drawn({"group": rows}, TOLD))
    return [shape for group in drawn.iter(f"{{{NAMESPACE}}}g") for shape in group]


def of_kind(kind: str, *rows: saved.SavedRow) -> list[ET.Element]:
    return [shape for shape in shapes(*rows) if kind in (shape.get("class") or "").split()]


# --- the one in the docs ---


def test_it_is_of_the_figures_in_the_docs() -> None:
    again = "python -m tests.bench --from docs/benchmarks.md --plot docs/benchmarks.svg"
    assert PICTURE.read_text(encoding="utf-8") == bench.picture(DOCS), f"the figures are others: {again}"


def test_it_stands_on_its_own() -> None:
    assert_stands_on_its_own(PICTURE.read_text(encoding="utf-8"), largest=50_000)


def test_it_has_every_row_and_says_where_they_were_measured() -> None:
    shown = [text.text for text in texts(PICTURE.read_text(encoding="utf-8"))]
    assert set(bench.BENCHMARKS) <= set(shown)
    assert saved.circumstances(DOCS) in " ".join(map(str, shown))


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_all_words_within_it(tmp_path: Path, scheme: str) -> None:
    with Chromium(tmp_path) as browser:
        browser.show_as(plot.WIDTH, scheme)
        browser.open(PICTURE.as_uri())
        places = browser.value("[...document.querySelectorAll('text')].map(t => [t.getBBox().x, t.getBBox().width])")
        assert all(x >= 0 and x + width <= plot.WIDTH for x, width in places)
        ground, ink = browser.value(
            "['.ground', 'text'].map(name => getComputedStyle(document.querySelector(name)).fill)"
        )
        assert ground != ink
        assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


# --- where what is ---


def test_the_axis_is_logarithmic_and_has_ends() -> None:
    assert [plot.at(plot.LEAST), plot.at(plot.MOST)] == [plot.LEFT, plot.RIGHT]
    assert plot.at(math.sqrt(plot.LEAST * plot.MOST)) == MIDDLE
    assert plot.at(4) - plot.at(2) == pytest.approx(plot.at(2) - plot.at(1), abs=0.2)
    assert [plot.at(0), plot.at(math.inf)] == [plot.LEFT, plot.RIGHT]


@pytest.mark.parametrize(
    ("shown", "median", "goal"),
    [
        (row(at_least(1), 2, 1, 4), 2, 1),
        (row(at_least(0.25), 0.5, 0.4, 0.6), 0.5, 0.25),
        (row(at_most(1.5), 0.5, 0.4, 0.6), 2, 1 / 1.5),
        (row(at_most(20, "ms"), 5, 4, 8, is_compared=False), 4, 1),
        (row(at_least(100, "/s"), 50, 40, 60, is_compared=False), 0.5, 1),
    ],
)
def test_better_is_to_the_right_whatever_is_measured(shown: saved.SavedRow, median: float, goal: float) -> None:
    (dot,) = of_kind("dot", shown)
    (tick,) = of_kind("goal", shown)
    assert float(dot.get("cx", 0)) == plot.at(median)
    assert float(tick.get("x1", 0)) == float(tick.get("x2", 0)) == plot.at(goal)


def test_the_range_is_from_the_worst_run_to_the_best() -> None:
    (line,) = of_kind("range", row(at_most(1), 2, 1, 4))
    assert [float(line.get(end, 0)) for end in ("x1", "x2")] == [plot.at(1 / 4), plot.at(1)]


def test_a_goal_that_is_met_is_told_without_colours() -> None:
    met, missed, told = of_kind("dot", row(at_least(1), 2, 2, 2), row(at_least(3), 2, 2, 2), row(None, 2, 2, 2))
    assert [each.get("class") for each in (met, missed, told)] == ["dot met", "dot missed", "dot told"]
    assert ".missed { fill: var(--ground)" in plot.drawn({}, TOLD)
    assert told.tag == f"{{{NAMESPACE}}}rect"


def test_without_a_goal_the_unit_says_what_is_better() -> None:
    rate, time = of_kind("dot", row(None, 2, 2, 2, unit="GiB/s"), row(None, 2, 2, 2, unit="s"))
    assert [float(each.get("x", 0)) + 4 for each in (rate, time)] == [plot.at(2), plot.at(0.5)]


@pytest.mark.parametrize(("figures", "end"), [((-0.01, -0.02, 0.5), plot.RIGHT), ((1000, 1000, 1000), plot.LEFT)])
def test_what_lies_beyond_the_axis_is_an_arrow_at_its_end(figures: tuple[float, ...], end: float) -> None:
    (arrow,) = of_kind("dot", row(at_most(1, "s"), *figures, is_compared=False))
    points = [float(point.split(",")[0]) for point in (arrow.get("points") or "").split()]
    assert points[0] + points[1] == 2 * end
    assert (points[1] > points[0]) == (end == plot.RIGHT)


@pytest.mark.parametrize("shown", [row(at_least(1)), row(None, 5, 4, 6, is_compared=False)])
def test_what_was_not_measured_or_has_nothing_to_be_held_against_is_told_only(shown: saved.SavedRow) -> None:
    assert {shape.tag.removeprefix(f"{{{NAMESPACE}}}") for shape in shapes(shown)} == {"title", "text"}


def test_whoever_is_not_named_is_the_one_before() -> None:
    before, same = row(None, 1, 1, 1), row(None, 1, 1, 1, title="the same: CPU time")
    said = [text.text for text in texts(plot.drawn({"group": [before, same]}, TOLD))]
    assert said.count("against x") == 2


def test_markup_in_words_is_text() -> None:
    said = texts(plot.drawn({"<b>&": [row(None, 1, 1, 1, title="against </svg>")]}, "<script>"))
    assert {"<b>&", "against </svg>", "<script>"} <= {text.text for text in said}


# --- the table, read back ---


def test_what_is_printed_is_read_back() -> None:
    compared = Result(bench.BENCHMARKS["serve-rate"], Figures("GiB/s", [2000, 2, 2.5], [1000, 4, 1]))
    alone = Result(bench.BENCHMARKS["idle-memory"], Figures("KiB", [1234.5, -0.01, 3]))
    absent = Result(bench.BENCHMARKS["node-answers"], why="absent")
    first, second, third = saved.rows(markdown([compared, alone, absent]))
    assert (first.ours, first.theirs, first.figures) == ("2.50 GiB/s", "4.00 GiB/s", (2, 0.5, 2.5))
    assert (first.name, first.title, first.goal) == ("serve-rate", compared.benchmark.title, compared.benchmark.goal)
    assert (second.is_compared, second.unit, second.figures) == (False, "KiB", (3, -0.01, 1234))
    assert (third.goal, third.figures) == (at_least(10_000, "/s"), None)


def test_the_first_sentence_above_the_table_says_where_it_was_measured() -> None:
    table = markdown([])
    assert (
        saved.circumstances(f"# How fast\n\nOn a\n`machine` 3.11. The rest:\n\n{table}\n\nmore\n\n{table}")
        == "On a machine 3.11"
    )


def test_a_picture_can_be_drawn_anew_by_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    anew = tmp_path / "anew.svg"
    monkeypatch.setattr("sys.argv", ["bench", f"--from={ROOT / 'docs/benchmarks.md'}", f"--plot={anew}"])
    assert bench.main() == 0
    assert anew.read_text(encoding="utf-8") == bench.picture(DOCS)


def test_figures_without_a_picture_are_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "--from=docs/benchmarks.md"])
    with pytest.raises(SystemExit):
        bench.main()
