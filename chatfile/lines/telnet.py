"""The filter for what a telnet client adds to the lines that its user types (RFC 854)."""

from __future__ import annotations

import re

LONGEST = 256
"""Bytes of a subnegotiation at most; one that is longer is taken for text, but for its first two bytes."""

IAC = b"\xff"
"""The byte that each telnet sequence begins with: data without it, behind no unfinished sequence, is text."""
_SB, _SE = b"\xff\xfa", b"\xff\xf0"
_REACH = len(_SB) + LONGEST
"""Bytes from the beginning of a subnegotiation to that of its end, at most."""
_OPTION = rb"[\xfb-\xfe][^\n]"  # WILL, WONT, DO, DONT; the end of a line is no option
_COMMAND = rb"%b|[\xf0-\xf9]|\xfa.*?\xff\xf0" % _OPTION
_BEGUN = rb"(?:\xfa.*|[\xfb-\xfe]?)\Z"
# Many in one match, so that a flood of them costs a third. All begin with IAC, so that text is skipped quickly.
_SEQUENCES = re.compile(rb"\xff(?!\xff)(?:(?:%b)(?:\xff(?:%b)){0,63}|(%b))" % (_COMMAND, _COMMAND, _BEGUN), re.DOTALL)
"""Matches complete sequences, or one whose end has not come yet: the group is what follows the IAC of that one."""
_SEQUENCES_FAR_FROM_SE = re.compile(rb"\xff(?:%b|[\xf0-\xfa])(?:\xff(?:%b|[\xf0-\xfa])){0,63}" % (_OPTION, _OPTION))


class TelnetFilter:
    """Takes commands and negotiation out of a stream, wherever that is cut into pieces."""

    __slots__ = ("begun",)

    def __init__(self) -> None:
        self.begun = b""
        """The beginning of a sequence whose end has not come yet."""

    def text(self, data: bytes) -> bytes:
        """Return the text in `data`, the next bytes of the stream, and in what was kept of those before."""
        data, self.begun = self.begun + data, b""
        kept: list[bytes] = []
        start = 0
        while start < len(data):
            start = self._take_out(data, start, kept)
        return b"".join(kept)

    def _take_out(self, data: bytes, start: int, kept: list[bytes]) -> int:
        """Add to `kept` the text from `start` on to behind the next SE, and return where that ends.

        No sequence extends beyond an SE, nor beyond an SB with no SE within `_REACH`. So one search tells of many SBs
        whether they have an end; a search from each of them would make the cost of a flood quadratic.
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
    """Return where the last SE within `_REACH` is, else the next SE, else the last byte, where one may begin."""
    found = data.rfind(_SE, start, start + _REACH + len(_SE))
    if found < 0:
        found = data.find(_SE, start)
    return found if found >= 0 else len(data) - 1
