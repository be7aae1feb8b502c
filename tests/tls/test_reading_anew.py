"""A server's files that are read anew while it serves: all of them or none, for every handshake from then on."""

from __future__ import annotations

import gc
import os
import ssl
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

pytest.importorskip("OpenSSL", reason="TLS needs chatfile[tls]")

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateNumbers, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from chatfile import errors
from chatfile.tls.server import SOON, ServerTLS
from tests.support.certificates import TODAY, Authority
from tests.support.leftovers import at_end

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
HOSTS = ("localhost", "127.0.0.1")
"""With an address instead of a name, a ClientHello names no host (RFC 6066, 3)."""
NOW = TODAY.timestamp()
DAY = 86400.0
BIG = bytes(300_000)


class Side:
    """One authority, a server's certificate of it, and a client's."""

    def __init__(self, folder: Path, name: str) -> None:
        authority = Authority(folder, name)
        self.authority = authority.path
        self.server = authority.issue(f"server of {name}")
        self.client = authority.issue(f"client of {name}", None)


class Greeter(Protocol):
    """Greets, as our server does, before there is a session."""

    def connectionMade(self) -> None:
        self.transport.write(b"WELCOME\n")


class Connection:
    """One connection of a server, in memory, from before its handshake."""

    def __init__(self, sessions: Factory) -> None:
        self._clock = sessions._clock = Clock()
        self._transport = StringTransport()
        self.session = sessions.buildProtocol(None)
        self.session.makeConnection(self._transport)
        self._to_client, self._to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client: ssl.SSLObject

    def greeting(self, context: ssl.SSLContext, host: str, session: ssl.SSLSession | None = None) -> bytes:
        """What a client is told, which shakes hands only now. Raises SSLError if it does not get in."""
        self.client = context.wrap_bio(self._to_client, self._to_server, server_hostname=host, session=session)
        return self.heard(len(b"WELCOME\n"))

    def heard(self, count: int) -> bytes:
        said = bytearray()
        for _ in range(8):
            try:
                while len(said) < count:
                    said += self.client.read(count - len(said))
            except ssl.SSLWantReadError:
                self._carry()
        return bytes(said)

    def _carry(self) -> None:
        if to_server := self._to_server.read():
            self.session.dataReceived(to_server)
        self._clock.advance(1)
        self._to_client.write(self._transport.value())
        self._transport.clear()


class Files:
    """The files of a server, and the server that they are of."""

    def __init__(self, folder: Path) -> None:
        self.ours, self.theirs = Side(folder, "ours"), Side(folder, "theirs")
        self.certificate, self.key, self.authorities = (folder / name for name in ("certificate", "key", "authorities"))
        self.put(self.ours)
        self.tls = ServerTLS(str(self.certificate), str(self.key), str(self.authorities))
        self._sessions = self.tls.wrap(Factory.forProtocol(Greeter))

    def put(self, side: Side) -> None:
        self.certificate.write_bytes(side.server.read_bytes())
        self.key.write_bytes(side.server.read_bytes())
        self.authorities.write_bytes(side.authority.read_bytes())

    def renew(self) -> None:
        self.put(self.theirs)
        self.tls.use(self.tls.read_anew())

    def connection(self) -> Connection:
        return Connection(self._sessions)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def trusting(trusted: Side, own: Side, version: ssl.TLSVersion = VERSIONS[-1]) -> ssl.SSLContext:
    """A client that trusts the authority of `trusted`, and shows its certificate of `own`."""
    context = ssl.create_default_context(cafile=str(trusted.authority))
    context.load_cert_chain(str(own.client))
    context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("is_there_before", [False, True])
def test_a_handshake_that_begins_later_is_with_the_new_files(
    files: Files, version: ssl.TLSVersion, host: str, is_there_before: bool
) -> None:
    there = files.connection() if is_there_before else None
    files.renew()
    connection = there or files.connection()
    assert connection.greeting(trusting(files.theirs, files.theirs, version), host) == b"WELCOME\n"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("is_there_before", [False, True])
def test_a_client_of_an_authority_that_was_replaced_is_not_let_in(
    files: Files, version: ssl.TLSVersion, host: str, is_there_before: bool
) -> None:
    there = files.connection() if is_there_before else None
    files.renew()
    connection = there or files.connection()
    with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
        connection.greeting(trusting(files.theirs, files.ours, version), host)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("is_there_before", [False, True])
def test_nor_if_it_resumes_a_session_of_before(files: Files, version: ssl.TLSVersion, is_there_before: bool) -> None:
    client = trusting(files.ours, files.ours, version)
    client.load_verify_locations(str(files.theirs.authority))
    before = files.connection()
    assert before.greeting(client, "localhost") == b"WELCOME\n"
    there = files.connection() if is_there_before else None
    files.renew()
    connection = there or files.connection()
    with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
        connection.greeting(client, "localhost", before.client.session)
    assert not connection.client.session_reused


def test_a_session_goes_on_as_it_began(files: Files) -> None:
    old = files.connection()
    assert old.greeting(trusting(files.ours, files.ours), "localhost") == b"WELCOME\n"
    files.renew()
    old.session.write(BIG)
    assert old.heard(len(BIG)) == BIG


def test_what_no_session_uses_any_more_is_forgotten(files: Files) -> None:
    old = weakref.ref(files.tls.current.options.getContext())
    connection = files.connection()
    files.renew()
    gc.collect()
    assert old() is not None
    connection.session.connectionLost(Failure(ConnectionDone()))
    del connection
    gc.collect()
    assert old() is None


def lacks_certificate(files: Files) -> Path:
    files.certificate.unlink()
    return files.certificate


def half_renewed(files: Files) -> Path:
    files.certificate.write_bytes(files.theirs.server.read_bytes())
    return files.key


def renewed_but_for_a_key(files: Files) -> Path:
    files.put(files.theirs)
    files.key.write_text("text")
    return files.key


def half_written(files: Files) -> Path:
    files.put(files.theirs)
    os.truncate(files.certificate, files.certificate.stat().st_size - 20)
    return files.certificate


def has_bad_authorities(files: Files) -> Path:
    files.put(files.theirs)
    files.authorities.write_bytes(b"")
    return files.authorities


def has_a_fifo_for_a_key(files: Files) -> Path:
    files.put(files.theirs)
    files.key.unlink()
    os.mkfifo(files.key)
    descriptor = os.open(files.key, os.O_RDWR)  # as a program that has given the key, and may give more
    at_end(lambda: os.close(descriptor))
    os.write(descriptor, files.theirs.server.read_bytes())
    return files.key


def has_a_fifo_for_authorities(files: Files) -> Path:
    files.put(files.theirs)
    files.authorities.unlink()
    os.mkfifo(files.authorities)
    return files.authorities


def has_a_device_for_a_certificate(files: Files) -> Path:
    files.certificate.unlink()
    files.certificate.symlink_to("/dev/zero")
    return files.certificate


BAD = (
    lacks_certificate, half_renewed, renewed_but_for_a_key, half_written, has_bad_authorities, has_a_fifo_for_a_key,
    has_a_fifo_for_authorities, has_a_device_for_a_certificate,
)  # fmt: skip


@pytest.mark.parametrize("spoil", BAD)
def test_where_one_file_is_bad_none_is_used(files: Files, spoil: Callable[[Files], Path]) -> None:
    bad = spoil(files)
    with pytest.raises(errors.BadCertificate) as refused:
        files.tls.read_anew()
    assert (str(bad) in str(refused.value), "\n" in str(refused.value)) == (True, False)
    assert files.connection().greeting(trusting(files.ours, files.ours), "localhost") == b"WELCOME\n"


def rsa_key(change: int = 0) -> bytes:
    """A key, whose secret numbers are changed by so much."""
    numbers = generate_private_key(65537, 2048).private_numbers()
    changed = RSAPrivateNumbers(
        numbers.p, numbers.q, numbers.d + change, numbers.dmp1 + change, numbers.dmq1, numbers.iqmp,
        numbers.public_numbers,
    )  # fmt: skip
    made = changed.private_key(unsafe_skip_rsa_key_validation=True)
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_a_key_that_signs_what_nobody_can_verify_is_bad(files: Files) -> None:
    files.key.write_bytes(rsa_key(2))
    with pytest.raises(errors.BadCertificate, match="damaged"):
        files.tls.read_anew()


def test_a_key_is_read_without_holding_the_interpreter_for_long(files: Files) -> None:
    key = rsa_key()
    files.key.write_bytes(key)
    began = time.thread_time()
    load_pem_private_key(key, None)  # which validates it
    loaded = time.thread_time()
    with pytest.raises(errors.BadCertificate, match="not that of the certificate"):
        files.tls.read_anew()
    assert time.thread_time() - loaded < (loaded - began) / 2 + 0.02


def test_a_link_that_was_given_another_target_is_followed(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    link = tmp_path / "live"
    link.symlink_to(authority.issue("first", days=(-1, 20)))
    tls = ServerTLS(str(link), None, None)
    link.unlink()
    link.symlink_to(authority.issue("second", days=(-1, 40)))
    assert tls.read_anew().expires == pytest.approx(tls.expires + 20 * DAY)


def with_chain(folder: Path, *, leaf: tuple[float, float], above: tuple[float, float]) -> ServerTLS:
    """A certificate that comes with the one above it, each valid between so many days from now and so many."""
    authority = Authority(folder, "above", days=above)
    path = authority.issue("server", days=leaf)
    with path.open("ab") as file:
        file.write(authority.path.read_bytes())
    return ServerTLS(str(path), None, None)


@pytest.mark.parametrize(("leaf", "above"), [(30, 60), (60, 30)])
def test_the_end_is_that_of_what_ends_first_of_all_that_is_shown(tmp_path: Path, leaf: float, above: float) -> None:
    tls = with_chain(tmp_path, leaf=(-1, leaf), above=(-2, above))
    assert tls.expires == pytest.approx(NOW + 30 * DAY, abs=2)


@pytest.mark.parametrize("above", [False, True])
@pytest.mark.parametrize(
    ("later", "is_told"), [(0, False), (30 * DAY - SOON - 10, False), (30 * DAY - SOON + 10, True), (31 * DAY, True)]
)
def test_an_end_is_told_when_it_is_near_and_after_it(tmp_path: Path, above: bool, later: float, is_told: bool) -> None:
    tls = with_chain(tmp_path, leaf=(-1, 60 if above else 30), above=(-2, 30 if above else 60))
    lapse = tls.current.lapse(NOW + later)
    assert (lapse is not None, "CN=above" in (lapse or "")) == (is_told, is_told and above)


@pytest.mark.parametrize(("leaf", "above"), [(2, -2), (-1, 2)])
def test_what_is_not_valid_yet_is_told(tmp_path: Path, leaf: float, above: float) -> None:
    tls = with_chain(tmp_path, leaf=(leaf, 30), above=(above, 60))
    assert tls.current.lapse(NOW) is not None
    assert tls.current.lapse(NOW + 3 * DAY) is None
