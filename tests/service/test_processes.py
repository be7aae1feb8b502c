"""The real programs on real sockets: what only they can show."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.processes import PATIENCE, RawClient, ServerProcess, client_command, run_client, wait_until

BIG = 30_000_000
"""Bytes of a file that no socket buffer holds."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    served = tmp_path_factory.mktemp("work") / "served"
    served.mkdir()
    for size in (0, 1, 65_535, 65_536, 262_144, 262_145, 1_048_579):
        (served / f"{size}.bin").write_bytes(os.urandom(size))
    (served / "big.bin").write_bytes(os.urandom(BIG))
    (served / "ein Name, grün.txt").write_bytes(b"\n.\nEND -\nhello ACK\n")
    return served


@pytest.fixture(scope="module")
def shared_server(folder: Path) -> Iterator[ServerProcess]:
    with ServerProcess(folder, "--max-clients", "20") as server:
        yield server


@pytest.fixture
def server(folder: Path) -> Iterator[ServerProcess]:
    with ServerProcess(folder) as server:
        yield server


def fetched(client: RawClient, name: str) -> bytes:
    """A file over a raw socket, its size and digest checked."""
    header = client.ask(b"get " + name.encode())
    assert header.startswith(b"FILE "), header
    content = client.read(int(header.split()[1]))
    assert client.line() == b"END " + hashlib.sha256(content).hexdigest().encode()
    return content


# --- seats ---


def test_four_clients_at_three_seats(server: ServerProcess) -> None:
    clients = [server.greeted() for _ in range(3)]
    with server.connect() as refused:
        refused.send(b"hello\n" * 100_000)
        assert refused.line().startswith(b"ERROR full ")
        assert refused.line() == b""
    assert clients[0].ask(b"status") == b"STATUS 3"
    leaves: list[Callable[[RawClient], None]] = [
        RawClient.close, RawClient.reset, RawClient.half_close, lambda client: client.send(b"exit\n")
    ]  # fmt: skip
    for number, leave in enumerate(leaves, 4):
        leaving = clients.pop()
        leave(leaving)
        if leave not in (RawClient.close, RawClient.reset):
            assert leaving.rest() in (b"", b"BYE Client%02d\n" % (number - 1))
            leaving.close()
        clients.append(admitted(server, number))
    for client in clients:
        client.close()


def admitted(server: ServerProcess, number: int) -> RawClient:
    """A client let in as soon as the seat is free, which is as soon as the server hears of the end."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        client = server.connect()
        line = client.line()
        if line == b"WELCOME Client%02d chatfile/1" % number:
            return client
        assert line.startswith(b"ERROR full "), line
        client.close()
    raise AssertionError("no seat")


@pytest.mark.slow
def test_a_storm_of_connections_is_survived(server: ServerProcess) -> None:
    for _ in range(100):
        server.connect().reset()
    clients = [server.connect() for _ in range(50)]
    lines = [client.line().split()[0] for client in clients]
    assert set(lines) <= {b"WELCOME", b"ERROR"}
    assert lines.count(b"WELCOME") <= 3
    for client in clients:
        client.close()
    wait_until(lambda: server_has_a_seat(server))


def server_has_a_seat(server: ServerProcess) -> bool:
    with server.connect() as client:
        return client.line().startswith(b"WELCOME")


def test_who_still_takes_its_last_reply_keeps_its_own_seat_and_no_longer(folder: Path) -> None:
    with ServerProcess(folder, "--max-clients=1") as server:
        slow = server.connect(receive_buffer=4096)
        slow.send(b"get 1048579.bin\nexit\n")
        server.log_until("was sent")
        assert not server_has_a_seat(server)
        assert len(slow.rest()) > 1_048_579
        assert server_has_a_seat(server)
        slow.close()


# --- files ---


def test_files_of_all_sizes_are_exact(shared_server: ServerProcess, folder: Path) -> None:
    with shared_server.greeted() as client:
        for path in sorted(folder.iterdir()):
            assert fetched(client, path.name) == path.read_bytes()
        assert client.ask(b"list") == b"LIST %d" % len(list(folder.iterdir()))


def test_downloads_at_once_do_not_mix(shared_server: ServerProcess, folder: Path) -> None:
    names = ["big.bin", "1048579.bin", "262145.bin"]
    results: dict[str, bytes] = {}

    def fetch(name: str) -> None:
        with shared_server.greeted() as client:
            results[name] = fetched(client, name)

    threads = [threading.Thread(target=fetch, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert {name: hashlib.sha256(content).digest() for name, content in results.items()} == {
        name: hashlib.sha256((folder / name).read_bytes()).digest() for name in names
    }


def test_a_stalled_reader_delays_nobody_and_costs_little(shared_server: ServerProcess) -> None:
    before = resident(shared_server)
    stalled = [shared_server.greeted() for _ in range(3)]
    for client in stalled:
        client.send(b"get big.bin\n" + b"hello\n" * 10_000)
    with shared_server.greeted() as other:
        for _ in range(100):
            assert other.ask(b"hello") == b"hello ACK"
    assert resident(shared_server) - before < 8 << 20
    for client in stalled:
        client.reset()


def resident(server: ServerProcess) -> int:
    """Bytes of memory that the server has."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def test_a_half_close_gets_every_reply_to_its_last_byte(shared_server: ServerProcess, folder: Path) -> None:
    with shared_server.greeted() as client:
        client.send(b"get big.bin\nhello\nexit")
        client.half_close()
        rest = client.rest()
    content = (folder / "big.bin").read_bytes()
    _, rest = rest.split(b"\n", 1)
    assert rest[:BIG] == content
    assert rest[BIG:].splitlines()[1:-1] == [b"hello ACK"]
    assert rest.splitlines()[-1].startswith(b"BYE ")


def test_a_big_reply_survives_the_close_behind_it(shared_server: ServerProcess, folder: Path) -> None:
    with shared_server.greeted() as client:
        client.send(b"get big.bin\nexit\n" + b"unread\n" * 100_000)
        assert client.line().startswith(b"FILE ")
        assert client.read(BIG) == (folder / "big.bin").read_bytes()
        assert client.rest().splitlines()[-1].startswith(b"BYE ")


@pytest.mark.slow
@pytest.mark.parametrize("half_closed", [False, True])
def test_a_client_that_goes_while_its_file_is_hashed_leaves_its_seat(folder: Path, half_closed: bool) -> None:
    sparse = folder / "sparse"
    sparse.touch()
    os.truncate(sparse, 50_000_000_000)
    try:
        with ServerProcess(folder, "--stall-timeout=2") as server:
            seated = [server.greeted() for _ in range(3)]
            for client in seated:
                client.send(b"hash sparse\nhello\n")
                if half_closed:
                    client.half_close()
                    threading.Event().wait(0.2)  # until the server has seen it, and reads no more
                client.reset()
            wait_until(lambda: server_has_a_seat(server))
    finally:
        sparse.unlink()


@pytest.mark.slow
def test_a_long_listing_arrives_to_its_last_row(folder: Path, tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(1500):
        (many / f"{number:0100}").touch()
    with ServerProcess(many) as server, server.greeted() as client:
        assert client.ask(b"list") == b"LIST 1500"
        assert [client.line().split()[-1] for _ in range(1500)] == [b"%0100d" % number for number in range(1500)]
        assert client.ask(b"hello") == b"hello ACK"


# --- clocks on a real reactor ---


@pytest.mark.slow
def test_who_takes_a_reply_slowly_is_not_idle(folder: Path) -> None:
    with ServerProcess(folder, "--idle-timeout=0.5") as server, server.connect(receive_buffer=4096) as slow:
        slow.line()
        slow.ask(b"get 262145.bin")
        for _ in range(32):
            slow.read(8192)
            threading.Event().wait(0.03)
        slow.read(1)
        assert slow.line().startswith(b"END ")
        threading.Event().wait(0.1)
        assert slow.ask(b"hello") == b"hello ACK"
        assert slow.line().startswith(b"ERROR timeout ")


@pytest.mark.slow
def test_a_reader_that_takes_nothing_is_reset_and_a_slow_one_is_not(folder: Path) -> None:
    with ServerProcess(folder, "--stall-timeout=0.5", "--idle-timeout=0.7", "--max-clients=2") as server:
        stalled, slow = server.connect(receive_buffer=4096), server.connect(receive_buffer=4096)
        began = time.monotonic()
        for client in (stalled, slow):
            client.send(b"get big.bin\n")
        while time.monotonic() - began < 2:
            assert slow.socket.recv(65536)
            threading.Event().wait(0.02)
        assert server.log_until(r"(Client\d+) left: stalled")
        with server.connect() as next_one:
            assert next_one.line().startswith(b"WELCOME")
        slow.close()
        stalled.close()


# --- the end ---


def test_sigterm_tells_the_idle(server: ServerProcess) -> None:
    with server.greeted() as client:
        server.process.send_signal(signal.SIGTERM)
        assert client.line().startswith(b"ERROR shutdown ")
        assert client.line() == b""
    assert server.ended() == -signal.SIGTERM


def is_refused(server: ServerProcess) -> bool:
    try:
        server.connect().close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass  # it had come before the port was closed, and was not accepted any more
    return False


def test_sigterm_lets_a_transfer_finish(server: ServerProcess, folder: Path) -> None:
    with server.greeted() as client:
        header = client.ask(b"get big.bin")
        client.send(b"hello\n")
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(server))
        content = client.read(int(header.split()[1]))
        assert content == (folder / "big.bin").read_bytes()
        assert client.line().startswith(b"END ")
        assert client.line().startswith(b"ERROR shutdown ")
        assert client.line() == b""
    assert server.ended() == -signal.SIGTERM


@pytest.mark.parametrize("options", [["--drain-timeout=0.3"], []])
def test_the_deadline_or_a_second_signal_cuts_what_is_left(folder: Path, options: list[str]) -> None:
    with ServerProcess(folder, *options) as server, server.greeted() as client:
        client.ask(b"get big.bin")
        server.process.send_signal(signal.SIGTERM)
        server.log_until(r"Port \d+ Closed")
        if not options:
            server.process.send_signal(signal.SIGTERM)
        assert server.ended() == -signal.SIGTERM
        with pytest.raises(ConnectionResetError):
            client.rest()


@pytest.mark.slow
def test_the_same_port_can_be_had_again_at_once(server: ServerProcess, folder: Path) -> None:
    with server.greeted() as client:
        server.process.send_signal(signal.SIGTERM)
        client.rest()
        server.ended()
        with ServerProcess(folder, port=f"tcp:{server.port}:interface=127.0.0.1") as again:
            again.greeted().close()


def test_a_taken_port_is_one_plain_line(server: ServerProcess, folder: Path) -> None:
    second = subprocess.run(
        [Path(client_command()[0]).parent / "chatfile-server", "-p", str(server.port)],
        cwd=folder.parent, capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert second.returncode == 1
    assert str(server.port) in second.stderr.decode()
    assert len(second.stderr.decode().splitlines()) == 1
    assert "Traceback" not in second.stdout.decode()


# --- chatfile-client ---


@pytest.mark.slow
def test_the_client_downloads_what_the_server_has(shared_server: ServerProcess, folder: Path, tmp_path: Path) -> None:
    names = [path.name for path in folder.iterdir()]
    done = run_client(tmp_path, "-s", f"127.0.0.1:{shared_server.port}", "get", *names)
    assert (done.returncode, sorted(done.stdout.decode().splitlines())) == (
        0, sorted(f"client_downloads/{name}" for name in names)
    )  # fmt: skip
    for name in names:
        assert (tmp_path / "client_downloads" / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.slow
def test_an_interrupted_download_leaves_130_and_is_resumed(folder: Path, tmp_path: Path) -> None:
    (folder / "huge.bin").touch()
    os.truncate(folder / "huge.bin", 3_000_000_000)
    try:
        with ServerProcess(folder, "--no-digest") as server:
            address = f"127.0.0.1:{server.port}"
            client = subprocess.Popen(client_command("-s", address, "get", "huge.bin"), cwd=tmp_path)
            part = tmp_path / "client_downloads" / ".huge.bin.part"
            wait_until(lambda: part.exists() and part.stat().st_size > 1_000_000)
            client.send_signal(signal.SIGINT)
            assert client.wait(PATIENCE) == 130
            assert sorted(os.listdir(part.parent)) == [".huge.bin.note", ".huge.bin.part"]
            server.log_until("Client01 left")  # while it is being sent, a file that is cut is a fault
            os.truncate(folder / "huge.bin", part.stat().st_size + 10)
            os.utime(folder / "huge.bin", (0, 0))
            done = run_client(tmp_path, "-s", address, "get", "huge.bin")
            assert done.returncode == 0
            assert (part.parent / "huge.bin").stat().st_size == (folder / "huge.bin").stat().st_size
    finally:
        (folder / "huge.bin").unlink()


@pytest.mark.slow
def test_a_killed_server_leaves_no_final_file(folder: Path, tmp_path: Path) -> None:
    with ServerProcess(folder) as server:
        client = subprocess.Popen(
            client_command("-s", f"127.0.0.1:{server.port}", "--timeout=5", "get", "big.bin"),
            cwd=tmp_path, stderr=subprocess.PIPE,
        )  # fmt: skip
        wait_until((tmp_path / "client_downloads").exists)
        server.process.kill()
        _, said = client.communicate(timeout=PATIENCE)
    assert (client.returncode, "Traceback" in said.decode()) in ((6, False), (0, False), (3, False))
    assert (tmp_path / "client_downloads" / "big.bin").exists() == (client.returncode == 0)


def test_piped_lines_are_those_of_the_wire(shared_server: ServerProcess, tmp_path: Path) -> None:
    piped = b"hello\r\nget 1.bin\nhash missing\nGET ein Name, gr\xc3\xbcn.txt\nlist please"
    done = run_client(tmp_path, "-q", "-s", f"localhost:{shared_server.port}", stdin=piped)
    assert (done.returncode, done.stdout.decode().splitlines()) == (
        5,
        ["hello ACK", "client_downloads/1.bin", "client_downloads/ein Name, grün.txt", "list please ACK"],
    )
    assert len(done.stderr.splitlines()) == 1


def test_piped_lines_have_the_grammar_of_the_prompt(shared_server: ServerProcess, tmp_path: Path) -> None:
    piped = "get 0.bin 1.bin\nget 1.bin -o x\nhash '0.bi?'\nls 0*\nsend ls\nlcd x\nget 'a\nquit\nnot read\n"
    done = run_client(tmp_path, "-q", "-s", f"localhost:{shared_server.port}", stdin=piped.encode())
    said = done.stdout.decode().splitlines()
    assert (done.returncode, said[:3], said[3].split()[1:], said[5:]) == (
        2, ["client_downloads/0.bin", "client_downloads/1.bin", "x"], ["0.bin"], ["ls ACK", "lcd x ACK"],
    )  # fmt: skip
    assert done.stderr.decode() == "chatfile-client: A quotation mark is not closed: 'a.\n"


def test_several_names_and_patterns_end_with_one_line(shared_server: ServerProcess, tmp_path: Path) -> None:
    done = run_client(tmp_path, "-s", f"localhost:{shared_server.port}", "get", "0.bi?", "1.bin", "1.bim")
    assert done.returncode == 5
    *_, suggestion, summary = done.stderr.decode().splitlines()
    assert suggestion == 'Did you mean "1.bin"?'
    assert re.fullmatch(r"2 of 3 files, \d+ B in \d+\.\d s; 1 failed\.", summary)
    done = run_client(tmp_path, "-s", f"localhost:{shared_server.port}", "list", "0*", "1.bin")
    assert [line.split()[2] for line in done.stdout.decode().splitlines()] == ["0.bin", "1.bin"]


@pytest.mark.parametrize(
    ("arguments", "code", "output"),
    [
        (["send", "hi there"], 0, b"hi there ACK\n"),
        (["send", ""], 0, b" ACK\n"),
        (["send", "status"], 2, b""),
        (["hash", "missing"], 5, b""),
        (["hash", "0.bin"], 0, hashlib.sha256().hexdigest().encode() + b"  0.bin\n"),
        (["get", "0.bin", "-o", "-"], 0, b""),
        (["get", "0.bin", "-o", "."], 8, b""),
        (["get", "*.bin", "-o", "x"], 2, b""),
        (["-s", "127.0.0.1:1", "list"], 3, b""),
        (["-s", "unix:nowhere", "list"], 3, b""),
    ],
)
def test_exit_codes(
    shared_server: ServerProcess, tmp_path: Path, arguments: list[str], code: int, output: bytes
) -> None:
    server = [] if "-s" in arguments else ["-s", f"127.0.0.1:{shared_server.port}"]
    done = run_client(tmp_path, *server, *arguments)
    assert (done.returncode, done.stdout) == (code, output)
    assert bool(done.stderr) == bool(code)
    assert b"Traceback" not in done.stderr


def test_each_of_several_names_is_tried(shared_server: ServerProcess, tmp_path: Path) -> None:
    done = run_client(
        tmp_path, "-q", "-s", f"127.0.0.1:{shared_server.port}", "get", "missing", "1.bin", "gone", "0.bin"
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (5, 2)
    assert sorted(os.listdir(tmp_path / "client_downloads")) == ["0.bin", "1.bin"]


@pytest.mark.slow
@pytest.mark.parametrize("address", ["tcp:", "unix:a:b=c"])
def test_a_malformed_endpoint_is_a_matter_of_usage(tmp_path: Path, address: str) -> None:
    done = run_client(tmp_path, "-s", address, "list")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


@pytest.mark.slow
@pytest.mark.parametrize("redirection", ["> /dev/full", ">&-"])
def test_output_that_can_not_be_written_is_told(shared_server: ServerProcess, tmp_path: Path, redirection: str) -> None:
    command = " ".join(client_command("-s", f"127.0.0.1:{shared_server.port}", "list")) + redirection
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, timeout=PATIENCE, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (8, 1)


@pytest.mark.slow
def test_notes_that_nobody_can_read_change_nothing(shared_server: ServerProcess, tmp_path: Path) -> None:
    command = (
        " ".join(client_command("-s", f"127.0.0.1:{shared_server.port}", "get", "0.bin", "gone")) + " 2> /dev/full"
    )
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (5, b"client_downloads/0.bin\n")


@pytest.mark.slow
def test_a_full_server_is_code_4_and_worth_waiting_for(server: ServerProcess, tmp_path: Path) -> None:
    clients = [server.greeted() for _ in range(3)]
    address = f"127.0.0.1:{server.port}"
    assert run_client(tmp_path, "-s", address, "list").returncode == 4
    waiting = subprocess.Popen(client_command("-s", address, "--wait", "20", "send", "hi"), stdout=subprocess.PIPE)
    server.log_until(r"(?s)refused.*refused")
    clients.pop().close()
    output, _ = waiting.communicate(timeout=PATIENCE)
    assert (waiting.returncode, output) == (0, b"hi ACK\n")
    for client in clients:
        client.close()


@pytest.mark.slow
def test_a_file_goes_to_standard_output(shared_server: ServerProcess, folder: Path, tmp_path: Path) -> None:
    done = run_client(tmp_path, "-s", f"127.0.0.1:{shared_server.port}", "get", "big.bin", "-o", "-")
    assert (done.returncode, done.stdout == (folder / "big.bin").read_bytes()) == (0, True)
    assert list(tmp_path.iterdir()) == []


def test_a_closed_pipe_ends_quietly(shared_server: ServerProcess, tmp_path: Path) -> None:
    command = " ".join(client_command("-s", f"127.0.0.1:{shared_server.port}", "help")) + " | true"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, timeout=PATIENCE, check=False)
    assert done.stderr == b""


@pytest.mark.slow
def test_a_unix_socket_serves_as_well(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with ServerProcess(folder, port=f"unix:{path}") as server:
        server.log_until("starting on")
        done = run_client(tmp_path, "-s", f"unix:{path}", "status")
        assert (done.returncode, done.stdout.split()[1]) == (0, b"unix")
        assert run_client(tmp_path, "-q", "-s", f"unix:{path}", "get", "big.bin").returncode == 0
