"""Telnet's bytes in a stream: what is taken out follows from the stream alone, and a flood of them costs little."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatfile.lines.telnet import LONGEST, TelnetFilter

READ = 64 * 1024
"""Bytes that the reactor reads at once."""
SB, SE, NOP, WILL = b"\xff\xfa", b"\xff\xf0", b"\xff\xf1", b"\xff\xfb"
FLOODS = [NOP, SB, SE, b"\xff", b"\xff\n", WILL, WILL + b"\n", WILL + b"\xff", SB + b"a", SB + SE, NOP + b"a"]
FLOODS += [SB * 400 + SE, SB * 131 + SE, SB * 129 + SE, SB + b"a" * LONGEST + SE, SE + b"a" * 300, SE + SB * 130 + b"a"]

parts = st.lists(
    st.one_of(
        st.sampled_from([SB, SE, NOP, WILL, b"\xff\xfe", b"\xff", b"\xfa", b"\xf0", b"\n", b"a"]),
        st.integers(LONGEST - 8, LONGEST + 4).map(lambda length: b"x" * length),
        st.integers(1, 2 * LONGEST).map(lambda times: SB * times),
    ),
    max_size=12,
).map(b"".join)


def sequence_length(data: bytes) -> int | None:
    """Bytes of the sequence that `data` begins with, 0 where it begins with text; None where that is still open."""
    command, option = data[1:2], data[2:3]
    if command == b"\xfa":
        end = data[: 2 + LONGEST + 2].find(SE, 2)
        return end + 2 if end >= 0 else 2 if len(data) >= 2 + LONGEST + 2 else None
    if b"\xfb" <= command <= b"\xfe":
        return None if not option else 0 if option == b"\n" else 3
    return None if not command else 2 if b"\xf0" <= command <= b"\xf9" else 0


def one_at_a_time(data: bytes) -> tuple[bytes, bytes]:
    """The text of `data` and the sequence that is still open, found without haste."""
    text, at = b"", 0
    while at < len(data):
        length = sequence_length(data[at:]) if data[at] == 0xFF else 0
        if length is None:
            return text, data[at:]
        text += data[at : at + 1] if not length else b""
        at += length or 1
    return text, b""


@given(parts, st.lists(st.integers(0, 2000), max_size=6))
def test_the_text_is_the_same_however_the_stream_is_cut(sent: bytes, cuts: list[int]) -> None:
    telnet, text = TelnetFilter(), b""
    places = sorted(min(cut, len(sent)) for cut in cuts)
    for start, stop in zip([0, *places], [*places, len(sent)], strict=True):
        text += telnet.text(sent[start:stop])
        assert (text, telnet.begun) == one_at_a_time(sent[:stop])


@pytest.mark.no_cover
@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: f"{flood[:5].hex()}, {len(flood)}")
def test_a_read_full_of_telnet_costs_milliseconds(flood: bytes) -> None:
    read = (flood * (READ // len(flood) + 1))[:READ]
    assert min(cost(read) for _ in range(5)) < 0.020


def cost(read: bytes) -> float:
    began = time.thread_time()
    TelnetFilter().text(read)
    return time.thread_time() - began
