"""The log as JSON: each event one flat object on a line of its own, for `twistd --logger=chatfile.logs.json_lines`."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from twisted.logger import FileLogObserver, LogEvent, formatEvent
from twisted.python.failure import Failure
from twisted.python.reflect import qual, safe_repr, safe_str

LONGEST_TEXT = 8192
"""Characters of a field at most; what is longer is cut, and ends in `...`."""
LONGEST_TRACEBACK = 8 * LONGEST_TEXT
"""Characters of a traceback at most; what is longer lacks its begin, for its end says what has happened."""
_OF_EVERY_EVENT = ("time", "level", "event", "namespace", "message")
_OF_OURS = (*_OF_EVERY_EVENT, "exception", "traceback")
_OF_OLD_EVENTS = ("time", "system", "message", "isError", "format", "failure", "why", "logLevel")
"""What each event of `twisted.python.log` has beside its own fields."""
_ENCODE = json.JSONEncoder(allow_nan=False).encode


def json_lines() -> FileLogObserver:
    """Return an observer that writes each event to standard output as a line of JSON."""
    return FileLogObserver(sys.stdout, json_line)


def json_line(event: LogEvent) -> str | None:
    r"""Return `event` as one line, or None if it has nothing to say; the text format leaves that out, too.

    It is ASCII without control characters but its end: all else is escaped as \uXXXX. Never raises.
    """
    try:
        fields = _fields(event)
        return f"{_ENCODE(fields)}\n" if fields["message"] or "traceback" in fields else None
    except Exception as error:  # the log must go on, whatever an event has in it
        lost = f"An event can't be shown: {_cut(safe_repr(error))}; it is {_cut(safe_repr(event))}"
        return f"{_ENCODE(dict.fromkeys(_OF_EVERY_EVENT) | {'level': 'error', 'message': lost})}\n"


def _fields(event: LogEvent) -> dict[str, Any]:
    is_old = event.get("log_namespace") == "log_legacy"
    failure = event.get("failure" if is_old else "log_failure")
    level = event.get("log_level")
    fields = {
        "time": _time(event.get("log_time")),
        "level": None if level is None else level.name,
        "event": _scalar(event.get("event")),
        "namespace": event.get("log_namespace"),
        "message": _cut(_message(event, is_failure=is_old and failure is not None)),
    }
    fields.update(_own(event, _OF_OLD_EVENTS if is_old else ()))
    if isinstance(failure, Failure):
        fields["exception"] = qual(type(failure.value))
        fields["traceback"] = failure.getTraceback()[-LONGEST_TRACEBACK:]
    return fields


def _own(event: LogEvent, without: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Yield the event's own fields; one that is called as one of ours gets a `_` behind its name."""
    for name, value in event.items():
        if not name.startswith("log_") and name != "event" and name not in without:
            yield f"{name}_" if name in _OF_OURS else name, _scalar(value)


def _message(event: LogEvent, *, is_failure: bool) -> str:
    """Return what the text format shows, without the traceback, which an old event of a failure has in its text."""
    return safe_str(event.get("why") or "Unhandled Error") if is_failure else formatEvent(event)


def _time(seconds: float | None) -> str | None:
    """Return a time in UTC, with milliseconds."""
    if seconds is None:
        return None
    return f"{datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec='milliseconds')[:-6]}Z"


def _scalar(value: object) -> object:
    """Return `value` as JSON has it: numbers, booleans and null as they are, all else as text."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return _cut(value if isinstance(value, str) else safe_str(value))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}..."
