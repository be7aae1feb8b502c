"""What is kept of those who came and went: nothing beyond the cache, however many addresses they had."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.address import IPv4Address

from chatfile.admission import MemoryAdmission
from tests.support.coroutines import run_at_once
from tests.support.serving import Server
from tests.support.transports import MemoryTransport

VISITORS = 1500
FEW = 30
"""Bytes for each of them that may be found, where a single entry in a dict would be over a hundred.

The log keeps a few hundred entries of the latest of them, however many there were."""


def bytes_kept(visit: Callable[[int], object]) -> int:
    """How much more memory is in use when so many have gone, for each of them."""
    for number in range(VISITORS):
        visit(number)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(VISITORS, 2 * VISITORS):
            visit(number)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] // VISITORS
    finally:
        tracemalloc.stop()


def host(number: int) -> str:
    return f"10.0.{number // 256}.{number % 256}"


def test_nothing_is_kept_of_addresses_that_nobody_has_a_seat_from() -> None:
    admission = MemoryAdmission(lambda: 0.0, limit=2, limit_per_address=1, history=0)
    assert bytes_kept(lambda number: run_at_once(admission.admit(f"{host(number)}:1", host(number))).release()) < FEW


@pytest.mark.slow
@pytest.mark.parametrize("limit", [1, 2], ids=["refused", "served"])
def test_nothing_is_kept_of_visitors_who_have_gone(tmp_path: Path, limit: int) -> None:
    server = Server(tmp_path, limit=limit, history=10)
    stays = server.greeted()

    def visit(number: int) -> None:
        transport = MemoryTransport()
        transport.peerAddr = IPv4Address("TCP", host(number), 40000)
        visitor = server.connect(transport)
        assert transport.lines()[0].startswith(b"WELCOME " if limit == 2 else b"ERROR full ")
        visitor.sends(b"hello\n" if number % 2 else b"exit\n")
        visitor.vanishes()
        server.peers.remove(visitor)
        server.pass_time(0.1)
        stays.says(b"hello")

    assert bytes_kept(visit) < FEW
