"""How an input says where it is cut, so that files of a corpus can be read, and the fuzzer can move the cuts."""

from __future__ import annotations

CUT = b"\x1e"
"""A record separator: no line holds it, and thirty other control characters are bad in the same way."""
SHORT = 400
"""Bytes of an input that is also tried byte by byte."""


def ways_to_cut(data: bytes) -> list[list[bytes]]:
    """The pieces in which `data` is delivered: first as one, then as it says itself, then byte by byte."""
    pieces = data.split(CUT)
    whole = b"".join(pieces)
    ways = [[whole], pieces]
    if len(whole) <= SHORT:
        ways.append([whole[at : at + 1] for at in range(len(whole))])
    return ways
