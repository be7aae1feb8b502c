"""TLS between our client and our server, in every way in which it can fail: nobody is taken for somebody else."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.logger import LogEvent, globalLogPublisher

pytest.importorskip("OpenSSL", reason="TLS needs chatfile[tls]")

from chatfile import errors, tls
from chatfile.client import connect
from chatfile.downloads import download
from tests.support.certificates import TODAY, Papers
from tests.support.encrypted import EncryptedServer
from tests.support.faulty_path import CutAfter, Fault, FaultyPath, FlipAt, ResetAfter
from tests.support.hostile import Do, HostileServer
from tests.support.trees import tree

Start = Callable[..., EncryptedServer]
CONTENT = os.urandom(300_000)
HELLO_OF_TLS_1_1 = b"\x16\3\1\0\x2d\1\0\0\x29\3\2" + bytes(32) + b"\0\0\2\xc0\x09\1\0"
YESTERDAY, TOMORROW = (f"{TODAY + timedelta(days):%Y-%m-%d}" for days in (-1, 1))


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("certificates"))


@pytest_twisted.async_yield_fixture
async def start(tmp_path: Path, papers: Papers) -> AsyncIterator[Start]:
    """Start our server with a certificate, and with authorities for its clients."""
    servers: list[EncryptedServer] = []
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "a").write_bytes(CONTENT)

    def start(certificate: Path = papers.good, client_ca: Path | None = None) -> EncryptedServer:
        servers.append(EncryptedServer(tmp_path / "served", certificate, client_ca))
        return servers[-1]

    yield start
    for server in servers:
        await server.end()


@pytest.fixture
def logged() -> Iterator[list[LogEvent]]:
    """What comes into the log."""
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


async def tried(server: Any, **how: Any) -> str:
    """Why there was no connection, or what the server calls us."""
    try:
        client = await connect(server, **how)
    except errors.NoConnection as error:
        return error.why
    await client.exit()
    return client.name


def address(port: int, trusted: Path | None = None, host: str = "localhost", **more: Path) -> str:
    """Of a server on this machine that is expected to be `host`."""
    named = {"trustRoots": trusted, **more} if trusted else more
    arguments = "".join(f":{name}={path}" for name, path in named.items())
    return rf"tls:{host}:endpoint=tcp\:127.0.0.1\:{port}{arguments}"


# --- who the server is ---


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
@pytest_twisted.ensureDeferred
async def test_whoever_trusts_the_authority_comes_in(start: Start, papers: Papers, host: str) -> None:
    assert await tried(address(start().port, papers.ours, host)) == "Client01"


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("expired", [YESTERDAY]),
        ("future", [TOMORROW, "clock"]),
        ("elsewhere", ["a.example", "*.b.example", "192.0.2.1", "not for localhost"]),
        ("nameless", ["localhost"]),
        ("misnamed", ["127.0.0.1"]),
        ("garbled", ["certificate"]),
        ("unknown", ["CN=theirs", "--cafile"]),
        ("self-signed", ["--cafile"]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_server_that_does_not_prove_who_it_is_is_left_and_told_of(
    start: Start, papers: Papers, kind: str, facts: list[str]
) -> None:
    server = start(papers.kinds[kind])
    why = await tried(address(server.port, papers.ours))
    assert [fact for fact in facts if fact not in why] == []
    assert server.records() == []


@pytest_twisted.ensureDeferred
async def test_without_a_word_on_whom_to_trust_the_system_decides(start: Start) -> None:
    assert "--cafile" in await tried(address(start().port))


# --- who the client is ---


@pytest_twisted.ensureDeferred
async def test_who_has_a_certificate_of_the_right_authority_comes_in(start: Start, papers: Papers) -> None:
    server = start(papers.good, papers.ours)
    endpoint = tls.client_endpoint("127.0.0.1", server.port, cafile=str(papers.ours), certificate=str(papers.client))
    assert await tried(endpoint) == "Client01"


@pytest.mark.parametrize(
    ("kind", "facts"),
    [("expired", ["certificate", "expired"]), ("unknown", ["certificate"]), ("self-signed", ["certificate"])],
)
@pytest_twisted.ensureDeferred
async def test_who_has_another_certificate_gets_no_seat_and_is_told(
    start: Start, papers: Papers, kind: str, facts: list[str]
) -> None:
    server = start(papers.good, papers.ours)
    why = await tried(address(server.port, papers.ours, certificate=papers.strangers[kind]))
    assert [fact for fact in ("your", *facts) if fact not in why] == []
    assert server.records() == []


@pytest_twisted.ensureDeferred
async def test_who_has_no_certificate_gets_no_seat_and_is_told_how_to_give_one(start: Start, papers: Papers) -> None:
    server = start(papers.good, papers.ours)
    assert "--cert" in await tried(address(server.port, papers.ours))
    assert server.records() == []


# --- who does not speak TLS ---


@pytest_twisted.ensureDeferred
async def test_who_speaks_plainly_to_a_tls_port_is_told_of_tls(start: Start) -> None:
    with pytest.raises(errors.NoGreeting, match="tls:"):
        await connect(f"tcp:127.0.0.1:{start().port}", timeout=0.3)


@pytest_twisted.ensureDeferred
async def test_who_speaks_tls_to_a_plain_port_is_told_to_leave_it(start: Start, papers: Papers) -> None:
    assert "tls:" in await tried(address(start().plain_port, papers.ours))


@pytest_twisted.ensureDeferred
async def test_a_server_that_never_answers_to_the_handshake_is_left_in_time(
    hostile: Callable[..., HostileServer],
) -> None:
    with pytest.raises(errors.NoGreeting):
        await connect(address(hostile([Do.STALL]).port), timeout=0.3)


class Talker(Protocol):
    """Says something and waits for the end."""

    def __init__(self, says: bytes) -> None:
        self._says = says
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.transport.write(self._says)

    def connectionLost(self, _: object = None) -> None:
        self.gone.callback(None)


@pytest.mark.parametrize("says", [b"hello\n", b"GET / HTTP/1.1\r\n\r\n", bytes(9), HELLO_OF_TLS_1_1])
@pytest_twisted.ensureDeferred
async def test_who_speaks_no_tls_or_an_old_one_is_hung_up_on_and_is_one_line_in_the_log(
    start: Start, logged: list[LogEvent], says: bytes
) -> None:
    from twisted.internet import reactor

    talker = Talker(says)
    server = start()
    await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", server.port), talker)
    await talker.gone
    await server.end()
    assert [event["event"] for event in logged if "event" in event or "log_failure" in event] == ["refused"]
    assert {code for code, count in server.activity().refused.items() if count} == {"tls"}


# --- a session that is cut, damaged, or ended as it should be ---


@pytest.mark.parametrize("fault", [CutAfter(150_000), ResetAfter(150_000), FlipAt(150_000)])
@pytest_twisted.ensureDeferred
async def test_an_interrupted_download_is_a_failure_and_then_resumed_and_verified(
    start: Start, papers: Papers, faulty_path: Callable[..., FaultyPath], tmp_path: Path, fault: Fault
) -> None:
    server, saved = start(), tmp_path / "saved"
    path = faulty_path(server.port, down=[fault])
    client = await connect(address(path.port, papers.ours))
    with pytest.raises(errors.TransferBroken):
        await download(client, "a", str(saved))
    assert "a" not in tree(saved)
    client = await connect(address(server.port, papers.ours))
    done = await download(client, "a", str(saved))
    assert (done.verified, done.resumed_from > 0, (saved / "a").read_bytes()) == (True, True, CONTENT)
    await client.exit()


@pytest_twisted.ensureDeferred
async def test_the_server_ends_a_session_before_it_closes_the_connection(start: Start, papers: Papers) -> None:
    client = await connect(address(start().port, papers.ours))
    await client.exit()
    assert "lost" not in str(await client.closed)


@pytest_twisted.ensureDeferred
async def test_the_client_ends_a_session_before_it_closes_the_connection(
    start: Start, papers: Papers, logged: list[LogEvent]
) -> None:
    server = start()
    client = await connect(address(server.port, papers.ours))
    client.close()
    await client.closed
    await server.end()
    assert [event["why"] for event in logged if event.get("event") == "left"] == ["closed"]
