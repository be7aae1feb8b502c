"""A client at a full server: one that waits in the line and one that does not, at servers with and without one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReactorTime

from chatfile import errors
from chatfile.client import ChatFileClient, connect
from chatfile.pending import PendingGreeting
from tests.support.hostile import Do, HostileServer, Send
from tests.support.linked import CONTENT, Link, names, outcome
from tests.support.serving import Server
from tests.support.talking import Talk, result_of
from tests.support.transports import MemoryTransport

FULL = b"ERROR full No seat is free.\n"
TIMEOUT = 60.0


@pytest.fixture
def positions() -> list[int]:
    return []


@pytest.fixture
def talk(positions: list[int]) -> Talk:
    """A client that waits where it can, before the server has spoken."""
    return Talk(waiting=positions.append)


# --- at a server that has a line ---


def test_it_waits_and_is_told_its_positions(talk: Talk, positions: list[int]) -> None:
    talk.server_says(FULL)
    assert talk.transport.lines() == [b"wait"]
    talk.server_says(b"WAIT 12\nWAIT 3\n")
    talk.server_says(b"WAIT 1\n")
    assert (positions, talk.client.position, talk.client.greeted.called) == ([12, 3, 1], 1, False)
    talk.server_says(b"WELCOME Client07 chatfile/1\n")
    assert talk.transport.lines() == [b"Client07"]
    talk.server_says(b"Client07 ACK\n")
    assert result_of(talk.client.greeted) is None
    reply = talk.client.send("hi")
    talk.server_says(b"hi ACK\n")
    assert result_of(reply) == "hi ACK"


def test_a_seat_that_is_free_by_then_needs_no_position(talk: Talk, positions: list[int]) -> None:
    talk.server_says(FULL + b"WELCOME Client07 chatfile/1\nClient07 ACK\n")
    assert result_of(talk.client.greeted) is None
    assert positions == []


def test_where_there_is_a_seat_nothing_of_it_is_seen(talk: Talk, positions: list[int]) -> None:
    talk.server_says(b"WELCOME Client01 chatfile/1\n")
    assert talk.transport.lines() == [b"Client01"]
    assert positions == []


@pytest.mark.parametrize("before", [b"", b"WAIT 2\n"])
def test_what_the_server_says_at_the_end_is_why_there_is_no_seat(talk: Talk, before: bytes) -> None:
    talk.server_says(FULL + before + b"ERROR shutdown The server is going down.\n")
    talk.closes()
    assert isinstance(result_of(talk.client.greeted), errors.Shutdown)
    assert isinstance(result_of(talk.client.closed), errors.Shutdown)


def test_a_line_that_is_full_too_is_told_in_its_own_words(talk: Talk) -> None:
    talk.server_says(FULL + b"ERROR full No place is free.\n")
    talk.closes()
    error = result_of(talk.client.greeted)
    assert (type(error), str(error)) == (errors.Full, "No place is free.")
    assert talk.transport.lines() == [b"wait"]


def test_a_connection_that_is_lost_in_the_line_is_no_full_server(talk: Talk) -> None:
    talk.server_says(FULL + b"WAIT 2\n")
    talk.closes()
    assert type(result_of(talk.client.greeted)) is errors.ServerClosed


# --- at a server that has none ---


@pytest.mark.parametrize("end", [None, ConnectionLost()])
def test_a_server_that_closes_is_full(talk: Talk, positions: list[int], end: Exception | None) -> None:
    """Some reset the connection, since they do not read what is said then."""
    talk.server_says(FULL)
    talk.closes(end)
    error = result_of(talk.client.greeted)
    assert (type(error), str(error)) == (errors.Full, "No seat is free.")
    assert isinstance(result_of(talk.client.closed), errors.Full)
    assert positions == []


def test_a_server_that_says_nothing_more_is_full(talk: Talk) -> None:
    talk.server_says(FULL)
    talk.clock.advance(TIMEOUT)
    assert talk.transport.aborted
    talk.closes()
    assert isinstance(result_of(talk.client.greeted), errors.Full)


def test_a_client_that_does_not_wait_is_refused_at_once() -> None:
    talk = Talk()
    talk.server_says(FULL)
    assert isinstance(result_of(talk.client.greeted), errors.Full)
    assert talk.transport.value() == b""


# --- patience, and servers that lie ---


def test_a_position_within_thirty_seconds_and_the_timeout_is_enough(talk: Talk) -> None:
    talk.server_says(FULL + b"WAIT 2\n")
    for _ in range(50):
        talk.clock.advance(PendingGreeting.INTERVAL + TIMEOUT - 0.1)
        assert not talk.transport.aborted
        talk.server_says(b"WAIT 2\n")
    talk.clock.advance(PendingGreeting.INTERVAL + TIMEOUT)
    assert talk.transport.aborted
    talk.closes()
    assert isinstance(result_of(talk.client.greeted), errors.ServerSilent)


def test_a_trickle_is_no_position(talk: Talk) -> None:
    talk.server_says(FULL + b"WAIT 2\n")
    for letter in b"WAIT 2222":
        talk.server_says(bytes([letter]))
        talk.clock.advance((PendingGreeting.INTERVAL + TIMEOUT) / 9 + 0.01)
    assert talk.transport.aborted


def test_the_welcome_is_waited_for_no_longer_than_usual_once_it_has_come(talk: Talk) -> None:
    talk.server_says(FULL + b"WAIT 1\nWELCOME Client01 chatfile/1\n")
    talk.clock.advance(TIMEOUT)
    assert talk.transport.aborted


def test_without_a_timeout_it_waits_for_ever(positions: list[int]) -> None:
    talk = Talk(waiting=positions.append, timeout=0)
    talk.server_says(FULL + b"WAIT 1\n")
    talk.clock.advance(10_000)
    assert not talk.transport.aborted


@pytest.mark.parametrize(
    "said",
    [
        b"WAIT 1\n",
        FULL + b"WAIT 0\n",
        FULL + b"WAIT -1\n",
        FULL + b"WAIT\n",
        FULL + b"WAIT 1 2\n",
        FULL + b"WAIT 99999999999999999999\n",
        FULL + b"wait ACK\n",
        FULL + b"WAIT 1\nhello\n",
        FULL + b"WAIT 1\nWELCOME exit chatfile/1\n",
        FULL + b"WAIT 1\nWELCOME Client01 chatfile/1\nWAIT 1\n",
    ],
)
def test_whatever_else_comes_is_a_violation(talk: Talk, said: bytes) -> None:
    talk.server_says(said)
    assert talk.transport.aborted
    talk.closes()
    assert isinstance(result_of(talk.client.greeted), errors.ProtocolViolation)


def test_a_position_is_a_violation_for_a_client_that_has_not_asked_for_one() -> None:
    talk = Talk()
    talk.server_says(b"WAIT 1\n")
    talk.closes()
    assert isinstance(result_of(talk.client.greeted), errors.ProtocolViolation)


# --- at a real server, old and new ---


def link(server: Server, folder: Path, number: int, waiting: Callable[[int], None] | None) -> Link:
    """A client from an address of its own."""
    transport = MemoryTransport()
    transport.peerAddr = IPv4Address("TCP", f"10.0.0.{number}", 40000)
    return Link(server, folder, transport=transport, waiting=waiting)


@pytest.fixture
def serve(tmp_path: Path) -> Callable[[int], Server]:
    def served(places: int) -> Server:
        (tmp_path / "served").mkdir()
        server = Server(tmp_path / "served", limit=1, places=places)
        server.put("a", CONTENT)
        return server

    return served


def test_two_clients_wait_for_a_third_and_fetch(serve: Callable[[int], Server], tmp_path: Path) -> None:
    server = serve(3)
    heard: tuple[list[int], list[int]] = ([], [])
    holder = server.greeted()
    links = [link(server, tmp_path, number, heard[number].append) for number in range(2)]
    assert heard == ([1], [2])
    holder.vanishes()
    server.pass_time(1)
    for each in links:
        each.carry()
    assert heard == ([1], [2, 1])
    assert links[0].client.name == "Client02"
    outcome(links[0].get())
    leaving = links[0].client.exit()
    links[0].carry()
    links[0].cut()
    assert outcome(leaving) is None
    links[1].carry()
    assert links[1].client.name == "Client03"
    outcome(links[1].get(force=True))
    assert "a" in names(tmp_path)


@pytest.mark.parametrize(("places", "waits"), [(0, False), (0, True), (3, False)])
def test_where_one_of_the_two_knows_no_line_the_client_is_told_that_the_server_is_full(
    serve: Callable[[int], Server], tmp_path: Path, positions: list[int], places: int, waits: bool
) -> None:
    server = serve(places)
    server.greeted()
    refused = link(server, tmp_path, 1, positions.append if waits else None)
    if waits:
        assert refused.peer.is_closing()
        refused.client.readConnectionLost()
        refused.cut()
    assert isinstance(outcome(refused.client.greeted), errors.Full)
    refused.cut()
    assert (positions, server.admission.line()) == ([], [])


@pytest_twisted.ensureDeferred
async def test_an_attempt_that_waits_can_be_given_up(
    hostile: Callable[..., HostileServer], positions: list[int]
) -> None:
    from twisted.internet import reactor

    server = hostile([Send(FULL + b"WAIT 1\n"), Do.STALL])
    told: Deferred[None] = Deferred()
    connecting: Deferred[ChatFileClient] = Deferred.fromCoroutine(
        connect(f"tcp:127.0.0.1:{server.port}", clock=IReactorTime(reactor), waiting=told.callback)  # type: ignore[arg-type]
    )
    assert await told == 1
    connecting.cancel()
    with pytest.raises(CancelledError):
        await connecting


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (FULL, errors.Full),
        (FULL + b"WAIT 1\n", errors.ServerClosed),
        (FULL + b"WAIT 1\nERROR shutdown It goes.\n", errors.Shutdown),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_connect_raises(
    hostile: Callable[..., HostileServer], positions: list[int], said: bytes, kind: type[Exception]
) -> None:
    server = hostile([Send(said), Do.CLOSE])
    with pytest.raises(kind) as raised:
        await connect(f"tcp:127.0.0.1:{server.port}", waiting=positions.append)
    assert type(raised.value) is kind
