"""What a telnet client adds to the lines that its user types (RFC 854), and how to be rid of it."""

from __future__ import annotations

import re

LONGEST = 256
"""Bytes of a subnegotiation; what has no end by then is none, and what follows it is text."""

IAC = b"\xff"
"""The byte with which each of telnet's sequences begins: without it, and with nothing begun, there is none."""
_SB, _SE = b"\xff\xfa", b"\xff\xf0"
_REACH = len(_SB) + LONGEST
"""So far behind the beginning of a subnegotiation its end begins at the latest."""
_OPTION = rb"[\xfb-\xfe][^\n]"  # WILL, WONT, DO, DONT; a line's end is nobody's option
_COMMAND = rb"%b|[\xf0-\xf9]|\xfa.*?\xff\xf0" % _OPTION
_BEGUN = rb"(?:\xfa.*|[\xfb-\xfe]?)\Z"
# Many in one match: a flood of them costs a third so. All begin with IAC: that is why text is skipped quickly.
_SEQUENCES = re.compile(rb"\xff(?!\xff)(?:(?:%b)(?:\xff(?:%b)){0,63}|(%b))" % (_COMMAND, _COMMAND, _BEGUN), re.DOTALL)
"""The group is what follows the IAC of a sequence whose end has not come yet."""
_SEQUENCES_FAR_FROM_SE = re.compile(rb"\xff(?:%b|[\xf0-\xfa])(?:\xff(?:%b|[\xf0-\xfa])){0,63}" % (_OPTION, _OPTION))


class TelnetFilter:
    """Takes commands and negotiation out of a stream, however it is cut."""

    __slots__ = ("begun",)

    def __init__(self) -> None:
        self.begun = b""
        """A sequence whose end has not come yet."""

    def text(self, data: bytes) -> bytes:
        """What is left of `data`, and of what was begun before."""
        data, self.begun = self.begun + data, b""
        kept: list[bytes] = []
        start = 0
        while start < len(data):
            start = self._take_out(data, start, kept)
        return b"".join(kept)

    def _take_out(self, data: bytes, start: int, kept: list[bytes]) -> int:
        """Add to `kept` what is text from `start` on, up to the SE that is the result.

        No sequence reaches beyond an SE, nor beyond an SB that has none within its reach. So whether an SB has an end
        is seen for many at once: looked for from each of them, it would cost the square of a flood.
        """
        end = _next_se(data, start)
        last_endless = data.rfind(_SB, start, max(0, end - _REACH + 1))
        if last_endless >= 0:
            behind = last_endless + len(_SB)
            kept.append(_SEQUENCES_FAR_FROM_SE.sub(b"", data[start:behind]))
            start = behind
        pieces = _SEQUENCES.split(data[start : end + len(_SE)])  # text, group, text, group, ..., text
        kept += pieces[::2]
        self.begun = b"" if len(pieces) == 1 or pieces[-2] is None else IAC + pieces[-2]
        return end + len(_SE)


def _next_se(data: bytes, start: int) -> int:
    """Where the next SE is, of those within reach the last; in its place the end of `data`, where one may begin."""
    found = data.rfind(_SE, start, start + _REACH + len(_SE))
    if found < 0:
        found = data.find(_SE, start)
    return found if found >= 0 else len(data) - 1
