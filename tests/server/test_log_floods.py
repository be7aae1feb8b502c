"""What clients can make the log of a real server say, in bytes: nothing fills the disk."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from chatfile.server.events import SummedLog
from tests.support.processes import RawClient, ServerProcess

LONG = "\N{SOFT HYPHEN}" * 120
"""A name of which every character is escaped in the log."""
MANY = 2000
MOST = 25_000
"""Bytes of log of a flood from one address, whose names are as long as they can be, in ten seconds."""


def get_pipelined(server: ServerProcess) -> None:
    client = server.greeted()
    client.send(f"get {LONG}\n".encode() * MANY + b"exit\n")
    assert client.rest().count(b"xEND ") == MANY


def get_one_each(server: ServerProcess) -> None:
    for _ in range(MANY // 10):
        with RawClient(server.port) as client:
            client.send(f"get {LONG}\nexit\n".encode())
            client.rest()


def get_and_reset(server: ServerProcess) -> None:
    for _ in range(MANY // 10):
        client = RawClient(server.port)
        client.send(b"get big\n")
        client.line()
        client.reset()


def come_and_go(server: ServerProcess) -> None:
    for _ in range(MANY // 4):
        RawClient(server.port).reset()


def come_while_it_is_full(server: ServerProcess) -> None:
    seated = [server.greeted() for _ in range(3)]
    for _ in range(MANY // 4):
        with RawClient(server.port) as client:
            assert client.line().startswith(b"ERROR full ")
    assert seated[0].ask(b"hello") == b"hello ACK"


def refuse_every_line(server: ServerProcess) -> None:
    client = server.greeted()
    client.send((b"get x{client}\n" + b"\0\n" + b"\xff\n" + b"resume -1 x\n" + b"x" * 5000 + b"\n") * MANY + b"exit\n")
    assert client.rest().count(b"\nERROR ") == 5 * MANY - 1


def half_close_at_once(server: ServerProcess) -> None:
    for _ in range(MANY // 4):
        with socket.create_connection(("127.0.0.1", server.port)) as client, suppress(ConnectionError):
            client.shutdown(socket.SHUT_WR)
            client.recv(100)


FLOODS = (
    get_pipelined,
    get_one_each,
    get_and_reset,
    come_and_go,
    come_while_it_is_full,
    refuse_every_line,
    half_close_at_once,
)


@pytest.mark.slow
@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_whatever_clients_do_is_a_short_log(tmp_path: Path, flood: Callable[[ServerProcess], None]) -> None:
    served = tmp_path / "served"
    served.mkdir()
    (served / LONG).write_bytes(b"x")
    (served / "big").write_bytes(b"x" * 10_000_000)
    with ServerProcess(served) as server:
        before = len(server.log)
        flood(server)
        server.process.terminate()
        server.ended()
    assert len(server.log) - before < MOST, server.log[-3000:]


@pytest.mark.slow
def test_a_flood_of_tls_names_that_the_server_does_not_have_is_a_short_log(tmp_path: Path) -> None:
    pytest.importorskip("OpenSSL", reason="TLS needs chatfile[tls]")
    from tests.support.certificates import Papers

    served, papers = tmp_path / "served", Papers(tmp_path)
    served.mkdir()
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "localhost.pem").write_bytes(papers.good.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with ServerProcess(served, port="tls:tls:0") as server:
        port = int(server.log_until(r"starting on (\d+)"))
        for number in range(100):
            raw = socket.create_connection(("127.0.0.1", port))
            with context.wrap_socket(raw, server_hostname=f"{number}.example") as client:
                assert client.recv(7) == b"WELCOME"
    assert server.log.count("no server certificate") == SummedLog.OF_A_CLIENT
