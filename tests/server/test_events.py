"""The log of what clients do: each is heard, and none can fill it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure

from chatfile.admission import MemoryAdmission, Seat
from chatfile.server.events import EventLog, SummedLog
from tests.support.processes import ServerProcess
from tests.support.serving import Peer, Server

FEW = SummedLog.OF_A_CLIENT
MANY = 10_000


@pytest.fixture
def told() -> Iterator[list[LogEvent]]:
    """What the log tells of clients."""
    events: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if "event" in event:
            events.append(event)

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    server = Server(tmp_path)
    server.put("a", b"x")
    return server


def counts(told: list[LogEvent], kind: str) -> list[int]:
    return [event["count"] for event in told if event["event"] == kind]


def pipeline(peer: Peer, gets: int) -> None:
    for _ in range(gets // 50):
        peer.sends(b"get a\n" * 50)
        peer.transport.clear()


def test_a_flood_of_files_is_told_of_by_its_totals(server: Server, told: list[LogEvent]) -> None:
    pipeline(server.greeted(), 1000)
    server.clock.advance(SummedLog.SECONDS)
    assert counts(told, "sent") == [1] * FEW + [1000 - FEW]
    (total,) = (event for event in told if event["event"] == "sent" and event["count"] > 1)
    assert (total["sent"], total["complete"]) == (1000 - FEW, 1000 - FEW)


def test_who_is_busy_does_not_hide_what_another_does(server: Server, told: list[LogEvent]) -> None:
    busy, other = server.greeted(), server.greeted()
    pipeline(busy, 1000)
    other.sends(b"get a\n")
    assert [event["client"] for event in told if event["event"] == "sent"] == ["Client01"] * FEW + ["Client02"]
    server.clock.advance(SummedLog.SECONDS)
    busy.sends(b"get a\n")
    assert counts(told, "sent")[-2:] == [1000 - FEW, 1]


def come_and_go(server: Server) -> None:
    server.greeted().vanishes()


def come_and_fetch(server: Server) -> None:
    peer = server.greeted()
    peer.sends(b"get a\n")
    peer.vanishes()


@pytest.mark.parametrize("act", [come_and_go, come_and_fetch])
def test_coming_and_going_is_told_of_by_its_totals_and_nobody_is_lost(
    server: Server, told: list[LogEvent], act: Callable[[Server], None]
) -> None:
    for _ in range(1000):
        act(server)
    server.clock.advance(SummedLog.SECONDS)
    for kind in ("admitted", "left"):
        assert counts(told, kind) == [1] * FEW + [1000 - FEW]
    assert len(told) <= 2 * (FEW + 1) + SummedLog.OF_A_HOST + 1
    left = [event for event in told if event["event"] == "left"]
    sent = 1000 if act is come_and_fetch else 0
    assert (sum(event["files"] for event in left), sum(event["bytes"] for event in left)) == (sent, sent)
    assert sum(event["sent"] for event in told if event["event"] == "sent") == sent


def seat(number: int, host: str) -> Seat:
    return Seat(MemoryAdmission(lambda: 0.0), f"Client{number}", f"{host}:1", host, 0.0)


def fault() -> Failure:
    return Failure(ConnectionDone())


ACTS: dict[str, Callable[[EventLog, int, str], None]] = {
    "admitted": lambda events, number, host: events.admitted(seat(number, host)),
    "refused": lambda events, number, host: events.refused(f"{host}:{number}", host, "full"),
    "left": lambda events, number, host: events.left(seat(number, host), "exit"),
    "sent": lambda events, number, host: events.sent(seat(number, host), "a", 1, 2, 0.1),
    "cut": lambda events, number, host: events.cut(seat(number, host), "it shrank"),
    "failed": lambda events, number, host: events.failed(seat(number, host), fault()),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ACTS)
@pytest.mark.parametrize("hosts", [1, MANY])
def test_no_number_of_clients_or_hosts_can_fill_the_log(
    told: list[LogEvent], logged_errors: list[str], kind: str, hosts: int
) -> None:
    clock = Clock()
    events = EventLog(clock)
    for number in range(MANY):
        ACTS[kind](events, number, f"host{number % hosts}")
    kept = getattr(events, f"_{kind}")._told
    assert len(kept) <= 2 * SummedLog.OF_ALL
    events.sum_up()
    assert sum(counts(told, kind)) == MANY
    assert len(told) <= (SummedLog.OF_ALL if hosts > 1 else SummedLog.OF_A_HOST) + 1
    assert clock.getDelayedCalls() == []
    logged_errors.clear()


def test_one_host_does_not_hide_another(told: list[LogEvent]) -> None:
    events = EventLog(Clock())
    for number in range(MANY):
        events.admitted(seat(number, "busy"))
    events.admitted(seat(MANY, "other"))
    assert told[-1]["client"] == f"Client{MANY}"


@pytest.mark.slow
def test_a_short_file_asked_for_again_and_again_is_a_short_log(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "a").write_bytes(b"x")
    with ServerProcess(tmp_path / "served") as server, server.greeted() as client:
        client.send(b"get a\n" * 500 + b"exit\n")
        assert client.rest().count(b"xEND ") == 500
        server.log_until("left: exit")
        assert len(re.findall("was sent", server.log)) == FEW
