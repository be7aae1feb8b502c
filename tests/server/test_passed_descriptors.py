"""Descriptors that a client passes along at a UNIX socket, for which nobody has asked."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.processes import PATIENCE, ServerProcess, wait_until
from tests.support.serving import Server
from tests.support.transports import Threads

pytestmark = pytest.mark.skipif(not hasattr(socket, "send_fds"), reason="nothing can be passed here")


def test_who_passes_descriptors_is_reset_and_a_thread_closes_them(tmp_path: Path) -> None:
    threads = Threads()
    peer = Server(tmp_path, in_thread=threads).greeted()
    descriptors = os.pipe()
    for descriptor in descriptors:
        peer.protocol.fileDescriptorReceived(descriptor)
    assert peer.transport.aborted
    for descriptor in descriptors:
        os.fstat(descriptor)  # the reactor did not wait for a close
    threads.run_all()
    for descriptor in descriptors:
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(descriptor)


def test_those_of_all_clients_take_one_turn(tmp_path: Path) -> None:
    server = Server(tmp_path, in_thread=Threads(), limit=1)
    server.greeted()
    queues = server.queues
    for _ in range(3):
        peer = server.connect()
        for _ in range(10):
            peer.protocol.fileDescriptorReceived(os.open(os.devnull, os.O_RDONLY))
    assert server.queues == queues, "or each would take a turn beside those of clients that are served"


@pytest.mark.slow
def test_a_flood_of_descriptors_fills_neither_the_log_nor_the_server(tmp_path: Path) -> None:
    folder, path = tmp_path / "served", str(tmp_path / "socket")
    folder.mkdir()
    with ServerProcess(folder, port="unix:socket") as server:
        for _ in range(200):
            with socket.socket(socket.AF_UNIX) as one:
                one.connect(path)
                one.settimeout(PATIENCE)
                with suppress(ConnectionError):
                    one.recv(1000)
                    while True:
                        socket.send_fds(one, [b"hello\n"], [one.fileno()] * 20)
        wait_until(lambda: _is_served(path))
    assert len(server.log) < 20_000


def _is_served(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(PATIENCE)
        one.connect(path)
        with one.makefile("rb") as stream:
            one.sendall(b"hello\n")
            return stream.readline().startswith(b"WELCOME ") and stream.readline() == b"hello ACK\n"
