"""A flood of connections at a port that speaks TLS keeps nobody out who takes a moment to shake hands."""

from __future__ import annotations

import socket
import ssl
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.processes import PATIENCE, ServerProcess, wait_until

pytest.importorskip("OpenSSL", reason="TLS needs chatfile[tls]")
from tests.support.certificates import Papers

pytestmark = pytest.mark.slow

MEANWHILE = 100
"""Connections that come while the packets of one are on their way: 0.2 s at 500 a second."""
KEPT = 200
"""Connections that the flood keeps: more than the server does."""


class Flood:
    """Connections without an end, each of which says so much and waits."""

    def __init__(self, port: int, says: bytes) -> None:
        self._port = port
        self._says = says
        self._count = 0
        self._kept: deque[socket.socket] = deque()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stopping.wait(0.001):
            with suppress(OSError):
                self._kept.append(socket.create_connection(("127.0.0.1", self._port), PATIENCE))
                self._kept[-1].send(self._says)
            if len(self._kept) > KEPT:
                self._kept.popleft().close()
            self._count += 1

    def goes_on(self) -> None:
        """Wait while more of them come."""
        until = self._count + MEANWHILE
        wait_until(lambda: self._count >= until)

    def __enter__(self) -> Flood:
        self._thread.start()
        self.goes_on()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        for each in self._kept:
            each.close()


def greeting(port: int, flood: Flood) -> bytes:
    """What one is told whose packets take their time."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    session = context.wrap_bio(incoming, outgoing)
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as plain:
        while True:
            try:
                return session.read(1000)
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
            received = plain.recv(100_000)
            flood.goes_on()
            incoming.write(received)


@pytest.mark.parametrize(
    "says", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00"], ids=["nothing", "a byte", "half a hello"]
)
def test_a_client_far_away_gets_in_beside_a_flood_of_silence(tmp_path: Path, says: bytes) -> None:
    papers, served = Papers(tmp_path), tmp_path / "served"
    served.mkdir()
    port = f"ssl:0:interface=127.0.0.1:privateKey={papers.good}:certKey={papers.good}"
    with ServerProcess(served, port=port) as server:
        tls_port = int(server.log_until(r"starting on (\d+)"))
        with Flood(tls_port, says) as flood:
            assert [greeting(tls_port, flood)[:8] for _ in range(3)] == [b"WELCOME "] * 3
