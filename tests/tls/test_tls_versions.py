"""TLS 1.2 and 1.3 with certificates on both ends, and nothing older: each end of ours against Python's own TLS."""

from __future__ import annotations

import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

pytest.importorskip("OpenSSL", reason="TLS needs chatfile[tls]")

from chatfile import errors, tls
from chatfile.client import connect
from tests.support.certificates import Papers
from tests.support.encrypted import EncryptedServer
from tests.support.processes import PATIENCE

GOOD = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
OLD = [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1]


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("certificates"))


@pytest_twisted.async_yield_fixture
async def server(tmp_path: Path, papers: Papers) -> AsyncIterator[EncryptedServer]:
    server = EncryptedServer(tmp_path, papers.good, papers.ours)
    yield server
    await server.end()


def context(side: int, version: ssl.TLSVersion, papers: Papers, own: Path | None) -> ssl.SSLContext:
    made = ssl.SSLContext(side)
    made.set_ciphers("ALL:@SECLEVEL=0")  # or OpenSSL would not even offer an old version
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made.minimum_version = made.maximum_version = version
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(papers.ours)
    if own is not None:
        made.load_cert_chain(own)
    return made


# --- our server ---


def greeting(port: int, made: ssl.SSLContext) -> str:
    """What our server says first, or why there is no session."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as plain:
        try:
            with made.wrap_socket(plain, server_hostname="localhost") as session:
                said = session.makefile("rb").readline().decode()
                session.sendall(b"exit\n")
                return said
        except ssl.SSLError as error:
            return error.reason or ""


@pytest.mark.parametrize("version", GOOD)
@pytest_twisted.ensureDeferred
async def test_who_has_a_certificate_comes_in(server: EncryptedServer, papers: Papers, version: ssl.TLSVersion) -> None:
    made = context(ssl.PROTOCOL_TLS_CLIENT, version, papers, papers.client)
    assert await deferToThread(greeting, server.port, made) == "WELCOME Client01 chatfile/1\n"


@pytest.mark.parametrize(
    ("version", "reason"), [(GOOD[0], "SSLV3_ALERT_HANDSHAKE_FAILURE"), (GOOD[1], "TLSV13_ALERT_CERTIFICATE_REQUIRED")]
)
@pytest_twisted.ensureDeferred
async def test_who_has_none_gets_no_seat(
    server: EncryptedServer, papers: Papers, version: ssl.TLSVersion, reason: str
) -> None:
    made = context(ssl.PROTOCOL_TLS_CLIENT, version, papers, None)
    assert (await deferToThread(greeting, server.port, made), server.records()) == (reason, [])


@pytest.mark.parametrize("version", OLD)
@pytest_twisted.ensureDeferred
async def test_nobody_comes_in_with_an_old_version(
    server: EncryptedServer, papers: Papers, version: ssl.TLSVersion
) -> None:
    made = context(ssl.PROTOCOL_TLS_CLIENT, version, papers, papers.client)
    assert await deferToThread(greeting, server.port, made) == "TLSV1_ALERT_PROTOCOL_VERSION"
    assert server.records() == []


# --- our client ---


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(PATIENCE)
        yield listener


def serve_one(listener: socket.socket, made: ssl.SSLContext) -> None:
    """As short a conversation as there can be, with whoever comes in."""
    plain = listener.accept()[0]
    with plain:
        try:
            with made.wrap_socket(plain, server_side=True) as session:
                session.sendall(b"WELCOME Client01 chatfile/1\nClient01 ACK\n")
                lines = session.makefile("rb")
                while lines.readline() not in (b"exit\n", b""):
                    pass
                session.sendall(b"BYE Client01\n")
        except ssl.SSLError:
            return


async def outcome(listener: socket.socket, papers: Papers, version: ssl.TLSVersion, own: Path | None) -> str:
    """What such a server calls our client, or why there is no connection."""
    serving = deferToThread(serve_one, listener, context(ssl.PROTOCOL_TLS_SERVER, version, papers, papers.good))
    certificate = str(own) if own else None
    endpoint = tls.client_endpoint(
        "localhost", listener.getsockname()[1], cafile=str(papers.ours), certificate=certificate
    )
    try:
        client = await connect(endpoint)
        await client.exit()
    except errors.NoConnection as error:
        return error.why
    else:
        return client.name
    finally:
        await serving


@pytest.mark.parametrize("version", GOOD)
@pytest_twisted.ensureDeferred
async def test_our_client_shows_its_certificate(
    listener: socket.socket, papers: Papers, version: ssl.TLSVersion
) -> None:
    assert await outcome(listener, papers, version, papers.client) == "Client01"


@pytest.mark.parametrize("version", GOOD)
@pytest_twisted.ensureDeferred
async def test_our_client_is_told_how_to_show_one(
    listener: socket.socket, papers: Papers, version: ssl.TLSVersion
) -> None:
    assert "--cert" in await outcome(listener, papers, version, None)


@pytest.mark.parametrize("version", OLD)
@pytest_twisted.ensureDeferred
async def test_our_client_leaves_a_server_of_an_old_version(
    listener: socket.socket, papers: Papers, version: ssl.TLSVersion
) -> None:
    assert "1.2" in await outcome(listener, papers, version, papers.client)
