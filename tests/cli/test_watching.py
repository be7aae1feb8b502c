"""`chatfile-client watch`: rates from what `status` counts, pictures of them, and a clean end."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from chatfile import errors, wire
from chatfile.cli.exits import ExitCode
from chatfile.cli.interrupts import Interrupts
from chatfile.cli.view import View
from chatfile.cli.watch import PlainWatch, Rates, Seen, table_of, watch
from chatfile.client import ChatFileClient
from tests.support.talking import Talk, result_of


def row(name: str, sent: int, disconnected: int | None = None, connected: int = 0) -> wire.ClientRow:
    return wire.ClientRow(name, "127.0.0.1:5", connected, disconnected, 1, sent)


def rates(*looks: tuple[float, list[wire.ClientRow]]) -> list[tuple[str, float]]:
    """What the last look tells."""
    looking, seen = Rates("us"), []
    for now, rows in looks:
        seen = looking.look(rows, now)
    return [(each.row.name, each.rate) for each in seen]


def test_the_first_look_tells_no_rates() -> None:
    assert rates((5.0, [row("a", 10**9)])) == [("a", None)]


def test_a_rate_is_that_between_two_looks() -> None:
    assert rates((5.0, [row("a", 100)]), (7.0, [row("a", 300)])) == [("a", 100)]


def test_who_has_just_come_has_a_rate_too() -> None:
    assert rates((0.0, [row("us", 0)]), (2.0, [row("us", 0), row("b", 50)])) == [("us", 0), ("b", 25)]


def test_who_has_left_is_not_shown() -> None:
    assert rates((0.0, [row("a", 5)]), (1.0, [row("a", 9, disconnected=1), row("b", 0)])) == [("b", 0)]


def test_a_server_that_counts_backwards_or_at_once_is_no_trouble() -> None:
    assert rates((1.0, [row("a", 100)]), (2.0, [row("a", 50)])) == [("a", 0)]
    assert rates((1.0, [row("a", 100)]), (1.0, [row("a", 500)])) == [("a", None)]


def durations(*looks: tuple[float, dict[str, int]]) -> dict[str, float]:
    """What the last look tells, of looks at clients with the server's times of their coming."""
    looking, seen = Rates("us"), []
    for now, came in looks:
        seen = looking.look([row(name, 0, connected=when) for name, when in came.items()], now)
    return {each.row.name: each.seconds for each in seen}


@pytest.mark.parametrize("server_ahead", [-(10**6), 0, 10**6])
def test_how_long_somebody_has_been_there_does_not_depend_on_the_clock_of_the_server(server_ahead: int) -> None:
    came = {"a": server_ahead - 70, "us": server_ahead}
    assert durations((5.0, came)) == {"a": 70, "us": 0}
    assert durations((5.0, came), (65.0, came)) == {"a": 130, "us": 60}


@pytest.mark.parametrize("step", [-(10**6), 0, 10**6])
def test_who_comes_later_has_been_there_since_it_was_seen_though_that_clock_was_set(step: int) -> None:
    before, after = {"us": 1000}, {"us": 1000, "a": 1000 + step}
    assert durations((5.0, before), (7.0, after), (17.0, after)) == {"us": 12, "a": 10}


def test_a_clock_that_was_set_back_before_we_came_tells_nothing_impossible() -> None:
    assert durations((5.0, {"a": 9000, "us": 1000})) == {"a": 0, "us": 0}


def test_a_server_that_does_not_show_us_is_no_trouble() -> None:
    assert durations((5.0, {"a": 1000}), (8.0, {"a": 1000})) == {"a": 3}


SEEN = [Seen(row("Client01", 12_345), 100.0, False, 60.0), Seen(row("Client02", 0), 0.0, True, 60.0)]


def test_a_block_of_lines_is_shown_where_something_has_changed(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = PlainWatch(View(as_json=False, quiet=False))
    blocks.show(SEEN, 60.0)
    blocks.show(list(SEEN), 62.0)
    first, _, *lines = capsys.readouterr().out.splitlines()
    assert first.endswith("2 connected, 100 B/s in all")
    assert [line.split() for line in lines] == [
        ["Client01", "127.0.0.1:5", "1:00", "1", "12.3", "kB", "100", "B/s"],
        ["Client02", "127.0.0.1:5", "1:00", "1", "0", "B", "you"],
        [],
    ]
    blocks.show(SEEN[1:], 64.0)
    assert "1 connected" in capsys.readouterr().out


def test_programs_get_an_object_for_every_look(capsys: pytest.CaptureFixture[str]) -> None:
    objects = PlainWatch(View(as_json=True, quiet=False))
    for _ in range(2):
        objects.show(SEEN[:1], 60.5)
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    us = {"name": "Client01", "address": "127.0.0.1:5", "connected": "1970-01-01T00:00:00Z", "files": 1}
    assert (
        shown
        == [
            {
                "event": "look",
                "time": "1970-01-01T00:01:00Z",
                "clients": [us | {"bytes": 12345, "rate": 100.0, "you": False}],
            }
        ]
        * 2
    )


def test_columns_stand_still() -> None:
    least: dict[str, int] = {}
    looks = [
        [Seen(row("Client01", 999), 0.0, True, 5.0)],
        [Seen(row("Client01", 999), 0.0, True, 65.0), Seen(row("Client1000", 10**7), 99.9e6, False, 3700.0)],
        [Seen(row("Client01", 999), 0.0, True, 65.0)],
    ]
    titles = [table_of(seen, 77, least)[0] for seen in looks]
    assert titles[1] == titles[2]
    assert table_of(looks[1], None)[0].split() == titles[0].split()


class Looks:
    """A view that is only remembered."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []
        self.is_over = False

    def show(self, seen: Sequence[Seen], at: float) -> None:
        self.seen.append([each.row.name for each in seen])

    def leave(self) -> None:
        self.is_over = True


class Watch:
    """A watch over a client in memory."""

    def __init__(self, talk: Talk, monkeypatch: pytest.MonkeyPatch, *, is_connected: bool = True) -> None:
        monkeypatch.setattr("signal.signal", lambda *_: None)
        self.picture = Looks()
        self.interrupts = Interrupts(Clock(), self._was_not_replaced)  # type: ignore[arg-type]
        self.before = self.interrupts.handle
        self.first: Deferred[ChatFileClient] = Deferred()
        self.others: list[Deferred[ChatFileClient]] = []
        """The connections that were asked for after the first."""
        view = View(as_json=False, quiet=False)
        watching = watch(view, talk.clock, self.interrupts, self.picture, 2.0, self._connect, self._reconnect)
        self.done: Deferred[ExitCode] = Deferred.fromCoroutine(watching)
        if is_connected:
            self.first.callback(talk.client)

    async def _connect(self) -> ChatFileClient:
        return await self.first

    async def _reconnect(self) -> ChatFileClient:
        self.others.append(Deferred())
        return await self.others[-1]

    def _was_not_replaced(self) -> None:
        raise AssertionError


ROWS = b"STATUS 1\nClient01 unix 2026-11-22T12:00:00Z - 0 0\n"


def test_it_looks_again_and_again_until_it_is_interrupted(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    watching = Watch(talk, monkeypatch)
    for _ in range(3):
        talk.server_says(ROWS)
        talk.clock.advance(2)
    assert talk.transport.value() == b"status\n" * 4
    watching.interrupts.handle()
    assert result_of(watching.done) is ExitCode.DONE
    assert watching.picture.seen == [["Client01"]] * 3
    assert (watching.picture.is_over, watching.interrupts.handle) == (True, watching.before)


def test_it_can_be_interrupted_between_two_looks(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    watching = Watch(talk, monkeypatch)
    talk.server_says(ROWS)
    watching.interrupts.handle()
    talk.server_says(b"BYE Client01\n")
    talk.closes()
    assert talk.transport.value().endswith(b"exit\n")
    assert (result_of(watching.done), watching.picture.is_over) == (ExitCode.DONE, True)


def test_it_can_be_interrupted_while_it_waits_for_a_seat(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    watching = Watch(talk, monkeypatch, is_connected=False)
    watching.interrupts.handle()
    assert (result_of(watching.done), watching.interrupts.handle) == (ExitCode.DONE, watching.before)


def test_a_server_that_never_has_a_seat_is_told_of(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    watching = Watch(talk, monkeypatch, is_connected=False)
    watching.first.errback(errors.Full(limit=3))
    assert isinstance(result_of(watching.done), errors.Full)


def test_a_server_that_comes_back_is_watched_again(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    watching = Watch(talk, monkeypatch)
    talk.server_says(b"ERROR shutdown Bye.\n")
    assert watching.others == []
    talk.clock.advance(2)
    (asked,) = watching.others
    again = Talk().greet()
    asked.callback(again.client)
    again.server_says(ROWS)
    assert (watching.picture.seen, again.transport.value()) == ([["Client01"]], b"status\n")
    watching.interrupts.handle()
    again.server_says(b"BYE Client01\n")
    again.closes()
    assert result_of(watching.done) is ExitCode.DONE


def test_a_node_that_does_not_know_the_others_for_now_is_asked_again_and_that_is_said_once(
    talk: Talk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    watching = Watch(talk, monkeypatch)
    for says in (ROWS, b"ERROR unavailable Alone.\n", b"ERROR unavailable Alone.\n", ROWS):
        talk.server_says(says)
        talk.clock.advance(2)
    assert (watching.picture.seen, talk.transport.value()) == ([["Client01"]] * 2, b"status\n" * 5)
    assert capsys.readouterr().err.count("Alone.") == 1
    watching.interrupts.handle()
    assert result_of(watching.done) is ExitCode.DONE


def test_a_server_that_is_gone_ends_it_and_is_told_of(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    watching = Watch(talk, monkeypatch)
    talk.server_says(b"ERROR shutdown Bye.\n")
    talk.clock.advance(2)
    watching.others[0].errback(errors.NoConnection())
    assert isinstance(result_of(watching.done), errors.NoConnection)
    assert watching.picture.is_over


@pytest.mark.parametrize("seconds", [0, 2])
def test_it_can_be_interrupted_while_there_is_no_server(
    talk: Talk, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    watching = Watch(talk, monkeypatch)
    talk.server_says(b"ERROR shutdown Bye.\n")
    talk.clock.advance(seconds)
    watching.interrupts.handle()
    assert (result_of(watching.done), watching.picture.is_over) == (ExitCode.DONE, True)
