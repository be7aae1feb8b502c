"""The rows of a reply: a sequence like any other, in little more memory than the bytes that came."""

from __future__ import annotations

import tracemalloc

import pytest

from chatfile import errors, wire
from chatfile.cli.view import View
from chatfile.wire import FileRow, Rows, parse_listed
from tests.support.talking import Talk, result_of

FILES = [FileRow(5, 0, "a b"), FileRow(6, 1, " c"), FileRow(7, 2, "grüße"), FileRow(8, 3, "日本語")]


def rows_of(files: list[FileRow]) -> Rows[FileRow]:
    rows = Rows(parse_listed)
    for each in files:
        rows.append(wire.format_reply(each))
    return rows


def test_rows_are_a_sequence() -> None:
    rows = rows_of(FILES)
    assert (len(rows), list(rows), rows[0], rows[-1], rows[1:3]) == (4, FILES, FILES[0], FILES[3], FILES[1:3])
    assert (rows == FILES, rows == rows_of(FILES), rows == FILES[:3], rows == [*FILES[:3], FILES[0]]) == (
        True,
        True,
        False,
        False,
    )
    assert rows != [*FILES, FILES[0]]
    assert (FILES[2] in rows, rows.index(FILES[2]), bool(rows), bool(rows_of([]))) == (True, 2, True, False)
    assert repr(rows) == f"Rows({FILES!r})"
    assert rows.size == sum(len(wire.format_reply(each)) for each in FILES)
    with pytest.raises(IndexError):
        rows[4]


@pytest.mark.parametrize("line", [b"", b"5 a", b"5 1970-01-01T00:00:00Z .a", b"x 1970-01-01T00:00:00Z a", b"\xff"])
def test_what_is_no_row_is_not_taken(line: bytes) -> None:
    rows = rows_of(FILES)
    with pytest.raises(errors.ProtocolViolation):
        rows.append(line)
    assert rows == FILES


LISTED, CLIENT = b"%d 2026-11-22T12:00:00Z file-%d.dat", b"Client%d 127.0.0.1:50000 2026-11-22T12:00:00Z - 0 %d"
COUNT = 20_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ask", "header", "row"),
    [("listing", b"LIST", LISTED), ("status", b"STATUS", CLIENT), ("help", b"HELP", b"%d some words about %d")],
)
def test_many_rows_take_little_more_than_their_bytes(talk: Talk, ask: str, header: bytes, row: bytes) -> None:
    lines = [row % (number, number) for number in range(COUNT)]
    reply = getattr(talk.client, ask)()
    talk.server_says(b"%s %d\n" % (header, COUNT))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for start in range(0, COUNT, 50):
        talk.server_says(b"\n".join(lines[start : start + 50]) + b"\n")
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(result_of(reply)) == COUNT
    assert taken < 1.5 * sum(map(len, lines)) + 10 * COUNT


@pytest.mark.slow
@pytest.mark.parametrize("as_json", [False, True])
def test_many_rows_are_shown_without_being_held_all_at_once(capfd: pytest.CaptureFixture[str], as_json: bool) -> None:
    rows = rows_of([FileRow(number, 0, f"file-{number}") for number in range(COUNT)])
    tracemalloc.start()
    View(as_json=as_json, quiet=True).files(rows)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    shown = capfd.readouterr().out.splitlines()
    assert (len(shown), most < 1_000_000) == (COUNT, True)
    assert as_json or shown[:2] == ["    0  1970-01-01T00:00:00Z  file-0", "    1  1970-01-01T00:00:00Z  file-1"]
