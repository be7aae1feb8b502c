"""Nobody waits for another's disk: with the real threads, on disks that hang or are slow, judged by a neighbour."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from chatfile.server.small_files import ReadAhead
from tests.support.flooding import MIB, Memory
from tests.support.processes import RawClient, ServerProcess, wait_until
from tests.support.slow_disks import (
    HANGS,
    NO_DELAY,
    SlowDisk,
    get,
    is_not_delayed,
    library,
    list_all,
    needs_cc,
    seconds_of,
    slow_disk,
)  # fmt: skip

__all__ = ["library", "slow_disk"]
pytestmark = needs_cc

OFTEN = ("open", "read")
KINDS = [
    pytest.param(call, marks=[] if call in OFTEN else pytest.mark.slow) for call in ("stat", "open", "fstat", "read")
]
"""The calls that a `get` makes before it can be answered whole; those that are tried without being asked for, first."""


def ask_and_go(server: ServerProcess, line: bytes, times: int) -> None:
    """One after the other comes, asks, and resets the connection without waiting for the answer."""
    for _ in range(times):
        client = server.connect()
        if client.line().startswith(b"WELCOME "):
            client.send(line + b"\nhello\n")
        client.reset()


@pytest.mark.parametrize("call", [*KINDS, pytest.param("close", marks=pytest.mark.slow)])
def test_those_who_ask_for_what_hangs_and_go_delay_nobody(slow_disk: SlowDisk, call: str) -> None:
    slow_disk.put("hung", bytes(1000))
    with slow_disk.served(f"{call}:hung:{HANGS}") as server, server.greeted() as neighbour:
        for line in (b"get hung", b"hash hung"):
            ask_and_go(server, line, 20)
            is_not_delayed(neighbour, slow_disk, lists=call != "stat")


@pytest.mark.parametrize("call", KINDS)
def test_what_hangs_amid_many_requests_holds_up_those_before_it_for_a_moment_and_nobody_else(
    slow_disk: SlowDisk, call: str
) -> None:
    slow_disk.put("hung", bytes(1000))
    with slow_disk.served(f"{call}:hung:{HANGS}") as server, server.greeted() as asker, server.greeted() as neighbour:
        asker.send(b"get small\n" * 20 + b"get hung\nget small\n" + b"get small\n" * 20)
        assert seconds_of(lambda: [asker.line() for _ in range(2 * 20)]) < ReadAhead.PATIENCE + NO_DELAY
        for _ in range(3):
            is_not_delayed(neighbour, slow_disk, lists=call != "stat")
        slow_disk.recover()
        assert asker.line().startswith(b"FILE 1000 ")


@pytest.mark.slow
@pytest.mark.parametrize("line", [b"get hung", b"hash hung"])
@pytest.mark.parametrize("call", KINDS)
def test_those_who_wait_for_what_hangs_delay_nobody_and_are_told_in_time(
    slow_disk: SlowDisk, call: str, line: bytes
) -> None:
    slow_disk.put("hung", bytes(1000))
    with slow_disk.served(f"{call}:hung:{HANGS}", "--disk-timeout=1.5") as server:
        server.may_fail = True  # a transfer that is cut off is told in the log
        with server.greeted() as neighbour:
            clients = [server.greeted() for _ in range(3)]
            for client in clients:
                client.send(line + b"\n")
            is_not_delayed(neighbour, slow_disk, lists=call != "stat")
            assert {how_it_ended(client) for client in clients} <= {b"unavailable", b"changed", b"reset"}
            is_not_delayed(neighbour, slow_disk, lists=call != "stat")


def how_it_ended(client: RawClient) -> bytes:
    try:
        line = client.line()
        if line.startswith(b"FILE "):
            client.read(int(line.split()[1]))
            line = client.line()
    except ConnectionResetError:
        return b"reset"
    return line.split()[1] if line.startswith(b"ERROR ") else line or b"reset"


@pytest.mark.slow
def test_whoever_was_told_can_go_on_and_the_file_is_there_again_when_the_disk_is(slow_disk: SlowDisk) -> None:
    slow_disk.put("hung", b"content")
    with slow_disk.served(f"open:hung:{HANGS}", "--disk-timeout=0.3") as server, server.greeted() as client:
        for _ in range(6):
            assert client.ask(b"get hung").startswith(b"ERROR unavailable ")
        assert client.ask(b"hello") == b"hello ACK"
        slow_disk.recover()
        wait_until(lambda: client.ask(b"hash hung").startswith(b"HASH "))
        assert get(client, b"hung") == b"content"


@pytest.mark.slow
def test_one_file_that_hangs_is_refused_at_once_before_it_takes_every_thread(slow_disk: SlowDisk) -> None:
    slow_disk.put("hung", b"content")
    with slow_disk.served(f"open:hung:{HANGS}", "--disk-timeout=0.2") as server, server.greeted() as client:
        for _ in range(3):
            assert client.ask(b"get hung").startswith(b"ERROR unavailable ")
        before = threads_of(server)
        for _ in range(100):
            assert client.ask(b"get hung").startswith(b"ERROR unavailable ")
        assert threads_of(server) <= before + 8
        is_not_delayed(client, slow_disk)


def threads_of(server: ServerProcess) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))


@pytest.mark.slow
def test_a_listing_that_hangs_is_told_and_delays_no_file(slow_disk: SlowDisk) -> None:
    with slow_disk.served(f"list:served:{HANGS}", "--disk-timeout=1") as server, server.greeted() as neighbour:
        ask_and_go(server, b"list", 10)
        client = server.greeted()
        client.send(b"list\n")
        is_not_delayed(neighbour, slow_disk, lists=False)
        assert client.line().startswith(b"ERROR unavailable ")
        slow_disk.recover()
        assert list_all(client)


@pytest.mark.slow
def test_a_folder_that_hangs_in_a_tree_is_told_and_delays_neither_lists_nor_other_trees(slow_disk: SlowDisk) -> None:
    for folder in ("hung", "other"):
        (slow_disk.folder / folder).mkdir()
        slow_disk.put(f"{folder}/file", b"content")
    with slow_disk.served(f"open:hung:{HANGS}", "--recursive", "--disk-timeout=1") as server:
        with server.greeted() as neighbour:
            clients = [server.greeted() for _ in range(3)]
            for client, line in zip(clients, (b"tree", b"tree hung/", b"get hung/file"), strict=True):
                client.send(line + b"\n")
            is_not_delayed(neighbour, slow_disk)
            assert seconds_of(lambda: tree_of_other(neighbour)) < NO_DELAY
            assert [client.line().split()[1] for client in clients] == [b"unavailable"] * 3
        slow_disk.recover()
        assert get(clients[0], b"hung/file") == b"content"
        assert tree_of_other(clients[0])


def tree_of_other(client: RawClient) -> bool:
    assert client.ask(b"tree other/") == b"TREE 1"
    return client.line().endswith(b" other/file")


@pytest.mark.slow
def test_slow_files_that_are_hashed_keep_nobody_from_a_digest(slow_disk: SlowDisk) -> None:
    for name in ("one", "two", "three"):
        slow_disk.put(f"slow {name}", bytes(2 * MIB))
    with slow_disk.served("read:slow:0.6") as server, server.greeted() as neighbour:
        for name in (b"one", b"two", b"three"):
            server.greeted().send(b"hash slow " + name + b"\n")
        is_not_delayed(neighbour, slow_disk)


@pytest.mark.slow
def test_twelve_readers_of_slow_files_keep_nobody_waiting(slow_disk: SlowDisk) -> None:
    for number in range(12):
        slow_disk.put(f"slow {number}", bytes(2 * MIB))
    with slow_disk.served("read:slow:0.6", clients=13) as server, server.greeted() as neighbour:
        for number in range(12):
            server.greeted().send(b"get slow %d\n" % number)
        is_not_delayed(neighbour, slow_disk)


@pytest.mark.slow
def test_a_slow_file_arrives_whole_though_others_have_their_turns(slow_disk: SlowDisk) -> None:
    content = bytes(range(256)) * 4096
    slow_disk.put("slow", content)
    with slow_disk.served("read:slow:0.05", "--disk-timeout=1", "--stall-timeout=1") as server:
        assert get(server.greeted(), b"slow") == content


@pytest.mark.slow
def test_a_flood_of_listings_that_nobody_waits_for_costs_little_and_delays_nobody(slow_disk: SlowDisk) -> None:
    for number in range(5000):
        (slow_disk.folder / f"{number:050}").touch()
    with slow_disk.served("") as server, server.greeted() as neighbour:
        list_all(neighbour)
        memory, until = Memory(server.process.pid), time.monotonic() + 1
        while time.monotonic() < until:
            ask_and_go(server, b"list", 1)
        assert seconds_of(lambda: neighbour.ask(b"get missing")) < NO_DELAY
        assert seconds_of(lambda: get(neighbour, b"small")) < NO_DELAY
        assert seconds_of(lambda: list_all(neighbour)) < 2
        assert memory.grown() < 16 * MIB


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["by itself", "at the deadline", "at a second signal"])
@pytest.mark.parametrize("call", ["open", "read", "list"])
def test_no_end_waits_for_a_disk(slow_disk: SlowDisk, call: str, ends: str) -> None:
    slow_disk.put("hung", bytes(100_000))  # more than is read before the header
    about = "served" if call == "list" else "hung"
    deadline = "--drain-timeout=0.5" if ends == "at the deadline" else "--drain-timeout=60"
    with slow_disk.served(f"{call}:{about}:{HANGS}", deadline) as server:
        server.may_fail = True
        client = server.greeted()
        client.send(b"list\n" if call == "list" else b"get hung\n")
        if call == "read":
            assert client.line().startswith(b"FILE ")
        else:
            wait_until(lambda: threads_of(server) > 1)
        if ends == "by itself":
            client.reset()
            wait_until(lambda: "left" in server.log)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        if ends == "at a second signal":
            server.log_until("Going down")
            server.process.send_signal(signal.SIGTERM)
        assert server.ended() == -signal.SIGTERM
        assert time.monotonic() - began < 3
