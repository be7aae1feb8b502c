"""TLS on real sockets: what is said over it, and who does not even begin."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.processes import PATIENCE, RawClient, ServerProcess

pytest.importorskip("OpenSSL", reason="TLS needs chatfile[tls]")
SIZE = 12_345_678


@dataclass(frozen=True)
class Certificate:
    key: Path
    certificate: Path


@pytest.fixture(scope="module")
def localhost(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("certificates")
    made = Certificate(folder / "key.pem", folder / "cert.pem")
    how = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    who = ["-addext", "subjectAltName=DNS:localhost", "-keyout", made.key, "-out", made.certificate]
    subprocess.run(["openssl", "req", "-x509", *how, *who], check=True, capture_output=True)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    served = tmp_path_factory.mktemp("work") / "served"
    served.mkdir()
    (served / "a file").write_bytes(os.urandom(SIZE))
    return served


class TlsServer(ServerProcess):
    """As the other, over TLS."""

    def __init__(self, folder: Path, has: Certificate, *options: str) -> None:
        port = f"ssl:0:interface=127.0.0.1:privateKey={has.key}:certKey={has.certificate}"
        super().__init__(folder, *options, port=port)
        self.tls_port = int(self.log_until(r"starting on (\d+)"))


@contextmanager
def encrypted(port: int, certificate: Certificate) -> Iterator[ssl.SSLSocket]:
    context = ssl.create_default_context(cafile=str(certificate.certificate))
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as encrypted,
    ):
        yield encrypted


def test_nothing_goes_past_the_encryption(folder: Path, localhost: Certificate) -> None:
    content = (folder / "a file").read_bytes()
    with (
        TlsServer(folder, localhost) as server,
        encrypted(server.tls_port, localhost) as client,
        client.makefile("rb") as stream,
    ):
        client.sendall(b"get a file\nexit\n")
        assert stream.readline().startswith(b"WELCOME ")
        assert stream.readline().startswith(b"FILE %d " % SIZE)
        assert stream.read(len(content)) == content
        assert stream.readline() == b"END " + hashlib.sha256(content).hexdigest().encode() + b"\n"
        assert stream.readline() == b"BYE Client01\n"


def test_a_client_waits_for_its_seat_after_the_handshake(folder: Path, localhost: Certificate) -> None:
    with (
        TlsServer(folder, localhost, "--max-clients=1", "--waiting=1") as server,
        encrypted(server.tls_port, localhost) as holder,
        holder.makefile("rb") as holders,
    ):
        assert holders.readline() == b"WELCOME Client01 chatfile/1\n"
        with encrypted(server.tls_port, localhost) as client, client.makefile("rb") as stream:
            client.sendall(b"wait\nhello\n")
            assert stream.readline().startswith(b"ERROR full ")
            assert stream.readline() == b"WAIT 1\n"
            holder.sendall(b"exit\n")
            assert holders.read() == b"BYE Client01\n"
            holder.unwrap().close()
            assert stream.readline() == b"WELCOME Client02 chatfile/1\n"
            assert stream.readline() == b"hello ACK\n"


@pytest.mark.slow
@pytest.mark.parametrize("says", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00"])
def test_who_does_not_finish_its_handshake_keeps_nobody_out(folder: Path, localhost: Certificate, says: bytes) -> None:
    with TlsServer(folder, localhost, "--line-timeout=0.5") as server:
        silent = [RawClient(server.tls_port) for _ in range(10)]
        for peer in silent:
            peer.send(says)
        with encrypted(server.tls_port, localhost) as client, client.makefile("rb") as stream:
            assert stream.readline() == b"WELCOME Client01 chatfile/1\n"
            for peer in silent:
                with pytest.raises(ConnectionResetError):
                    peer.rest()
                peer.close()
            client.sendall(b"status\n")
            assert stream.readline() == b"STATUS 1\n"


@pytest.mark.parametrize("says", [b"hello\n", b"GET / HTTP/1.1\r\n\r\n", bytes(100)])
def test_who_does_not_speak_tls_is_hung_up_on(folder: Path, localhost: Certificate, says: bytes) -> None:
    with TlsServer(folder, localhost) as server:
        with RawClient(server.tls_port) as peer:
            peer.send(says)
            assert b"WELCOME" not in peer.rest()
        with encrypted(server.tls_port, localhost) as client, client.makefile("rb") as stream:
            assert stream.readline() == b"WELCOME Client01 chatfile/1\n"
