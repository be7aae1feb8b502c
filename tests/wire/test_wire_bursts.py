"""Many messages at once are answered as each of them would be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatfile import errors, wire

WORDS = ["status", "list", "help", "exit", "get", "resume", "hash"]
lines = st.one_of(
    st.binary(max_size=12),
    st.text(max_size=12).map(str.encode),
    st.sampled_from([f"{word}{rest}" for word in WORDS for rest in ("", " ", " x", "x", "\r")]).map(str.encode),
    st.sampled_from(["STATUS", "Get x", "\u017ftatus", "\xe9t\xe9", "a\r", "\r", "a\rb", "\x85", "\x7f", "\t"]).map(
        str.encode
    ),
    st.sampled_from([4095, 4096, 4097]).map(lambda size: b"x" * size),
)
bursts = st.lists(lines, max_size=12).map(b"\n".join)


def one_by_one(burst: bytes) -> list[bytes]:
    """The answers to the messages at the start of `burst`, up to the first line that is anything else."""
    answers = []
    for line in burst.split(b"\n")[:-1]:
        try:
            request = wire.parse_request(line.removesuffix(b"\r"))
        except errors.Refusal:
            break
        if not isinstance(request, wire.Message):
            break
        answers.append(wire.format_reply(wire.Ack(request.text)))
    return answers


@given(bursts, st.binary(max_size=5))
def test_the_answers_are_those_of_the_lines_one_by_one(burst: bytes, before: bytes) -> None:
    expected = one_by_one(burst)
    answers, end = wire.acknowledge(before + burst, len(before))
    given_at_once = answers.split(b"\n")[:-1]
    assert given_at_once == expected[: len(given_at_once)], "never another answer"
    assert end - len(before) == sum(len(line) + 1 for line in burst.split(b"\n")[: len(given_at_once)])


@pytest.mark.parametrize(
    ("burst", "count"),
    [
        (b"", 0),
        (b"hello", 0),
        (b"hello\n", 1),
        (b"\n", 1),
        (b"\r\n", 1),
        (b"hello\r\nyou\n", 2),
        ("gr\u00fc\u00df\n\u4f60\u597d\n".encode(), 2),
        (b"a\nlist\nb\n", 1),
        (b"a\nLIST\nb\n", 1),
        (b"list\na\n", 0),
        (b"a\nget x\n", 1),
        (b"a\n\xff\nb\n", 1),
        (b"a\nb\0\nc\n", 1),
        (b"a\nb\r\r\nc\n", 1),
        (b"a\nb\rc\n", 1),
        (b"a\nbegun", 1),
        (b"x" * 4096 + b"\n", 1),
        (b"x" * 4097 + b"\n", 0),
        (b"x" * 4095 + b"\r\n", 1),
        (b"a\n" + b"x" * 4097 + b"\n", 1),
    ],
)
def test_how_far_it_goes(burst: bytes, count: int) -> None:
    answers, end = wire.acknowledge(burst, 0)
    assert answers.count(b" ACK\n") == count == answers.count(b"\n")
    assert burst[:end].count(b"\n") == count


@pytest.mark.parametrize("word", [*WORDS, *(word.upper() for word in WORDS)])
def test_a_command_is_never_taken_for_a_message(word: str) -> None:
    line = word.encode() + b"\n"
    assert wire.acknowledge(line, 0) == (b"", 0)
    assert wire.acknowledge(b"a\n" + line, 0) == (b"a ACK\n", 2)


@pytest.mark.parametrize("code", [*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0)])
def test_a_control_character_is_never_taken_for_text(code: int) -> None:
    assert wire.acknowledge(f"a{chr(code)}\n".encode(), 0) == (b"", 0)


def test_the_answers_to_one_call_are_few() -> None:
    answers, end = wire.acknowledge(b"\n" * 1_000_000, 0)
    assert end == 4097
    assert len(answers) == 5 * 4097


FILES = [wire.Get("a"), wire.Get("b c"), wire.Hash("d")]


def test_requests_for_files_that_come_together_are_taken_together() -> None:
    burst = b"hello\nget a\nGET b c\r\nhash d\nlist\nget e\n"
    assert wire.parse_file_requests(burst, 6, 9) == (FILES, burst.index(b"list"))
    assert wire.parse_file_requests(burst, 6, 2) == (FILES[:2], burst.index(b"hash"))


@pytest.mark.parametrize(
    "line", [b"get\n", b"get \xff\n", b"resume 0 a\n", b"getter\n", b"a\n", b"\n", b"get abc", b""]
)
def test_the_first_line_that_is_none_of_these_is_left(line: bytes) -> None:
    assert wire.parse_file_requests(b"get a\n" + line, 0, 9) == (FILES[:1], 6)


@pytest.mark.parametrize(("size", "taken"), [(4096, 1), (4097, 0)])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_such_a_request_may_be_as_long_as_any_other(size: int, taken: int, end: bytes) -> None:
    line = b"get ".ljust(size, b"x") + end
    requests, start = wire.parse_file_requests(line, 0, 9)
    assert (len(requests), start) == (taken, taken * len(line))
