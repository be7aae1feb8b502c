"""What a telnet client adds to the lines that its user types (RFC 854), and how to be rid of it."""

from __future__ import annotations

LONGEST = 256
"""Bytes of a subnegotiation; what has no end by then is none, and what follows it is text."""

_SB, _SE = b"\xff\xfa", b"\xff\xf0"
_IAC = b"\xff"
_WITH_OPTION = range(0xFB, 0xFF)  # WILL, WONT, DO, DONT
_ALONE = range(0xF0, 0xFB)  # the other commands, and an SB without an end


class TelnetFilter:
    """Takes commands and negotiation out of a stream, however it is cut."""

    __slots__ = ("begun",)

    def __init__(self) -> None:
        self.begun = b""
        """A sequence whose end has not come yet."""

    def text(self, data: bytes) -> bytes:
        """What is left of `data`, and of what was begun before."""
        if not self.begun and _IAC not in data:
            return data
        data, self.begun = self.begun + data, b""
        kept: list[bytes] = []
        start = 0
        while (at := data.find(_IAC, start)) >= 0:
            length = _length(data, at)
            if length < 0:
                self.begun = data[at:]
                return b"".join([*kept, data[start:at]])
            kept.append(data[start : at if length else at + 1])
            start = at + (length or 1)
        return b"".join([*kept, data[start:]])


def _length(data: bytes, at: int) -> int:
    """How many bytes the sequence at the IAC at `at` has: 0 where there is none, -1 where that is still open."""
    command = data[at + 1 : at + 2]
    if not command:
        return -1
    if command[0] in _WITH_OPTION:
        option = data[at + 2 : at + 3]
        return -1 if not option else 0 if option == b"\n" else 3  # a line's end is nobody's option
    if data.startswith(_SB, at):
        end = data.find(_SE, at + 2, at + 2 + LONGEST + len(_SE))
        if end >= 0:
            return end + len(_SE) - at
        if len(data) - at < 2 + LONGEST + len(_SE):
            return -1
    return 2 if command[0] in _ALONE else 0
