"""How results look, where a server has made them up to look badly."""

from __future__ import annotations

import pytest

from chatfile import wire
from chatfile.cli.view import PromptView, View
from chatfile.downloads import Download

SHORT = wire.ClientRow("Client01", "127.0.0.1:5", 0, None, 1, 2)


def test_the_columns_of_a_table_are_as_wide_as_their_cells(capsys: pytest.CaptureFixture[str]) -> None:
    View(as_json=False, quiet=True).clients([SHORT, wire.ClientRow("Client100", "unix", 0, 0, 10, 20)])
    assert capsys.readouterr().out.splitlines() == [
        "Client01   127.0.0.1:5  1970-01-01T00:00:00Z  -                      1   2",
        "Client100  unix         1970-01-01T00:00:00Z  1970-01-01T00:00:00Z  10  20",
    ]


def test_an_endless_cell_does_not_lengthen_every_other_row(capsys: pytest.CaptureFixture[str]) -> None:
    endless = wire.ClientRow("n" * 4000, "a" * 4000, 0, None, 0, 0)
    View(as_json=False, quiet=True).clients([SHORT] * 9 + [endless])
    *short, long = capsys.readouterr().out.splitlines()
    assert max(map(len, short)) < 300
    assert long.split()[:2] == ["n" * 4000, "a" * 4000]


def here(number: int, disconnected: int | None = None) -> wire.ClientRow:
    return wire.ClientRow(f"Client{number:02}", "unix", 0, disconnected, 0, 0)


def shown_names(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The first words of what is shown below the titles."""
    return [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]


def tables(width: int = 80) -> View:
    return View(as_json=False, quiet=False, as_tables=True, width=lambda: width)


def test_a_table_has_those_who_are_here_and_the_latest_ten_who_left(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [here(1), *(here(number, 100 - number) for number in range(2, 15)), here(15)]
    tables().clients(rows, me="Client15")
    assert shown_names(capsys) == ["Client01", *(f"Client{number:02}" for number in range(2, 12)), "Client15", "3"]
    tables().clients(rows, me="Client15", everyone=True)
    assert len(shown_names(capsys)) == 15
    View(as_json=False, quiet=False).clients(rows)
    assert len(capsys.readouterr().out.splitlines()) == 15


def test_who_is_not_shown_is_told_with_what_shows_them(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [here(number, number) for number in range(11)]
    tables().clients(rows)
    assert capsys.readouterr().out.endswith("\n1 more left earlier: status --all\n")


FILES = [wire.FileRow(5, 30, "data-10"), wire.FileRow(7, 10, "data-2"), wire.FileRow(5, 20, "data-1")]


@pytest.mark.parametrize(
    ("sort", "as_table", "names"),
    [
        (None, True, "data-1 data-2 data-10"),
        ("name", True, "data-1 data-2 data-10"),
        ("size", True, "data-2 data-1 data-10"),
        ("time", True, "data-10 data-1 data-2"),
        (None, False, "data-10 data-2 data-1"),
        ("name", False, "data-1 data-2 data-10"),
        ("size", False, "data-2 data-1 data-10"),
    ],
)
def test_a_listing_is_sorted_for_people_or_where_that_is_wanted(
    capsys: pytest.CaptureFixture[str], sort: str | None, as_table: bool, names: str
) -> None:
    View(as_json=False, quiet=False, as_tables=as_table).files(FILES, sort=sort)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in (lines[1:-1] if as_table else lines)] == names.split()


@pytest.mark.parametrize(
    ("resumed_from", "seconds", "rate", "story"),
    [
        (0, 0.34, 10**6, "5.0 MB in 0.3 s, SHA-256 verified"),
        (0, 4.0, 1.4e6, "5.0 MB in 4.0 s (1.4 MB/s), SHA-256 verified"),
        (4_000_000, 90, 5e4, "1.0 MB in 1:30 min (50.0 kB/s), resumed at 80 %, SHA-256 verified"),
        (5_000_000, 2.0, None, "0 B in 2.0 s, resumed at 100 %, SHA-256 verified"),
    ],
)
def test_a_finished_download_is_one_sentence_everywhere(
    capsys: pytest.CaptureFixture[str], resumed_from: int, seconds: float, rate: float | None, story: str
) -> None:
    download = Download("\u202ea", "d/\u202ea", 5_000_000, "0" * 64, verified=True, resumed_from=resumed_from)
    for view in (tables(), PromptView(quiet=False, width=lambda: 80)):
        view.download(download, seconds, rate)
        assert capsys.readouterr().out.endswith(f"ea: {story}\n")
    View(as_json=False, quiet=False).download(download, seconds, rate)
    assert capsys.readouterr().err == f"\\u202ea: {story}\n"


def test_what_is_noted_or_told_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    for view in (tables(), PromptView(quiet=False, width=lambda: 80)):
        view.note("\x1b[2J\n\u202e")
        view.interrupted("\x1b[2J", None)
    assert "\x1b" not in capsys.readouterr().err
