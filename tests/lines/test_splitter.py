"""The splitter: where lines end, whatever comes between their bytes, and however those are cut."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatfile.lines.splitter import LineSplitter, Skipped

LIMIT = 10
TOO_LONG = Skipped.TOO_LONG
Lines = list[bytes | Skipped]


def taken(splitter: LineSplitter, data: bytes) -> Lines:
    """Feed `data`; the lines that are complete with it."""
    splitter.feed(data)
    lines: Lines = []
    while (line := splitter.next_line()) is not None:
        lines.append(line)
    return lines


def lines_of(*pieces: bytes, end: bool = False) -> Lines:
    splitter = LineSplitter(LIMIT, hears_telnet=True)
    lines = [line for piece in pieces for line in taken(splitter, piece)]
    last = splitter.last_line() if end else None
    return lines if last is None else [*lines, last]


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        (b"a\nb\n", [b"a", b"b"]),
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b"a\r\r\n", [b"a\r"]),
        (b"a\rb\n", [b"a\rb"]),
        (b"\n\r\n", [b"", b""]),
        (b"unfinished", []),
        (b"x" * LIMIT + b"\n", [b"x" * LIMIT]),
        (b"x" * LIMIT + b"\r\n", [b"x" * LIMIT]),
        (b"x" * (LIMIT + 1) + b"\nnext\n", [TOO_LONG, b"next"]),
        (b"x" * (LIMIT + 1) + b"\r\nnext\n", [TOO_LONG, b"next"]),
        (b"x" * LIMIT + b"\ry\nnext\n", [TOO_LONG, b"next"]),
        (b"x" * 1000 + b"\n" + b"y" * 1000 + b"\nnext\n", [TOO_LONG, TOO_LONG, b"next"]),
        (b"x" * (LIMIT + 1), [TOO_LONG]),
        (b"\xff\xf4\xff\xfd\x06ok\n", [b"ok"]),
        (b"\xff\xfa\x1f\x00\x50\xff\xf0ok\n", [b"ok"]),
        (b"o\xff\xfb\x01k\n", [b"ok"]),
        (b"\xff\xffno\n", [b"\xff\xffno"]),
        (b"\xff\xfa\x1f\0\x50\0\n\xff\xf0ok\n", [b"ok"]),
        (b"\xff\xfa" + b"y\n" * 200, [b"y"] * 200),
        (b"\xff\xfa1\xff\xf0" + b"y\n" * 200, [b"y"] * 200),
        (b"\xff\xf0" + b"y\n" * 150 + b"\xff\xfa1\xff\xf0" + b"z\n" * 150, [b"y"] * 150 + [b"z"] * 150),
        (b"\xff\xfb\xff\xff\xfb\xffok\n", [b"ok"]),
        (b"\xff\xfb\x01" + b"x" * LIMIT + b"\xff\xfb\x01\n", [b"x" * LIMIT]),
        (b"x" * LIMIT + b"\xff\xfa1234\xff\xf0\r\n", [b"x" * LIMIT]),
        (b"x" * LIMIT + b"\xff\xfb\x01y\nnext\n", [TOO_LONG, b"next"]),
        (b"\xff\xfb\x01" * 1000 + b"\nnext\n", [b"", b"next"]),
    ],
)
def test_bytes_become_lines(sent: bytes, seen: Lines) -> None:
    assert lines_of(sent) == seen
    assert lines_of(*(bytes([byte]) for byte in sent)) == seen


@pytest.mark.no_cover
@pytest.mark.parametrize("line", [b"\xff\xfa" * 4096, b"\xff\xf0" + b"\xff\xfa" * 4095, b"\xff" * 8192])
def test_no_line_takes_long_to_look_at(line: bytes) -> None:
    splitter = LineSplitter(4096, hears_telnet=True)
    began = time.thread_time()
    for _ in range(50):
        taken(splitter, line[:4000] + b"\n")
        for start in range(0, len(line), 1000):
            taken(splitter, line[start : start + 1000])
        taken(splitter, b"\n")
    assert time.thread_time() - began < 1


@given(
    st.lists(
        st.sampled_from([b"\n", b"\r", b"\r\n", b"\xff", b"\xf4", b"\xfb", b"\xfa", b"\xf0", b"a", b"x" * LIMIT]),
        max_size=40,
    ),
    st.data(),
)
def test_how_bytes_are_cut_makes_no_difference(parts: list[bytes], data: st.DataObject) -> None:
    sent = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=8)))
    pieces = [sent[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    assert lines_of(*pieces, end=True) == lines_of(sent, end=True)


@pytest.mark.parametrize(
    ("sent", "last"),
    [
        (b"", None),
        (b"a\n", None),
        (b"last", b"last"),
        (b"last\r", b"last"),
        (b"last\xff\xfb", b"last\xff\xfb"),
        (b"x" * LIMIT + b"\xff\xfb", TOO_LONG),
        (b"x" * 1000, None),
    ],
)
def test_what_came_last_is_told_once(sent: bytes, last: bytes | Skipped | None) -> None:
    splitter = LineSplitter(LIMIT, hears_telnet=True)
    taken(splitter, sent)
    assert (splitter.last_line(), splitter.last_line()) == (last, None)
    assert not splitter.is_amid_line
    assert splitter.count == bool(sent)


def test_without_telnet_its_bytes_are_bytes() -> None:
    splitter = LineSplitter(LIMIT, hears_telnet=False)
    assert taken(splitter, b"\xff\xfb\x01a\n") == [b"\xff\xfb\x01a"]


@pytest.mark.parametrize("size", [1, LIMIT + 1, 1000])
def test_of_a_line_that_is_too_long_nothing_is_kept(size: int) -> None:
    splitter = LineSplitter(LIMIT, hears_telnet=True)
    told = [line for _ in range(100) for line in taken(splitter, b"x" * size)]
    assert (told, splitter.waiting) == ([TOO_LONG], 0)
    assert splitter.is_amid_line
    assert (taken(splitter, b"y\nnext\n"), splitter.count) == ([b"next"], 2)


def test_a_burst_is_counted_and_taken_no_further_than_it_was_dealt_with() -> None:
    splitter = LineSplitter(LIMIT, hears_telnet=True)
    splitter.feed(b"a\nb\nc\nbegun")
    assert splitter.take_burst(lambda buffer, start: buffer.index(b"c"))
    assert (splitter.count, splitter.next_line(), splitter.next_line()) == (2, b"c", None)
    assert not splitter.take_burst(lambda buffer, start: start)
    assert (splitter.count, splitter.take_rest(), splitter.waiting) == (3, b"begun", 0)


def test_no_burst_is_taken_amid_a_line_that_is_too_long() -> None:
    splitter = LineSplitter(LIMIT, hears_telnet=True)
    taken(splitter, b"x" * (LIMIT + 1))
    splitter.feed(b"y\na\n")
    assert not splitter.take_burst(lambda buffer, start: len(buffer))
    assert splitter.next_line() == b"a"


def test_a_line_that_is_complete_and_waits_is_no_unfinished_one() -> None:
    splitter = LineSplitter(100, hears_telnet=False)
    splitter.feed(b"abc\n")
    assert not splitter.is_amid_line
    splitter.feed(b"d")
    assert (splitter.next_line(), splitter.is_amid_line) == (b"abc", True)
    splitter.feed(b"\n")
    assert (splitter.next_line(), splitter.is_amid_line) == (b"d", False)
    splitter.feed(b"\n")
    assert not splitter.is_amid_line
