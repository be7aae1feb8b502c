"""How results look, where a server has made them up to look badly."""

from __future__ import annotations

import pytest

from chatfile import wire
from chatfile.cli.views import View

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
