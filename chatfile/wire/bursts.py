"""Many lines at once: answers to messages in a few passes over their bytes, and requests that are prepared together."""

from __future__ import annotations

import re

from chatfile import errors
from chatfile.wire.replies import GRAMMAR, Ack
from chatfile.wire.requests import COMMANDS, CONTROL, MAX_REQUEST, Get, Hash, parse_request

_ACK = GRAMMAR[Ack].removeprefix("<text>")
_COMMAND = f"(?:{'|'.join(COMMANDS)})"
_FIRST_LETTER = f"[{''.join(sorted({word[0] for word in COMMANDS}))}]"
_IN_NO_LINE = "[" + re.escape(CONTROL.replace("\r", "").replace("\n", "")) + "]"

_BEGINS_LIKE_A_COMMAND = re.compile(_COMMAND, re.IGNORECASE)
_OBSTACLE = re.compile(rf"\n(?={_FIRST_LETTER}){_COMMAND}|{_IN_NO_LINE}|\r(?!\n)", re.IGNORECASE)
"""Matches the end of the line before one that may be a command, or a character that no line may contain.

The first letter is looked at before the words, so that a flood of line ends costs a third.
"""


def acknowledge(buffer: bytes, start: int) -> tuple[bytes, int]:
    """Return the answers to the messages in `buffer` from `start` on, and where these end; a few KiB at a time.

    It stops before the first line that may be no message, or is not complete: that one is for `parse_request`. So the
    answers are the same as if each line had been parsed.
    """
    end = buffer.rfind(b"\n", start, start + MAX_REQUEST + 1) + 1
    text = _decode(buffer[start:end]) if end else ""
    if not text or _BEGINS_LIKE_A_COMMAND.match(text):
        return b"", start
    obstacle = _OBSTACLE.search(text)
    if obstacle is not None:
        text = text[: text.rfind("\n", 0, obstacle.start() + 1) + 1]
    end = start + (len(text) if text.isascii() else len(text.encode()))
    return text.replace("\r\n", "\n").replace("\n", f"{_ACK}\n").encode(), end


_ABOUT_A_FILE = (b"get ", b"hash ")


def parse_file_requests(buffer: bytes, start: int, most: int) -> tuple[list[Get | Hash], int]:
    """Return the first requests in `buffer` from `start` on, `most` of them, and where these end.

    It stops before the first line that asks for no file and no digest, is wrong, or is not complete.
    """
    requests: list[Get | Hash] = []
    while len(requests) < most and (end := buffer.find(b"\n", start, start + MAX_REQUEST + 2)) >= 0:
        request = _parse_file_request(buffer[start:end].removesuffix(b"\r"))
        if request is None:
            break
        requests.append(request)
        start = end + 1
    return requests, start


def _parse_file_request(line: bytes) -> Get | Hash | None:
    if not line[:5].lower().startswith(_ABOUT_A_FILE):
        return None
    try:
        request = parse_request(line)
    except errors.Refusal:
        return None
    return request if isinstance(request, Get | Hash) else None


def _decode(burst: bytes) -> str:
    """Decode the lines before the first one that is not UTF-8."""
    try:
        return burst.decode()
    except UnicodeDecodeError as error:
        return burst[: burst.rfind(b"\n", 0, error.start) + 1].decode()
