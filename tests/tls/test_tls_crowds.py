"""A crowd at the door of a port that speaks TLS: while a seat is free, who is slow gets in all the same."""

from __future__ import annotations

import selectors
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("OpenSSL", reason="TLS needs chatfile[tls]")

from chatfile.server import MAX_UNSEATED
from tests.support.certificates import Papers
from tests.support.processes import PATIENCE, ServerProcess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="other systems have one address of the loopback interface"),
]
HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"
CROWD = 5 * MAX_UNSEATED
"""How many come while one flight of a handshake is on its way: what a latency of 0.2 s is to 1600 a second."""


class Crowd:
    """Connections that take what places they can get."""

    def __init__(self, port: int, host: str, says: bytes) -> None:
        self._port, self._host, self._says = port, host, says
        self._there = selectors.DefaultSelector()

    def comes(self) -> None:
        """Many more; it takes until the server has seen them all."""
        for _ in range(CROWD):
            one = socket.create_connection((HERE, self._port), PATIENCE, source_address=(self._host, 0))
            one.sendall(self._says)
            self._there.register(one, selectors.EVENT_READ)
        while self._says and len(self._there.get_map()) > MAX_UNSEATED:
            ready = self._there.select(PATIENCE)
            assert ready
            for key, _ in ready:
                self._hears(key.fileobj)

    def _hears(self, one: object) -> None:
        assert isinstance(one, socket.socket)
        with suppress(ConnectionResetError):
            if one.recv(100_000):
                return
        self._there.unregister(one)
        one.close()

    def goes(self) -> None:
        for key in list(self._there.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._there.close()


class Slow:
    """A TLS client whose flights take as long as `way` does."""

    def __init__(self, port: int, authority: Path, crowd: Crowd) -> None:
        self._crowd = crowd
        self._plain = socket.create_connection((HERE, port), PATIENCE)
        self._arriving, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cafile=str(authority))
        self._tls = context.wrap_bio(self._arriving, self._leaving, server_hostname="localhost")

    def greeting(self) -> bytes:
        """What the server says when it has let it in."""
        self._do(self._tls.do_handshake)
        return self._do(lambda: self._tls.read(100))

    def _do(self, what) -> bytes:  # type: ignore[no-untyped-def]
        while True:
            try:
                return what()
            except ssl.SSLWantReadError:
                self._send()
                came = self._plain.recv(100_000)
                assert came
                self._arriving.write(came)
            finally:
                self._send()

    def _send(self) -> None:
        if flight := self._leaving.read():
            self._crowd.comes()
            self._plain.sendall(flight)

    def close(self) -> None:
        self._plain.close()


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    (tmp_path / "served").mkdir()
    return Papers(tmp_path)


def hello() -> bytes:
    leaving = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), leaving, server_hostname="localhost").do_handshake()
    return leaving.read()


@pytest.fixture
def server(tmp_path: Path, papers: Papers) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "served", f"--certificate={papers.good}") as server:
        yield server
        server.port = 0  # nobody may ask there, plainly, for who is still connected


@pytest.mark.parametrize(
    ("host", "says"), [(HERE, b""), (HERE, b"\x16"), (ELSEWHERE, b""), (ELSEWHERE, b"\x16"), (ELSEWHERE, hello())]
)
def test_a_crowd_keeps_nobody_out(server: ServerProcess, papers: Papers, host: str, says: bytes) -> None:
    crowd = Crowd(server.port, host, says)
    slow = Slow(server.port, papers.ours, crowd)
    try:
        assert slow.greeting().startswith(b"WELCOME ")
    finally:
        slow.close()
        crowd.goes()
