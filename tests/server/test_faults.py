"""Faults of the server's own: each is logged once, whoever is left to be told of it, and nothing waits for ever."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

from chatfile import wire
from chatfile.server.events import EventLog
from tests.support.serving import Peer, Server
from tests.support.transports import FullTransport, Threads


def broken(*_: object) -> Any:
    raise ZeroDivisionError("ours")


def is_logged_once(logged_errors: list[str]) -> bool:
    """Tell whether it is the only error in the log, also when all Deferreds are gone."""
    gc.collect()
    count = len(logged_errors)
    logged_errors.clear()
    return count == 1


@pytest.fixture
def server(tmp_path: Path) -> Server:
    (tmp_path / "files").mkdir()
    server = Server(tmp_path / "files")
    server.put("large", bytes(1 << 20))
    return server


def amid_a_file(server: Server) -> Peer:
    transport = FullTransport()
    peer = server.connect(transport)
    transport.drain()
    peer.sends(b"get large\n")
    assert server.factory.activity().transfers == 1
    return peer


def test_one_behind_a_client_that_has_gone_is_logged(
    server: Server, monkeypatch: pytest.MonkeyPatch, logged_errors: list[str]
) -> None:
    peer = amid_a_file(server)
    server.factory.reset()
    monkeypatch.setattr(EventLog, "sent", broken)  # the log of the transfer, which ends with the connection
    peer.vanishes()
    assert is_logged_once(logged_errors)
    assert server.factory.activity().faults == 1


def test_a_client_that_has_gone_is_no_fault(server: Server, logged_errors: list[str]) -> None:
    peer = amid_a_file(server)
    server.factory.reset()
    peer.vanishes()
    gc.collect()
    assert (logged_errors, server.factory.activity().faults) == ([], 0)


def test_one_of_a_digest_is_logged_though_its_client_has_gone(
    server: Server, monkeypatch: pytest.MonkeyPatch, logged_errors: list[str]
) -> None:
    monkeypatch.setattr("chatfile.digests.Digests._compute", broken)
    peer = amid_a_file(server)
    peer.vanishes()
    assert is_logged_once(logged_errors)


def test_one_in_a_line_that_had_to_wait_is_logged_and_ends_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged_errors: list[str]
) -> None:
    threads = Threads()
    server = Server(tmp_path, in_thread=threads)
    peer = server.greeted()
    peer.sends(b"list\nlist\n")
    monkeypatch.setattr(wire, "parse_request", broken)
    threads.run()
    assert peer.transport.aborted
    assert not server.factory.is_responding()
    assert is_logged_once(logged_errors)
