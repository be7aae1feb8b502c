"""What a client can ask: the request table of the design, its edges, and any bytes at all."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatfile import errors
from chatfile.wire import (
    HELP,
    HELP_WITH_TREE,
    MAX_NUMBER,
    MAX_REQUEST,
    Exit,
    Get,
    Hash,
    Help,
    List,
    Message,
    Request,
    Resume,
    Status,
    Wait,
    format_request,
    is_command,
    is_wait,
    parse_request,
)

quick = settings(max_examples=150, deadline=None)

CLEAN = st.text(st.characters(exclude_categories=("Cc", "Cs"), include_characters="\t"), max_size=60)
NAMES = CLEAN.filter(bool)
REQUESTS: st.SearchStrategy[Request] = st.one_of(
    st.sampled_from([Status(), List(), Help(), Exit()]),
    CLEAN.filter(lambda text: not is_command(text.encode())).map(Message),
    NAMES.map(Get),
    NAMES.map(Hash),
    st.builds(Resume, st.integers(0, MAX_NUMBER), NAMES),
)
COMMAND_WORDS = [b"get", b"GET", b"resume", b"hash", b"status", b"list", b"help", b"exit"]
NEAR_COMMANDS = st.builds(
    lambda word, gap, rest: word + gap + rest,
    st.sampled_from(COMMAND_WORDS),
    st.sampled_from([b"", b" ", b"  ", b"\t", b" 5 ", b" +5 "]),
    st.one_of(st.binary(max_size=20), CLEAN.map(str.encode)),
)
ANY_BYTES = st.one_of(
    st.binary(max_size=100),
    NEAR_COMMANDS,
    st.builds(lambda piece, length: (piece * length)[:length], st.binary(min_size=1, max_size=3), st.integers(0, 4200)),
)


def _parse(line: bytes) -> Request | errors.Refusal:
    try:
        return parse_request(line)
    except errors.Refusal as refusal:
        return refusal


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("hello", Message("hello")),
        ("", Message("")),
        ("status", Status()),
        ("list", List()),
        ("get a.txt", Get("a.txt")),
        ("resume 5 a.txt", Resume(5, "a.txt")),
        ("hash a.txt", Hash("a.txt")),
        ("help", Help()),
        ("exit", Exit()),
    ],
)
def test_every_row_of_the_request_table_is_understood(line: str, request_: Request) -> None:
    assert parse_request(line.encode()) == request_
    assert format_request(request_) == line.encode()


@pytest.mark.parametrize(
    "line",
    [
        *("status please", "list ", " list", "exit now", "help\t", "lists", "getx", "get\tx", "exit!", " get x"),
        *("hashes a", "resumé 5 x", "GET/ HTTP/1.1", "\ufeffexit", "exit\u00a0", "get\u00a0x", "\t", " "),
    ],
)
def test_what_is_not_quite_a_command_is_a_message(line: str) -> None:
    assert parse_request(line.encode()) == Message(line)
    assert not is_command(line.encode())


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("get  x", Get(" x")),
        ("get x ", Get("x ")),
        ("get  ", Get(" ")),
        ("get a b  c", Get("a b  c")),
        ("hash  x", Hash(" x")),
        ("resume 5  x", Resume(5, " x")),
        ("resume 0 7 x", Resume(0, "7 x")),
        ("get list", Get("list")),
        ("get ../x", Get("../x")),
        ("get a\tb", Get("a\tb")),
    ],
)
def test_a_name_is_the_rest_of_the_line_after_one_space(line: str, request_: Request) -> None:
    assert parse_request(line.encode()) == request_


@pytest.mark.parametrize(
    "line",
    ["get", "get ", "GET", "hash", "hash ", "resume", "resume ", "resume 5", "resume 5 ", "resume x", "resume  5 x"],
)
def test_a_command_without_its_arguments_is_usage(line: str) -> None:
    with pytest.raises(errors.Usage):
        parse_request(line.encode())


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("STATUS", Status()),
        ("List", List()),
        ("hELP", Help()),
        ("EXIT", Exit()),
        ("GET A.TXT", Get("A.TXT")),
        ("Resume 5 A", Resume(5, "A")),
        ("HASH A", Hash("A")),
    ],
)
def test_case_does_not_matter_in_the_first_word_and_does_in_a_name(line: str, request_: Request) -> None:
    assert parse_request(line.encode()) == request_


@pytest.mark.parametrize("line", ["\u017ftatus", "li\u017ft", "ha\u017fh x", "L\u0130ST", "\uff47et x", "\u212a"])
def test_letters_beyond_ascii_never_make_a_command(line: str) -> None:
    assert parse_request(line.encode()) == Message(line)


@pytest.mark.parametrize(
    ("digits", "offset"),
    [
        ("0", 0),
        ("000", 0),
        ("007", 7),
        ("0" * 3000 + "5", 5),
        (str(MAX_NUMBER - 1), MAX_NUMBER - 1),
        (str(MAX_NUMBER), MAX_NUMBER),
        (str(MAX_NUMBER + 1), MAX_NUMBER),
        ("9" * 20, MAX_NUMBER),
        ("9" * 4085, MAX_NUMBER),
    ],
)
def test_an_offset_however_long_is_a_number(digits: str, offset: int) -> None:
    assert parse_request(f"resume {digits} x".encode()) == Resume(offset, "x")


@pytest.mark.parametrize("offset", ["+5", "-1", "0x5", "1e9", "5.0", "1_0", "\u0665", "\uff15", "²", "5\u00a0", "\t5"])
def test_an_offset_is_ascii_digits_and_nothing_else(offset: str) -> None:
    with pytest.raises(errors.Usage):
        parse_request(f"resume {offset} x".encode())


@pytest.mark.parametrize("filler", ["a", "é"])
@pytest.mark.parametrize("length", [MAX_REQUEST - 1, MAX_REQUEST])
def test_a_line_may_have_4096_bytes(filler: str, length: int) -> None:
    for start in ("", "get "):
        text = start + filler * ((length - len(start)) // len(filler.encode()))
        text += "x" * (length - len(text.encode()))
        assert len(format_request(parse_request(text.encode()))) == length


@pytest.mark.parametrize("line", [b"a" * 4097, b"get " + b"a" * 4093, "é".encode() * 2048 + b"a", b"\xff" * 4097])
def test_a_longer_line_is_too_long_whatever_it_holds(line: bytes) -> None:
    with pytest.raises(errors.LineTooLong, match="4096"):
        parse_request(line)


@pytest.mark.parametrize("control", [*map(chr, (*range(9), *range(10, 32), *range(127, 160)))])
def test_control_characters_make_a_line_bad_and_the_tab_does_not(control: str) -> None:
    for line in (control, f"hello {control}", f"get a{control}b"):
        with pytest.raises(errors.BadLine):
            parse_request(line.encode())
    assert parse_request(b"a\tb") == Message("a\tb")


@pytest.mark.parametrize("line", [b"\xff", b"get caf\xe9", b"\xc0\x80", b"\xed\xa0\x80", b"a\xf4\x90\x80\x80", b"\xc3"])
def test_bytes_that_are_not_utf8_make_a_line_bad(line: bytes) -> None:
    with pytest.raises(errors.BadLine):
        parse_request(line)


@quick
@given(REQUESTS)
def test_formatting_a_request_and_parsing_the_line_gives_it_back(request_: Request) -> None:
    assert parse_request(format_request(request_)) == request_


@quick
@given(ANY_BYTES)
@example(b"status\n")
@example(b"resume " + b"9" * 4089)
def test_any_bytes_give_a_request_or_exactly_one_refusal(line: bytes) -> None:
    outcome = _parse(line)
    if isinstance(outcome, errors.Refusal):
        assert type(outcome) in (errors.LineTooLong, errors.BadLine, errors.Usage)
        assert is_command(line) or not isinstance(outcome, errors.Usage)
        return
    assert isinstance(outcome, Message) != is_command(line)
    said = format_request(outcome)
    assert parse_request(said) == outcome
    if isinstance(outcome, Message):
        assert said == line


@pytest.mark.parametrize("text", ["status", "LIST", "help", "Exit", "get", "get ", "GET x", "resume 5 x", "hash x"])
def test_a_message_that_is_a_command_is_not_sent(text: str) -> None:
    with pytest.raises(errors.IsCommand):
        format_request(Message(text))


@pytest.mark.parametrize(
    "request_",
    [
        Get("a\nexit"),
        Get("a\rexit"),
        Get("a\x00"),
        Get("a\x85exit"),
        Get("\udcff"),
        Hash("a\nget b"),
        Resume(0, "a\nexit"),
        Message("hello\nexit"),
        Message("\nexit"),
        Message("hello\r"),
        Message("\x1b[2J"),
    ],
)
def test_nothing_is_smuggled_into_a_line(request_: Request) -> None:
    with pytest.raises(errors.BadLine):
        format_request(request_)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (Get(""), errors.Usage),
        (Hash(""), errors.Usage),
        (Resume(0, ""), errors.Usage),
        (Resume(-1, "x"), errors.Usage),
        (Get("x" * 4093), errors.LineTooLong),
        (Message("é" * 2049), errors.LineTooLong),
    ],
)
def test_what_the_server_would_refuse_is_refused_before_it_is_sent(
    request_: Request, error: type[errors.Refusal]
) -> None:
    with pytest.raises(error):
        format_request(request_)


def test_the_help_explains_every_command() -> None:
    assert {row.split()[0].encode() for row in HELP} >= {word.lower() for word in COMMAND_WORDS}


def test_a_server_of_folders_has_the_same_help_with_two_lines_more() -> None:
    assert [row for row in HELP_WITH_TREE if not row.startswith("tree")] == [*HELP]
    assert len(HELP_WITH_TREE) == len(HELP) + 2


@pytest.mark.parametrize("request_", [Message("\ud800"), Get("a\udfff")])
def test_text_that_has_no_utf8_is_a_bad_line(request_: Request) -> None:
    with pytest.raises(errors.BadLine):
        format_request(request_)


@pytest.mark.parametrize("line", [b"wait", b"WAIT", b"Wait"])
def test_wait_asks_for_a_place_where_there_is_no_seat_and_is_a_message_elsewhere(line: bytes) -> None:
    assert is_wait(line)
    assert not is_command(line)
    assert parse_request(line) == Message(line.decode())


@pytest.mark.parametrize("line", [b"", b"wait ", b" wait", b"waits", b"wait 1", b"wa\xc4\xb1t", b"\xff", b"hello"])
def test_whatever_else_is_said_does_not(line: bytes) -> None:
    assert not is_wait(line)


def test_a_place_is_asked_for_in_one_word() -> None:
    assert format_request(Wait()) == b"wait"
