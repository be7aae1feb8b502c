"""The metrics' port: what is answered, and that no stranger takes more of it than there is."""

from __future__ import annotations

import socket
from contextlib import ExitStack, closing
from typing import Any

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock, deferLater
from twisted.web.server import Request

from chatfile.admission import ClientRecord
from chatfile.disk import DiskUnavailable
from chatfile.metrics.web import IDLE_TIMEOUT, Answer, MetricsRequest, MetricsSite
from tests.metrics.browsing import MOST, Connection, MetricsPort
from tests.support.serving import Server

PATHS = ("/", "/metrics", "/health")
ALL_PATHS = pytest.mark.parametrize("path", PATHS)


@ALL_PATHS
@pytest.mark.parametrize("query", ["", "?a=b", "?%ff&&="])
def test_head_is_get_without_a_body(port: MetricsPort, path: str, query: str) -> None:
    get, head = port.connect().ask(path + query), port.connect().ask(path + query, "HEAD")
    assert (get.code, head.code) == (200, 200)
    assert int(head.headers["content-length"]) > 0
    assert len(get.body) == int(get.headers["content-length"])
    assert head.body == b""
    assert set(get.headers) == set(head.headers)


@ALL_PATHS
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "BREW"])
def test_nothing_but_reading_is_allowed(port: MetricsPort, path: str, method: str) -> None:
    response = port.connect().ask(path, method)
    assert (response.code, response.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/metric", "/metrics/", "//", "/health/x", "/../metrics", "/<script>", "metrics"])
def test_there_is_nothing_else_and_what_was_asked_for_is_not_repeated(port: MetricsPort, path: str) -> None:
    response = port.connect().ask(path)
    assert response.code == 404
    assert b"<" not in response.body
    assert response.body == port.connect().ask("/nowhere").body


@ALL_PATHS
def test_nothing_is_stored_guessed_or_told_on(port: MetricsPort, path: str) -> None:
    headers = port.connect().ask(path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "Twisted" not in headers["server"]


def test_health_is_ok_until_the_server_drains(port: MetricsPort) -> None:
    assert port.connect().ask("/health")[::2] == (200, b"ok\n")
    port.service.is_draining = True
    assert port.connect().ask("/health").code == 404
    assert port.connect().ask("/metrics").code == port.connect().ask("/").code == 200


def test_where_there_are_no_more_threads_all_but_the_process_is_told(
    port: MetricsPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "process_open_fds" in port.get("/metrics")
    monkeypatch.setattr(port.service, "_in_thread", lambda *_: fail(DiskUnavailable()))
    told = port.get("/metrics")
    assert "process_open_fds" not in told
    assert "chatfile_seats_limit" in told


def test_one_connection_is_one_request_so_that_many_take_turns(port: MetricsPort) -> None:
    connection = port.connect()
    connection.send(b"GET /health HTTP/1.1\r\n\r\n" * 100)
    assert connection.transport.value().count(b"HTTP/1.1 200 OK") == 1
    assert connection.response().headers["connection"] == "close"
    assert not connection.is_open


def test_a_page_that_takes_the_reactor_its_time_is_made_once_a_second_whoever_asks(
    server: Server, port: MetricsPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Deferred[Any]] = []

    async def clients(_: int) -> tuple[int, list[ClientRecord]]:
        asked.append(Deferred())
        return await asked[-1]

    monkeypatch.setattr(server.factory, "clients", clients)
    first, second, third = (port.connect() for _ in range(3))
    for connection in (first, second, third):
        connection.send(b"GET / HTTP/1.1\r\n\r\n")
    first.vanish()
    (gone, waiting) = asked
    waiting.callback((0, []))
    assert second.response().body == third.response().body != b""
    assert (gone.called, len(asked)) == (True, 2)
    assert port.connect().ask("/").code == 200
    port.clock.advance(1)
    port.connect().send(b"GET / HTTP/1.1\r\n\r\n")
    assert len(asked) == 3


# --- what a stranger can't take ---


def test_of_too_many_connections_the_oldest_has_to_go_and_the_newest_is_answered(port: MetricsPort) -> None:
    connections = [port.connect() for _ in range(10 * MOST)]
    assert [each.is_open for each in connections] == [False] * 9 * MOST + [True] * MOST
    assert connections[-1].ask("/health").code == 200


def test_one_host_does_not_drive_another_out(port: MetricsPort) -> None:
    prometheus = port.connect("10.0.0.1")
    strangers = [port.connect("10.0.0.2") for _ in range(100)]
    assert sum(each.is_open for each in strangers) == MOST - 1
    assert prometheus.ask("/metrics").code == 200


def test_a_connection_that_says_nothing_is_closed(port: MetricsPort) -> None:
    connection = port.connect()
    connection.send(b"GET /metrics HTTP/1.1\r\nX: ")
    port.clock.advance(IDLE_TIMEOUT - 1)
    assert connection.is_open
    port.clock.advance(1)
    assert not connection.is_open
    port.clock.advance(60)
    assert connection.transport.aborted


def test_headers_without_an_end_are_cut(port: MetricsPort) -> None:
    connection = port.connect()
    connection.send(b"GET /metrics HTTP/1.1\r\n")
    for number in range(2000):
        if connection.is_open:
            connection.send(b"X-%d: %s\r\n" % (number, b"x" * 100))
    assert not connection.is_open
    assert connection.response().code == 400


@pytest.mark.parametrize("length", [b"Content-Length: 1000000000", b"Transfer-Encoding: chunked"])
def test_a_body_is_not_kept_and_a_long_one_is_cut(
    port: MetricsPort, length: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twisted.web.http._getContentFile", lambda _: pytest.fail("a body is kept"))
    connection = port.connect()
    connection.send(b"GET /metrics HTTP/1.1\r\n" + length + b"\r\n\r\n")
    sent = 0
    while connection.is_open:
        connection.send(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
        sent += 0x1000
    assert sent <= 2 * MetricsRequest.LONGEST_BODY


PIECES = (
    b"GET", b"HEAD", b"POST", b" ", b"/", b"/metrics", b"/?live=on", b"*", b"%", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9",
    b"\r\n", b"\r\n\r\n", b"\n", b"Host: x", b"Content-Length: ", b"1", b"-1", b"9" * 30, b"0", b"ffffffffff",
    b"Transfer-Encoding: chunked", b"Expect: 100-continue", b"Connection: close", b"Cookie: ", b"a=b;=;", b"Accept: ",
    b"Upgrade: h2c", b"Content-Type: ", b"multipart/form-data; boundary=", b"\0", b"\xff", b":", b"\t",
)  # fmt: skip


@given(st.lists(st.lists(st.sampled_from(PIECES) | st.binary(max_size=8), max_size=30).map(b"".join), max_size=4))
def test_whatever_is_said_is_no_fault_of_the_server(said: list[bytes]) -> None:
    """What Twisted raises for it would be a traceback in the log for each stranger that says it."""

    async def answer(_: Request) -> Answer:
        return Answer(b"ok")

    connection = Connection(MetricsSite({b"/": answer}, Clock(), MOST))
    for piece in said:
        if connection.is_open:
            connection.send(piece)
    assert connection.transport.value()[:9] in (b"", b"HTTP/1.1 ", b"HTTP/1.0 ", b"HTTP/9 40")
    connection.vanish()


def test_a_short_body_is_dropped(port: MetricsPort) -> None:
    connection = port.connect()
    connection.send(b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello")
    assert connection.response().code == 405


def test_http_2_is_not_spoken(port: MetricsPort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twisted.web.http.H2_ENABLED", True)
    assert port.service.site.acceptableProtocols() == [b"http/1.1"]


def test_requests_are_not_logged_and_no_timer_runs_for_that(port: MetricsPort) -> None:
    before = list(port.clock.getDelayedCalls())
    port.service.site.doStart()
    assert port.clock.getDelayedCalls() == before
    port.service.site.doStop()


@pytest_twisted.ensureDeferred
async def test_a_flood_of_connections_takes_turns_with_the_clients_of_the_server(port: MetricsPort) -> None:
    from twisted.internet import reactor

    listener = port.service.listener
    listener.startService()
    listening = await listener._waitingForPort
    with ExitStack() as strangers:
        for _ in range(3):
            for _ in range(30):
                address = ("127.0.0.1", listening.getHost().port)
                strangers.enter_context(closing(socket.create_connection(address)))
            await deferLater(reactor, 0.02)
            assert listening.numberAccepts <= 1, "connections in one turn"
    await listening.stopListening()
    port.service.site.close()
    port.clock.advance(60)
    await deferLater(reactor, 0)


def test_all_connections_end_with_the_port(port: MetricsPort) -> None:
    connections = [port.connect() for _ in range(3)]
    port.service.site.close()
    assert not any(each.is_open for each in connections)


# --- an answer that takes its time ---


def asking(answer: Any) -> tuple[Connection, Clock]:
    clock = Clock()
    connection = Connection(MetricsSite({b"/": answer}, clock, MOST))
    connection.send(b"GET / HTTP/1.1\r\n\r\n")
    return connection, clock


def test_an_answer_may_come_later() -> None:
    later: Deferred[bytes] = Deferred()

    async def answer(_: Request) -> Answer:
        return Answer(await later)

    connection, clock = asking(answer)
    clock.advance(10 * IDLE_TIMEOUT)
    assert connection.transport.value() == b""
    later.callback(b"now")
    assert connection.response().body == b"now"


def test_an_answer_that_nobody_waits_for_is_given_up() -> None:
    cancelled: list[object] = []
    later: Deferred[bytes] = Deferred(cancelled.append)

    async def answer(_: Request) -> Answer:
        return Answer(await later)

    connection, _ = asking(answer)
    connection.vanish()
    assert cancelled == [later]


def test_a_fault_is_told_in_the_log_alone(logged_errors: list[str]) -> None:
    async def answer(_: Request) -> Answer:
        raise ValueError("of the server's own")

    connection, _ = asking(answer)
    response = connection.response()
    assert response.code == 500
    assert b"of the server's own" not in response.body.replace(b"A fault of the server's own;", b"")
    assert len(logged_errors) == 1
    logged_errors.clear()
