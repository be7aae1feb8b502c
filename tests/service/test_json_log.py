"""The log as JSON: one flat object a line, whatever an event has in it."""

from __future__ import annotations

import enum
import io
import json
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import FileLogObserver, LogBeginner, LogEvent, Logger, LogLevel, LogPublisher, formatEvent
from twisted.python import log as old_log
from twisted.python.failure import Failure
from twisted.python.reflect import namedAny
from twisted.python.usage import UsageError
from twisted.scripts.twistd import ServerOptions

from chatfile.logs import LONGEST_TEXT, LONGEST_TRACEBACK, json_line, json_lines
from chatfile.server.events import EventLog
from tests.server.test_events import ACTS
from tests.support.processes import PATIENCE
from tests.support.started import Started, program, said

SERVER = program("chatfile-server")
TWISTD = program("twistd")
OF_EVERY_EVENT = {"time", "level", "event", "namespace", "message"}


def shown(event: LogEvent) -> dict[str, Any]:
    """What the line of an event says; it has to be one line of printable ASCII."""
    line = json_line(event)
    assert line is not None
    assert line.endswith("\n")
    assert all(" " <= character <= "~" for character in line[:-1])
    read: dict[str, Any] = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    return read


def logged(act: Callable[[Logger], object]) -> list[dict[str, Any]]:
    """What the log has when something has been done with a logger."""
    events: list[LogEvent] = []
    act(Logger("here", observer=events.append))  # type: ignore[arg-type]  # any callable is one
    return [shown(event) for event in events]


def test_an_event_is_flat_and_numbers_are_numbers() -> None:
    (line,) = logged(
        lambda log: log.info("{name}: {sent}", name="a", sent=3, seconds=0.5, complete=True, why=None, event="sent")
    )
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info", "event": "sent", "namespace": "here", "message": "a: 3",
        "name": "a", "sent": 3, "seconds": 0.5, "complete": True, "why": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1795862651.5, "2026-11-28T10:44:11.500Z"),
        (0.9996, "1970-01-01T00:00:00.999Z"),
    ],
)
def test_the_time_is_utc_with_milliseconds(seconds: float, text: str) -> None:
    assert shown({"log_format": "x", "log_time": seconds})["time"] == text


def test_a_field_that_is_called_as_one_of_every_event_is_another() -> None:
    (line,) = logged(lambda log: log.warn("{message}", message="m", time=1, namespace=3, traceback="t"))
    assert (line["message"], line["level"], line["namespace"]) == ("m", "warn", "here")
    assert {name: line[f"{name}_"] for name in ("message", "time", "namespace", "traceback")} == {
        "message": "m", "time": 1, "namespace": 3, "traceback": "t"
    }  # fmt: skip
    assert "traceback" not in line


class Odd:
    """Can't be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Kind(enum.IntEnum):
    ONE = 1


HOSTILE = '\n\r\0\x1b[2J\x7f\x85\u2028\u202e\U0001f600\ud800"\\{x}%s</script>'


def test_nothing_of_a_stranger_breaks_a_line() -> None:
    (line,) = logged(lambda log: log.info("{name}", name=HOSTILE, event=HOSTILE))
    assert line["name"] == line["message"] == line["event"] == HOSTILE


@settings(max_examples=50)
@given(
    st.dictionaries(
        st.text(),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.lists(st.text()),
    ),
    st.text(),
)
def test_any_event_has_a_line_or_nothing_to_say(fields: dict[str, Any], text: str) -> None:
    event = {**fields, "log_format": text, "log_level": LogLevel.info, "log_time": 0.0, "log_namespace": "n"}
    assert (json_line(event) is None) == (formatEvent(event) == "")
    if formatEvent(event):
        assert shown(event).keys() >= OF_EVERY_EVENT


@pytest.mark.parametrize(
    "fields",
    [
        {"odd": Odd()}, {"log_format": "{odd}", "odd": Odd()}, {"log_format": "{missing}"}, {"log_format": 3},
        {"log_time": 1e300}, {"log_time": "soon"}, {"log_level": "info"}, {"log_namespace": b"n"},
        {"number": 10**5000}, {"number": float("nan")}, {"number": float("-inf")}, {"kind": Kind.ONE},
        {"log_failure": "none"}, {"log_failure": Failure(ValueError(Odd()))}, {"nested": {"a": [1]}}, {"event": Odd()},
    ],
)  # fmt: skip
def test_what_can_not_be_shown_says_so_and_raises_nothing(fields: dict[str, Any]) -> None:
    line = shown({"log_format": "x", **fields})
    assert line.keys() >= OF_EVERY_EVENT
    assert line["message"]


def test_what_has_no_text_costs_the_line_nothing_else() -> None:
    line = shown({"log_format": "x", "odd": Odd(), "other": 1})
    assert (line["message"], line["other"], "Odd" in line["odd"]) == ("x", 1, True)


def test_a_failure_without_a_message_is_not_lost() -> None:
    assert "it broke" in shown({"log_failure": Failure(ValueError("it broke"))})["traceback"]
    assert json_line({"log_level": LogLevel.info, "field": 1}) is None


def test_values_of_other_kinds_are_text() -> None:
    line = shown({"log_format": "x", "nested": {"a": [1]}, "nan": float("nan"), "bytes": b"\xff", "kind": Kind.ONE})
    assert (line["nested"], line["nan"], line["bytes"], line["kind"]) == ("{'a': [1]}", "nan", "b'\\xff'", 1)


def test_a_field_is_bounded() -> None:
    line = shown({"log_format": "{long}", "long": "x" * 10 * LONGEST_TEXT})
    assert line["long"] == line["message"] == f"{'x' * LONGEST_TEXT}..."


def test_a_failure_has_its_kind_and_its_traceback() -> None:
    (line,) = logged(lambda log: fail(log, "it\nbroke\x1b"))
    assert (line["level"], line["message"], line["exception"]) == ("critical", "Doing", "builtins.ValueError")
    assert "in fail\n" in line["traceback"]
    assert line["traceback"].endswith("ValueError: it\nbroke\x1b\n")


def fail(log: Logger, text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError:
        log.failure("Doing")


def test_a_traceback_is_bounded_and_its_kind_is_still_told() -> None:
    (line,) = logged(lambda log: fail(log, "x" * 10 * LONGEST_TRACEBACK))
    assert (len(line["traceback"]), line["exception"]) == (LONGEST_TRACEBACK, "builtins.ValueError")


# --- what does not come from a logger of ours ---


def told(act: Callable[[Any], object]) -> list[dict[str, Any]]:
    """What twistd's log has, with standard output and warnings redirected to it, when something has been done."""
    output, publisher = io.StringIO(), LogPublisher()
    streams = type("Streams", (), {"stdout": None, "stderr": None})()
    beginner = LogBeginner(publisher, io.StringIO(), streams, warnings)
    show = warnings.showwarning
    try:
        beginner.beginLoggingTo([FileLogObserver(output, json_line)])
        legacy = old_log.LogPublisher(publishPublisher=publisher)
        act(type("Acted", (), {"streams": streams, "log": legacy})())
    finally:
        warnings.showwarning = show
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_an_old_event_has_its_text_and_its_own_fields_only() -> None:
    (line,) = told(lambda done: done.log.msg("one", "two", system="here", number=1))
    line.pop("time")
    assert line == {"level": "info", "event": None, "namespace": "log_legacy", "message": "one two", "number": 1}


def test_an_old_event_of_a_failure_has_its_traceback_once() -> None:
    failure = Failure(ValueError("it broke"))
    (line,) = told(lambda done: done.log.msg(failure=failure, why="Doing", isError=1))
    assert (line["level"], line["message"], line["exception"]) == ("critical", "Doing", "builtins.ValueError")
    assert "it broke" in line["traceback"]
    assert line.keys() == OF_EVERY_EVENT | {"exception", "traceback"}


def test_what_is_printed_is_lines_and_a_warning_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def act(done: Any) -> None:
        done.streams.stdout.write("one\ntwo\x1b\nunfinished")
        done.streams.stderr.write("three\n\n")
        warnings.showwarning("old", DeprecationWarning, "file.py", 3)

    *printed, warning = told(act)
    assert [(line["namespace"], line["level"], line["message"]) for line in printed] == [
        ("stdout", "info", "one"), ("stdout", "info", "two\x1b"), ("stderr", "error", "three")
    ]  # fmt: skip
    assert (warning["level"], warning["lineno"], warning["warning"]) == ("warn", 3, "old")


@pytest.mark.parametrize("kind", ACTS)
def test_each_event_of_a_client_says_the_same_as_in_the_text(kind: str, logged_errors: list[str]) -> None:
    from twisted.internet.task import Clock
    from twisted.logger import globalLogPublisher

    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)  # type: ignore[arg-type]  # any callable is one
    try:
        ACTS[kind](EventLog(Clock()), 1, "host")
    finally:
        globalLogPublisher.removeObserver(events.append)  # type: ignore[arg-type]  # likewise
    (event,) = events
    line = shown(event)
    own = {name for name in event if not name.startswith("log_")}
    assert line.keys() == OF_EVERY_EVENT | own | ({"exception", "traceback"} if kind == "failed" else set())
    assert (line["event"], line["message"]) == (kind, formatEvent(event))
    logged_errors.clear()


# --- the options ---


def twistd(*arguments: str) -> Any:
    options = ServerOptions()
    options.parseOptions(arguments)
    return options["logger"]


@pytest.fixture
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("somewhere")
def test_the_format_is_an_option_of_twistds_own() -> None:
    assert twistd("-n", "chatfile", "--log-format=json") is json_lines
    assert twistd("-n", "--logfile=-", "chatfile", "--log-format=json") is json_lines
    assert namedAny("chatfile.logs.json_lines") is json_lines
    assert twistd("-n", "chatfile") is twistd("chatfile", "--log-format=text") is None


@pytest.mark.usefixtures("somewhere")
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["chatfile", "--log-format=json"], "-n"),
        (["-n", "--logfile=log", "chatfile", "--log-format=json"], "--logfile"),
        (["-n", "--syslog", "chatfile", "--log-format=json"], "--syslog"),
        (["-n", "--logger=chatfile.logs.json_lines", "chatfile", "--log-format=json"], "--logger"),
        (["-n", "chatfile", "--log-format=xml"], "json"),
        (["-n", "chatfile", "--log-format="], "json"),
    ],
)
def test_where_it_can_not_be_had_that_is_one_line(arguments: list[str], named: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        twistd(*arguments)
    assert named in str(raised.value)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        (SERVER, "--log-format=json"),
        pytest.param((TWISTD, "-n", "--pidfile=", "chatfile", "--log-format=json"), marks=pytest.mark.slow),
        pytest.param(
            (TWISTD, "-n", "--pidfile=", "--logger=chatfile.logs.json_lines", "chatfile"), marks=pytest.mark.slow
        ),
    ],
)
def test_the_log_of_a_server_is_json_from_its_first_line_to_its_last(tmp_path: Path, command: tuple[str, ...]) -> None:
    with (tmp_path / "log").open("wb") as output, Started(tmp_path, *command, stdout=output) as server:
        name = 'a"\\{x}\u202e%s'
        (tmp_path / "server_files" / name).write_bytes(b"x")
        said(server.path, f"get {name}".encode(), b"\xff", b"get no\x1b")
        assert server.ended() == (-signal.SIGTERM, b"")
    lines = [json.loads(line) for line in (tmp_path / "log").read_text("ascii").splitlines()]
    assert all(line.keys() >= OF_EVERY_EVENT for line in lines)
    events = [line["event"] for line in lines if line["event"]]
    assert (events[0], events[-1], {"admitted", "sent", "left"} <= {*events}) == ("serving", "draining", True)
    (sent,) = (line for line in lines if line["event"] == "sent")
    assert (sent["sent"], sent["complete"], sent["name"]) == (1, True, 'a"\\{x}\\u202e%s')


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a full device")
@pytest.mark.parametrize("output", ['exec "$@" >&-', 'exec "$@" >/dev/full'])
def test_an_output_that_can_not_be_written_disturbs_nobody(tmp_path: Path, output: str) -> None:
    with Started(tmp_path, "sh", "-c", output, "sh", SERVER, "--log-format=json") as server:
        assert server.says(b"hello") == [b"hello ACK"]
        assert server.ended() == (-signal.SIGTERM, b"")


def test_without_the_option_none_of_it_is_loaded(tmp_path: Path) -> None:
    look = "import sys, chatfile.service; sys.exit('chatfile.logs' in sys.modules or 'chatfile.systemd' in sys.modules)"
    subprocess.run([sys.executable, "-c", look], cwd=tmp_path, timeout=PATIENCE, check=True)
