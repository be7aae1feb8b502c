"""What a telnet client adds to the lines that its user types (RFC 854), and how to be rid of it in linear time."""

from __future__ import annotations

import re

_SB, _SE = b"\xff\xfa", b"\xff\xf0"
# WILL, WONT, DO or DONT with an option, or a command alone; and before these, SB ... SE.
_COMMAND = re.compile(rb"\xff(?:[\xfb-\xfe].|[\xf0-\xfa])", re.DOTALL)
_NEGOTIATION = re.compile(rb"\xff(?:\xfa.*?\xff\xf0|[\xfb-\xfe].|[\xf0-\xfa])", re.DOTALL)
_BEGUN = re.compile(rb"\xff[\xfb-\xfe]?\Z")


def without_telnet(line: bytes) -> bytes:
    """A whole line without commands and negotiation."""
    if b"\xff" not in line:
        return line
    # Behind the last SE no subnegotiation can end, and looking for its end again and again would be quadratic.
    end = line.rfind(_SE) + len(_SE) if _SE in line else 0
    return _NEGOTIATION.sub(b"", line[:end]) + _COMMAND.sub(b"", line[end:])


def without_begun_negotiation(line: bytes) -> bytes:
    """What of an unfinished line is before a negotiation whose end may still come."""
    begun = line.find(_SB, line.rfind(_SE) + 1)
    return line[:begun] if begun >= 0 else _BEGUN.sub(b"", without_telnet(line))
