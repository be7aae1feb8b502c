"""One call that moves bytes within the system: why it ends, and that it never spins until then."""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from chatfile.receiving.splicing import Splice, SpliceResult, SpliceStatus

pytestmark = pytest.mark.skipif(not hasattr(os, "splice"), reason="there is no splice here")
Splicing = Callable[[Callable[[socket.socket], object]], tuple[SpliceResult, int]]


@pytest.fixture
def splicing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Splicing]:
    """What one call makes of what a peer has done, and how many calls of the system that takes."""
    really, calls = os.splice, 0

    def count(source: int, target: int, most: int) -> int:
        nonlocal calls
        calls += 1
        return really(source, target, most)

    def splicing(peer_does: Callable[[socket.socket], object]) -> tuple[SpliceResult, int]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            peer = stack.enter_context(socket.create_connection(server.getsockname()))
            ours = stack.enter_context(server.accept()[0])
        ours.setblocking(False)
        peer_does(peer)
        with open(os.devnull, "wb") as nowhere:
            splice = Splice(ours, nowhere.fileno())
            stack.callback(splice.close)
            return splice.move(1000), calls

    monkeypatch.setattr(os, "splice", count)
    with ExitStack() as stack:
        yield splicing


@pytest.mark.parametrize("before", [b"", b"before"])
def test_an_urgent_byte_does_not_keep_a_thread_spinning(splicing: Splicing, before: bytes) -> None:
    def send(peer: socket.socket) -> None:
        peer.send(before)
        peer.send(b"!", socket.MSG_OOB)
        peer.send(b"behind")  # or the socket would not count as readable

    moved, calls = splicing(send)
    assert moved == SpliceResult(len(before), SpliceStatus.IDLE)
    assert calls <= 5


@pytest.mark.parametrize("before", [b"", b"before"])
def test_a_peer_that_is_gone_does_not_keep_a_thread_spinning(splicing: Splicing, before: bytes) -> None:
    def send_and_go(peer: socket.socket) -> None:
        peer.send(before)
        peer.close()

    moved, calls = splicing(send_and_go)
    assert moved == SpliceResult(len(before), SpliceStatus.CLOSED)
    assert calls <= 5


def test_a_peer_that_can_not_be_waited_for_is_left_to_the_reactor(
    splicing: Splicing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(patience: int) -> object:
        raise OSError(errno.ENOMEM, "made to fail")

    monkeypatch.setattr(select, "poll", lambda: SimpleNamespace(register=lambda *_: None, poll=refuse))
    assert splicing(lambda _: None) == (SpliceResult(0, SpliceStatus.IDLE), 1)


def test_what_was_asked_for_is_enough(splicing: Splicing) -> None:
    moved, _ = splicing(lambda peer: peer.send(bytes(2000)))
    assert moved == SpliceResult(1000, SpliceStatus.ENOUGH)


def test_a_peer_that_sends_a_moment_later_is_waited_for(splicing: Splicing, monkeypatch: pytest.MonkeyPatch) -> None:
    peers: list[socket.socket] = []
    wait = Splice._is_readable_soon

    def send_and_wait(splice: Splice) -> bool:
        peers[0].send(bytes(1000))
        return wait(splice)

    monkeypatch.setattr(Splice, "_is_readable_soon", send_and_wait)
    assert splicing(peers.append)[0] == SpliceResult(1000, SpliceStatus.ENOUGH)


def test_only_regular_files_are_spliced_into() -> None:
    reading, writing = os.pipe()
    try:
        assert not Splice.can_fill(writing, and_read=False)
    finally:
        os.close(reading)
        os.close(writing)
