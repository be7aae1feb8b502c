"""Times in words, and tables that fit the window."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatfile import wire
from chatfile.cli.format import (
    Column,
    cell_width,
    clients_table,
    files_table,
    natural_order,
    relative_time,
    table,
    truncate,
)

NOW = 1_800_000_000
NAMES = st.text(min_size=1, max_size=40)
ROWS = st.lists(st.builds(wire.FileRow, st.integers(0, 2**63), st.integers(0, 2**33), NAMES), min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (0, "just now"),
        (-5, "just now"),
        (42, "42 s ago"),
        (60, "1 min ago"),
        (3599, "59 min ago"),
        (3600, "1 h ago"),
        (86399, "23 h ago"),
    ],
)
def test_what_was_today_is_so_long_ago(age: int, said: str) -> None:
    assert relative_time(NOW - age, NOW) == said


@pytest.mark.parametrize("age", [86400, -3600])
def test_what_was_before_or_is_to_come_has_a_local_date(monkeypatch: pytest.MonkeyPatch, age: int) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert relative_time(NOW - age, NOW) == wire.format_time(NOW - age + 9 * 3600)[:16].replace("T", " ")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_time_beyond_the_calendar_is_shown_all_the_same() -> None:
    assert relative_time(2**63, NOW) == "9999-12-31T23:59:59Z"


@given(st.text(max_size=50), st.integers(1, 40))
def test_what_is_cut_fits(text: str, columns: int) -> None:
    shown = wire.printable(text)
    cut = truncate(shown, columns)
    assert cell_width(cut) <= columns
    assert cut == shown or cut.endswith("…")


def test_columns_are_aligned_by_what_is_seen() -> None:
    rows = table([Column("NAME", ["日本", "a", "🎉"]), Column("SIZE", ["1", "22", "3"], right=True)], 80)
    assert rows == ["NAME  SIZE", "日本     1", "a       22", "🎉       3"]


@given(ROWS, st.integers(1, 120))
def test_every_name_is_there_to_its_end_whatever_the_window(rows: list[wire.FileRow], width: int) -> None:
    lines = files_table(rows, NOW, width)[1:]
    assert all(line.endswith(f"  {wire.printable(row.name)}") for line, row in zip(lines, rows, strict=True))


@given(ROWS)
def test_what_others_wrote_can_not_play_with_the_terminal(rows: list[wire.FileRow]) -> None:
    for line in files_table(rows, NOW, 10_000):
        assert wire.printable(line) == line


@pytest.mark.parametrize(("width", "titles"), [(80, "SIZE  CHANGED   NAME"), (40, "SIZE  NAME")])
def test_one_long_name_takes_no_column_from_the_others(width: int, titles: str) -> None:
    rows = [wire.FileRow(1, NOW, "n" * 200), wire.FileRow(1, NOW, "short")]
    shown = files_table(rows, NOW, width)
    assert shown[0].split() == titles.split()
    assert shown[1].endswith("n" * 200)
    assert shown[2].endswith("  short")


CLIENTS = [
    wire.ClientRow("Client01", "127.0.0.1:50914", NOW - 90, NOW - 30, 3, 1_000_000),
    wire.ClientRow("Client02", "127.0.0.1:50916", NOW - 120, None, 0, 0),
]


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        (80, "NAME            ADDRESS          CONNECTED  DISCONNECTED  FILES    SENT"),
        (60, "NAME            CONNECTED  DISCONNECTED  FILES    SENT"),
        (50, "NAME            DISCONNECTED  FILES    SENT"),
        (40, "NAME            DISCONNECTED    SENT"),
    ],
)
def test_a_narrow_window_has_fewer_columns(width: int, titles: str) -> None:
    lines = clients_table(CLIENTS, "Client02", NOW, width)
    assert lines[0] == titles
    assert max(map(cell_width, lines)) <= width


def test_the_table_of_clients_says_who_you_are() -> None:
    mine, other = reversed(clients_table(CLIENTS, "Client02", NOW, 80)[1:])
    assert mine.startswith("Client02 (you)  ")
    assert "(you)" not in other


def test_names_are_in_the_order_of_people() -> None:
    names = [
        "big2.iso",
        "big.iso",
        "data-10",
        "Data-2",
        "data-2",
        "data",
        "data-010",
        "1",
        "01",
        "é",
        "x" * 9 + "9" * 5000,
    ]
    assert sorted(names, key=natural_order) == [
        "01", "1", "big.iso", "big2.iso", "data", "Data-2", "data-2", "data-010", "data-10", "x" * 9 + "9" * 5000, "é",
    ]  # fmt: skip


def test_a_column_can_be_wider_than_its_cells() -> None:
    columns = [Column("A", ["1"], least=3), Column("B", ["2"], right=True, least=4)]
    assert table(columns, 80) == [
        "A       B",
        "1       2",
    ]


def test_without_a_window_an_endless_cell_lengthens_its_own_row_alone() -> None:
    titles, short, long = table([Column("A", ["1", "n" * 1000]), Column("B", ["2", "3"])], None)
    assert (len(titles), len(short), len(long)) == (67, 67, 1003)
