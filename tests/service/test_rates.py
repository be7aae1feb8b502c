"""Rates of the real server, on real sockets, by the clock: what is asked for is what the system is given.

That there is never too much is exact, and holds on a busy machine as well. That there is enough is so only on one that
is not, and is measured in the slow tests.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import pytest_twisted

from chatfile.client import connect
from tests.support.certificates import Papers
from tests.support.processes import PATIENCE, ServerProcess

SIZE = 40_000_000
QUICK = 20_000_000
"""Bytes a second."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    with open(folder / "large", "wb") as file:
        file.truncate(SIZE * 4)
    (folder / "some").write_bytes(os.urandom(400_000))
    return folder


class Reader(threading.Thread):
    """Asks for a file, and counts what comes, until it is ended; each reader has an address of its own."""

    def __init__(self, port: int, number: int, rate: float) -> None:
        super().__init__(daemon=True)
        self.came = 0
        self._rate = rate
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE, (f"127.0.1.{number}", 0))
        self._socket.sendall(b"get large\n")
        self._is_wanted = True
        self.start()

    def run(self) -> None:
        began = time.monotonic()
        while self._is_wanted and (data := self._socket.recv(16384)):
            self.came += len(data)
            if self._rate and (early := self.came / self._rate - (time.monotonic() - began)) > 0:
                time.sleep(early)

    def close(self) -> None:
        self._is_wanted = False
        self.join(PATIENCE)
        self._socket.close()


def rates(readers: list[Reader], seconds: float) -> list[float]:
    """The bytes a second that each of them gets in the next seconds."""
    began, before = time.monotonic(), [reader.came for reader in readers]
    time.sleep(seconds)
    passed = time.monotonic() - began
    return [(reader.came - came) / passed for reader, came in zip(readers, before, strict=True)]


class Readers(ExitStack):
    """Makes readers, and ends them with the context."""

    def __init__(self, server: ServerProcess) -> None:
        super().__init__()
        self._port = server.port

    def __call__(self, number: int, rate: float = 0.0) -> Reader:
        return self.enter_context(closing(Reader(self._port, number, rate)))


# --- never too much ---


def tcp(server: ServerProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), PATIENCE)


def encrypted(server: ServerProcess) -> socket.socket:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(tcp(server))


def local(_: ServerProcess) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    sock.connect("socket")
    return sock


@pytest.mark.parametrize("connected", [tcp, encrypted, local])
@pytest.mark.parametrize("option", ["--rate=800K", pytest.param("--rate-per-client=0.8M", marks=pytest.mark.slow)])
def test_a_file_takes_its_time_over_any_transport(
    folder: Path, monkeypatch: pytest.MonkeyPatch, connected: Callable[[ServerProcess], socket.socket], option: str
) -> None:
    monkeypatch.chdir(folder.parent)
    options = [f"--certificate={Papers(folder.parent).good}"] if connected is encrypted else []
    port = "unix:socket" if connected is local else "tcp:0:interface=127.0.0.1"
    with ServerProcess(folder, option, *options, port=port) as server, connected(server) as sock:
        began = time.monotonic()
        sock.sendall(b"get some\nexit\n")
        said = b"".join(iter(lambda: sock.recv(65536), b""))
        seconds = time.monotonic() - began
        server.port = 0  # whose state a plain client is not told over TLS
    assert (folder / "some").read_bytes() in said
    assert 0.5 <= seconds < 5


def test_addresses_have_equal_shares_and_all_together_no_more_than_there_is(folder: Path) -> None:
    with ServerProcess(folder, f"--rate={QUICK}") as server, Readers(server) as reading:
        began = time.monotonic()
        readers = [reading(number) for number in (1, 2, 2)]
        rates(readers, 1)
        came, seconds = [reader.came for reader in readers], time.monotonic() - began
    assert sum(came) <= QUICK * seconds
    assert came[0] == pytest.approx(came[1] + came[2], rel=0.2)
    assert came[1] == pytest.approx(came[2], rel=0.2)


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(("name", "rate"), [("some", 800_000), ("large", 4 * SIZE)])
async def test_a_client_limits_what_it_reads(folder: Path, name: str, rate: int) -> None:
    """From a plain socket, too, where a file is otherwise received without a byte of it in the process."""
    with ServerProcess(folder) as server, open(folder.parent / "out", "w+b") as out:
        client = await connect(f"tcp:127.0.0.1:{server.port}", limit_rate=rate)
        began = time.monotonic()
        received = await client.get(name, out.fileno())
        seconds = time.monotonic() - began
        await client.exit()
    assert received.verified
    assert 0.75 * (folder / name).stat().st_size / rate <= seconds < 10


def test_a_run_of_small_files_is_no_way_around_it(folder: Path) -> None:
    (folder / "small").write_bytes(os.urandom(20_000))
    with ServerProcess(folder, "--rate=1M") as server, tcp(server) as sock:
        began = time.monotonic()
        sock.sendall(b"get small\n" * 30 + b"exit\n")
        said = b"".join(iter(lambda: sock.recv(65536), b""))
        seconds = time.monotonic() - began
    assert said.count((folder / "small").read_bytes()) == 30
    assert 0.6 <= seconds < 5


# --- and enough ---


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_sum_is_the_rate_and_each_has_its_share(folder: Path, count: int) -> None:
    with ServerProcess(folder, f"--rate={QUICK}") as server, Readers(server) as reading:
        readers = [reading(number + 1) for number in range(count)]
        rates(readers, 0.5)
        seen = rates(readers, 3)
    assert sum(seen) == pytest.approx(QUICK, rel=0.05)
    assert seen == pytest.approx([QUICK / count] * count, rel=0.1)


@pytest.mark.slow
@pytest.mark.alone
def test_what_one_leaves_is_for_the_others_within_a_second(folder: Path) -> None:
    with ServerProcess(folder, f"--rate={QUICK}") as server, Readers(server) as reading:
        readers = [reading(number) for number in (1, 2, 3)]
        rates(readers, 1)
        readers.pop().close()
        rates(readers, 1)
        seen = rates(readers, 2)
    assert seen == pytest.approx([QUICK / 2] * 2, rel=0.1)


@pytest.mark.slow
@pytest.mark.alone
def test_what_a_slow_reader_leaves_is_for_the_others(folder: Path) -> None:
    with ServerProcess(folder, f"--rate={QUICK}") as server, Readers(server) as reading:
        quick, slow = reading(1), reading(2, QUICK / 10)
        rates([quick, slow], 4)  # first the buffers of the system fill up
        seen = rates([quick, slow], 4)
    assert seen[1] == pytest.approx(QUICK / 10, rel=0.15)
    assert sum(seen) >= QUICK * 0.9


@pytest.mark.slow
@pytest.mark.alone
def test_a_message_waits_for_no_file(folder: Path) -> None:
    with ServerProcess(folder, f"--rate={QUICK}") as server, server.greeted() as other, Readers(server) as reading:
        rates([reading(1)], 0.5)
        waits = []
        for _ in range(300):
            began = time.monotonic()
            assert other.ask(b"hello") == b"hello ACK"
            waits.append(time.monotonic() - began)
            time.sleep(0.005)
    assert sorted(waits)[-4] < 0.02


@pytest.mark.slow
@pytest.mark.alone
def test_a_thousand_bytes_a_second_trip_no_timeout_and_a_drain_ends(folder: Path) -> None:
    options = ["--stall-timeout=1", "--idle-timeout=1", "--line-timeout=1", "--drain-timeout=1"]
    with ServerProcess(folder, "--rate=1K", *options) as server, tcp(server) as sock:
        sock.sendall(b"get large\n")
        came, began = 0, time.monotonic()
        while (seconds := time.monotonic() - began) < 6:
            came += len(sock.recv(65536))
        assert 0.8 * seconds * 1000 <= came <= seconds * 1000 + 200
        server.process.terminate()
        with pytest.raises(ConnectionResetError):
            list(iter(lambda: sock.recv(65536), b""))
        assert server.ended() is not None
        assert time.monotonic() - began < 6 + 3
