"""What a server says: every kind of line both ways, its edges, and any bytes at all."""

from __future__ import annotations

import unicodedata
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatfile import errors
from chatfile.wire import (
    GRAMMAR,
    MAX_DEPTH,
    MAX_NUMBER,
    MAX_PATH,
    MAX_REPLY,
    MAX_REQUEST,
    MAX_ROWS,
    MAX_ROWS_BYTES,
    MAX_TREE_ROWS,
    Ack,
    Bye,
    ClientRow,
    Digest,
    End,
    Error,
    FileHeader,
    FileRow,
    HelpHeader,
    ListHeader,
    Reply,
    Request,
    StatusHeader,
    TreeHeader,
    Waiting,
    Welcome,
    exact,
    format_reply,
    format_time,
    parse_reply,
    parse_time,
    printable,
)

quick = settings(max_examples=150, deadline=None)

SHA256 = "0123456789abcdef" * 4
NOON = 1_795_348_800
YEAR_1, YEAR_9999 = -62_135_596_800, 253_402_300_799

NUMBERS = st.integers(0, MAX_NUMBER)
TIMES = st.integers(YEAR_1, YEAR_9999)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)
NAMES = TEXTS.filter(bool)
WORDS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), min_size=1, max_size=20)
DIGESTS = st.none() | st.text("0123456789abcdef", min_size=64, max_size=64)
REPLIES: st.SearchStrategy[Reply] = st.one_of(
    st.builds(Ack, TEXTS),
    st.builds(Welcome, WORDS),
    st.builds(Waiting, NUMBERS),
    st.builds(Bye, NAMES),
    st.builds(StatusHeader, NUMBERS),
    st.builds(ClientRow, WORDS, WORDS, TIMES, st.none() | TIMES, NUMBERS, NUMBERS),
    st.builds(ListHeader, NUMBERS),
    st.builds(FileRow, NUMBERS, TIMES, NAMES),
    st.builds(HelpHeader, NUMBERS),
    st.builds(FileHeader, NUMBERS, TIMES, NAMES),
    st.builds(End, DIGESTS),
    st.builds(Digest, DIGESTS, NUMBERS, TIMES, NAMES),
    st.builds(Error, WORDS, NAMES),
)
BROKEN_LINES = st.builds(
    lambda line, at, count, noise: line[:at] + noise + line[at + count :],
    REPLIES.map(format_reply),
    st.integers(0, 100),
    st.integers(0, 3),
    st.binary(max_size=4),
)


def test_the_limits_are_those_that_peers_are_told() -> None:
    assert (MAX_REQUEST, MAX_REPLY, MAX_NUMBER) == (4096, 8192, 2**63 - 1)
    assert (MAX_DEPTH, MAX_PATH) == (16, 4000)
    assert (MAX_ROWS, MAX_ROWS_BYTES, MAX_TREE_ROWS) == (1_000_000, 268_435_456, 100_000)


@pytest.mark.parametrize("kind", [*get_args(Request), *get_args(Reply)])
def test_what_was_said_is_a_value_which_nobody_changes(kind: type) -> None:
    assert kind.__hash__, "as of what is not frozen"


def _parse(line: bytes, kind: type[Reply]) -> tuple[Reply | None, str]:
    try:
        return parse_reply(line, kind), ""
    except errors.ProtocolViolation as violation:
        return None, str(violation)


@pytest.mark.parametrize(
    ("reply", "line"),
    [
        (Ack("hello"), "hello ACK"),
        (Ack(""), " ACK"),
        (Ack("hello ACK"), "hello ACK ACK"),
        (Welcome("Client01"), "WELCOME Client01 chatfile/1"),
        (Bye("Client100"), "BYE Client100"),
        (StatusHeader(0), "STATUS 0"),
        (
            ClientRow("Client01", "[::1]:50914", NOON, None, 0, 0),
            "Client01 [::1]:50914 2026-11-22T12:00:00Z - 0 0",
        ),
        (
            ClientRow("Client02", "unix", NOON, NOON + 5160, 2, 70),
            "Client02 unix 2026-11-22T12:00:00Z 2026-11-22T13:26:00Z 2 70",
        ),
        (ListHeader(12), "LIST 12"),
        (TreeHeader(3), "TREE 3"),
        (FileRow(5, NOON, "a b.txt"), "5 2026-11-22T12:00:00Z a b.txt"),
        (FileRow(5, 0, "  a"), "5 1970-01-01T00:00:00Z   a"),
        (HelpHeader(8), "HELP 8"),
        (FileHeader(MAX_NUMBER, 0, " a"), "FILE 9223372036854775807 1970-01-01T00:00:00Z  a"),
        (End(SHA256), f"END {SHA256}"),
        (End(None), "END -"),
        (Digest(SHA256, 5, 0, "a"), f"HASH {SHA256} 5 1970-01-01T00:00:00Z a"),
        (Digest(None, 5, 0, "a"), "HASH - 5 1970-01-01T00:00:00Z a"),
        (Error("full", "No seat is free."), "ERROR full No seat is free."),
    ],
)
def test_every_line_is_written_as_the_design_says(reply: Reply, line: str) -> None:
    assert format_reply(reply) == line.encode()
    assert parse_reply(line.encode(), type(reply)) == reply


@quick
@given(REPLIES)
def test_formatting_a_reply_and_parsing_the_line_gives_it_back(reply: Reply) -> None:
    assert parse_reply(format_reply(reply), type(reply)) == reply


@quick
@given(st.one_of(st.binary(max_size=100), BROKEN_LINES), st.sampled_from(sorted(GRAMMAR, key=str)))
def test_any_bytes_give_a_reply_of_the_kind_asked_for_or_a_violation(line: bytes, kind: type[Reply]) -> None:
    reply, violation = _parse(line, kind)
    if reply is None:
        assert violation == printable(violation)
    else:
        assert type(reply) is kind
        assert parse_reply(format_reply(reply), kind) == reply


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("FILE   5    2026-11-22T12:00:00Z a  b ", FileHeader(5, NOON, "a  b ")),
        ("5    2026-11-22T12:00:00Z  a", FileRow(5, NOON, " a")),
        ("Client01   unix  2026-11-22T12:00:00Z   -  1     2", ClientRow("Client01", "unix", NOON, None, 1, 2)),
        ("LIST    5", ListHeader(5)),
        ("LIST 0005", ListHeader(5)),
        (f"END   {SHA256.upper()}", End(SHA256)),
        ("WELCOME  Client01  chatfile/1", Welcome("Client01")),
    ],
)
def test_fields_may_stand_behind_several_spaces_and_a_name_behind_exactly_one(line: str, reply: Reply) -> None:
    assert parse_reply(line.encode(), type(reply)) == reply


@pytest.mark.parametrize(
    "number",
    [
        *("", "-1", "+5", "1e9", "0x10", "5 x", "5.0", "1_0", "\u0665", "\uff15", "five", "5\r", "5\n", "5\u00a0"),
        *(str(MAX_NUMBER + 1), "9" * 20, "9" * 5000),
    ],
)
def test_a_number_is_up_to_19_ascii_digits_and_nothing_else(number: str) -> None:
    for line, kind in ((f"LIST {number}", ListHeader), (f"FILE {number} 2026-11-22T12:00:00Z a", FileHeader)):
        with pytest.raises(errors.ProtocolViolation):
            parse_reply(line.encode(), kind)


@pytest.mark.parametrize(
    "time",
    [
        *("-", "0", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-11-22T25:00:00Z", "2026-11-22T12:00:60Z"),
        *("0000-01-01T00:00:00Z", "2026-11-22T12:00:00", "2026-11-22 12:00:00Z", "2026-11-22T12:00:00+00:00"),
        *("2026-11-22T12:00:00.5Z", "\uff12026-11-22T12:00:00Z", "+026-11-22T12:00:00Z"),
    ],
)
def test_a_time_is_a_day_of_the_calendar_in_utc(time: str) -> None:
    with pytest.raises(errors.ProtocolViolation):
        parse_reply(f"5 {time} a".encode(), FileRow)


@pytest.mark.parametrize("digest", ["", "--", SHA256[1:], SHA256 + "0", SHA256[1:] + "g", "None"])
def test_a_digest_is_64_hex_digits_or_a_dash(digest: str) -> None:
    with pytest.raises(errors.ProtocolViolation):
        parse_reply(f"END {digest}".encode(), End)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"", Ack),
        (b"ACK", Ack),
        (b"hello", Ack),
        (b"hello ack", Ack),
        (b"caf\xe9 ACK", Ack),
        (b"WELCOME Client01", Welcome),
        (b"WELCOME Client01 chatfile/2", Welcome),
        (b"WELCOME chatfile/1", Welcome),
        (b"SSH-2.0-OpenSSH_9.9", Welcome),
        (b"BYE", Bye),
        (b"BYE ", Bye),
        (b"list 5", ListHeader),
        (b" LIST 5", ListHeader),
        (b"STATUS 5", ListHeader),
        (b" 5 2026-11-22T12:00:00Z a", FileRow),
        (b"FILE 5 2026-11-22T12:00:00Z", FileHeader),
        (b"FILE 5 2026-11-22T12:00:00Z ", FileHeader),
        (b"FILE 5 2026-11-22T12:00:00Z \xff", FileHeader),
        (b"ERROR full", Error),
        (b"ERROR full ", Error),
    ],
)
def test_another_line_than_the_one_that_is_due_is_a_violation(line: bytes, kind: type[Reply]) -> None:
    with pytest.raises(errors.ProtocolViolation):
        parse_reply(line, kind)


@quick
@given(TIMES)
def test_formatting_a_time_and_parsing_it_gives_it_back(seconds: int) -> None:
    assert parse_time(format_time(seconds)) == seconds
    assert len(format_time(seconds)) == len("2026-11-22T13:26:00Z")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (NOON + 0.999, "2026-11-22T12:00:00Z"),
        (-0.5, "1969-12-31T23:59:59Z"),
        (YEAR_1, "0001-01-01T00:00:00Z"),
        (YEAR_1 - 1, "0001-01-01T00:00:00Z"),
        (-(2**63), "0001-01-01T00:00:00Z"),
        (YEAR_9999, "9999-12-31T23:59:59Z"),
        (YEAR_9999 + 1, "9999-12-31T23:59:59Z"),
        (2**63, "9999-12-31T23:59:59Z"),
        (1e300, "9999-12-31T23:59:59Z"),
    ],
)
def test_a_time_beyond_the_years_1_to_9999_is_shown_as_the_nearest_within(seconds: float, text: str) -> None:
    assert format_time(seconds) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("\x1b]52;c;eA==\x07", "\\x1b]52;c;eA==\\x07"),
        ("a\tb\rc\nd\x7f\x00", "a\\tb\\rc\\nd\\x7f\\x00"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
        ("\u2066a\u2069\u200f\u061c", "\\u2066a\\u2069\\u200f\\u061c"),
        ("a\u2028b\u2029c\x85", "a\\u2028b\\u2029c\\x85"),
        ("\ufeff\u200b\U000e0041", "\\ufeff\\u200b\\U000e0041"),
        ("\udcff\ud800", "\\udcff\\ud800"),
    ],
)
def test_what_controls_or_reorders_text_is_shown_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    "text",
    ["", "a  b", "naïve", "cafe\u0301", "日本語", "👩\u200d👩\u200d👧", "❤\ufe0f", "क\u094d\u200dष", "C:\\x", "%s{x}"],
)
def test_text_that_is_only_foreign_is_shown_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "one_line"),
    [
        ("a\tb\x1b\n\x7f\x85", "a\tb\\x1b\\n\\x7f\\x85"),
        ("a\u2028b\u2029", "a\\u2028b\\u2029"),
        ("\u202etxt\u200d\ufeff caf\u00e9", "\u202etxt\u200d\ufeff caf\u00e9"),
        ("plain", "plain"),
        ("\x00\x07\t", "\\x00\\x07\t"),
    ],
)
def test_a_program_gets_one_line_in_which_nothing_else_is_changed(text: str, one_line: str) -> None:
    assert exact(text) == one_line


@quick
@given(st.text(max_size=40))
def test_shown_text_never_holds_what_controls_or_reorders(text: str) -> None:
    shown = printable(text)
    categories = {unicodedata.category(c) for c in shown if c not in "\u200c\u200d"}
    assert categories.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"})
    assert printable(shown) == shown
