"""Many messages at once: a burst is answered in a few passes over its bytes, not in a few steps for each line."""

from __future__ import annotations

import re

from chatfile.wire.limits import MAX_REQUEST

_COMMAND = "(?:status|list|help|exit|get|resume|hash)"
_BEGINS_LIKE_A_COMMAND = re.compile(_COMMAND, re.IGNORECASE)
_OBSTACLE = re.compile(rf"\n(?=[eghlrs]){_COMMAND}|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n)", re.IGNORECASE)
"""The end of the line before what may be a command, or what has no place in a line.

A look at the first letter spares most lines the seven words: a flood of line ends costs a third.
"""


def acknowledge(buffer: bytes, start: int) -> tuple[bytes, int]:
    """The answers to the messages that `buffer` holds from `start` on, and where they end; a few KiB at a time.

    It stops before the first line that may be anything else, or that is not complete: that one is for `parse_request`,
    which tells. So the answers are those that each line would have got on its own.
    """
    end = buffer.rfind(b"\n", start, start + MAX_REQUEST + 1) + 1
    text = _text(buffer[start:end]) if end else ""
    if not text or _BEGINS_LIKE_A_COMMAND.match(text):
        return b"", start
    obstacle = _OBSTACLE.search(text)
    if obstacle is not None:
        text = text[: text.rfind("\n", 0, obstacle.start() + 1) + 1]
    end = start + (len(text) if text.isascii() else len(text.encode()))
    return text.replace("\r\n", "\n").replace("\n", " ACK\n").encode(), end


def _text(burst: bytes) -> str:
    """The lines before the first one that is not UTF-8."""
    try:
        return burst.decode()
    except UnicodeDecodeError as error:
        return burst[: burst.rfind(b"\n", 0, error.start) + 1].decode()
