"""Where the server listens: bursts of connections, and what an earlier server left in the file system."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from chatfile.listening import LOCK_TIMEOUT, claim_socket_path, unix_path
from tests.support.processes import PATIENCE, ServerProcess, wait_until
from tests.support.started import program, said

BURST = 300
ANOTHER = "1"
"""The number of a process that is there, and is not ours."""


# --- many at once ---


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    served = tmp_path / "served"
    served.mkdir()
    return served


def wait_in_line(family: socket.AddressFamily, address: object, count: int) -> int:
    """How many of so many who connect at once have a connection, or will have one without trying again."""
    with ExitStack() as stack:
        poll, connected = select.poll(), 0
        for _ in range(count):
            one = stack.enter_context(socket.socket(family))
            one.setblocking(False)
            with suppress(BlockingIOError):  # of TCP, it is under way; of a UNIX socket, there is no room
                one.connect(address)
                connected += 1
                continue
            if family is socket.AF_INET:
                poll.register(one, select.POLLOUT)
        ready = connected
        while ready < count and (events := poll.poll(200)):
            for descriptor, _ in events:
                poll.unregister(descriptor)
            ready += len(events)
        return ready


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems count in other ways")
@pytest.mark.parametrize(
    ("port", "tls", "waiting"),
    [
        ("tcp:0:interface=127.0.0.1", False, BURST),
        pytest.param("tcp:0:interface=127.0.0.1", True, BURST, marks=pytest.mark.slow),
        ("unix:socket", False, BURST),
        pytest.param("tcp:0:interface=127.0.0.1:backlog=20", False, 21, marks=pytest.mark.slow),
        pytest.param("unix:socket:backlog=50", False, 51, marks=pytest.mark.slow),
    ],
)
def test_who_comes_in_a_burst_waits_for_a_server_that_is_busy(folder: Path, port: str, tls: bool, waiting: int) -> None:
    options = []
    if tls:
        pytest.importorskip("OpenSSL", reason="TLS needs chatfile[tls]")
        from tests.support.certificates import Papers

        options = [f"--certificate={Papers(folder.parent).good}"]
    with ServerProcess(folder, *options, port=port) as server:
        server.process.send_signal(signal.SIGSTOP)
        try:
            if server.port:
                assert wait_in_line(socket.AF_INET, ("127.0.0.1", server.port), BURST) == waiting
            else:
                assert wait_in_line(socket.AF_UNIX, str(folder.parent / "socket"), BURST) == waiting
        finally:
            server.process.send_signal(signal.SIGCONT)
        if tls:
            server.port = 0  # nobody may ask there, plainly, for who is still connected


# --- what is left over ---


@pytest.mark.parametrize(
    ("description", "path"),
    [
        ("unix:socket", "socket"),
        ("unix:/run/a socket:mode=660", "/run/a socket"),
        ("haproxy:unix:socket", "socket"),
        ("unix:mode=660:address=socket", "socket"),
        (r"unix:a\:b\\c:backlog=9", "a:b\\c"),
        ("unix:socket:lockfile=0", None),
        ("unix:\0abstract", None),
        ("tcp:5000", None),
        ("systemd:domain=UNIX:index=0", None),
    ],
)
def test_the_path_of_a_socket_is_known_by_its_description(description: str, path: str | None) -> None:
    assert unix_path(description) == path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "socket"


@pytest.fixture
def listener(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        yield listener


def leave_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
        gone.listen()


def leave_lock(path: Path, number: str = ANOTHER) -> None:
    Path(f"{path}.lock").symlink_to(number)


LEFT: dict[str, list[Callable[[Path], None]]] = {
    "nothing": [],
    "a socket": [leave_socket],
    "a lock of another's number": [leave_lock],
    "both": [leave_socket, leave_lock],
    "a lock of our number": [leave_socket, lambda path: leave_lock(path, str(os.getpid()))],
    "a lock of no number": [leave_socket, lambda path: leave_lock(path, "nonsense")],
    "a lock of an impossible number": [leave_socket, lambda path: leave_lock(path, "9" * 30)],
}


@pytest.mark.parametrize("left", LEFT)
def test_what_nobody_uses_is_removed(path: Path, left: str) -> None:
    for leave in LEFT[left]:
        leave(path)
    with claim_socket_path(str(path)):
        assert os.listdir(path.parent) == []


def be_silent(path: Path) -> None:
    pass


@pytest.mark.parametrize("lock", [be_silent, leave_lock])
@pytest.mark.parametrize("pending", [0, 5])
def test_where_somebody_listens_nothing_is_touched(
    path: Path, listener: socket.socket, lock: Callable[[Path], None], pending: int
) -> None:
    lock(path)
    listener.listen(1)
    with ExitStack() as stack:
        for _ in range(pending):
            one = stack.enter_context(socket.socket(socket.AF_UNIX))
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(str(path))
        before = sorted(os.listdir(path.parent))
        with pytest.raises(OSError, match="in use"), claim_socket_path(str(path)):
            raise AssertionError
    assert sorted(os.listdir(path.parent)) == before


@pytest.mark.parametrize("where", ["socket", "socket.lock"])
@pytest.mark.parametrize("put", [Path.touch, Path.mkdir, lambda path: path.symlink_to("elsewhere"), leave_socket])
def test_what_is_no_socket_and_no_lock_is_left_alone(path: Path, where: str, put: Callable[[Path], None]) -> None:
    found = path.parent / where
    put(found)
    is_ours = found.is_socket() if where == "socket" else found.is_symlink()
    with suppress(OSError) if is_ours else pytest.raises(OSError, match="something else"), claim_socket_path(str(path)):
        pass
    assert os.path.lexists(found) is not is_ours


def test_a_socket_of_another_kind_that_is_in_use_is_left_alone(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        with pytest.raises(OSError, match="in use"), claim_socket_path(str(path)):
            raise AssertionError
    assert path.is_socket()


def test_of_two_that_start_at_once_only_one_removes_what_is_left(path: Path) -> None:
    refused = []

    def start() -> None:
        try:
            with claim_socket_path(str(path)):
                pass
        except OSError as error:
            refused.append(error.errno)

    leave_socket(path)
    second = threading.Thread(target=start)
    with socket.socket(socket.AF_UNIX) as first:
        with claim_socket_path(str(path)):
            first.bind(str(path))  # and does not listen yet, so that it looks as if it were left over
            second.start()
            second.join(LOCK_TIMEOUT / 5)
            assert second.is_alive()
            assert path.is_socket()
            first.listen()
        second.join()
    assert refused == [errno.EADDRINUSE]


@pytest.mark.slow
def test_whoever_else_has_locked_the_folder_keeps_no_server_down(path: Path) -> None:
    leave_socket(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        began = time.monotonic()
        with claim_socket_path(str(path)):
            assert not path.exists()
        assert time.monotonic() - began < 2 * LOCK_TIMEOUT
    finally:
        os.close(descriptor)


@pytest.mark.slow
def test_a_server_that_was_killed_is_there_again_though_its_number_is_another_s(tmp_path: Path, path: Path) -> None:
    leave_socket(path)
    leave_lock(path)
    command = [program("twistd"), "-n", "--pidfile=", "chatfile", "-p", "unix:socket"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as server:
        wait_until(lambda: bool(said(path)))
        second = subprocess.run(
            [*command[:2], "--pidfile=", *command[3:]], cwd=tmp_path, capture_output=True, timeout=PATIENCE, check=False
        )
        assert second.returncode == 1
        assert second.stderr.count(b"\n") == 1
        assert b"unix:socket" in second.stderr
        assert said(path, b"hello")[1] == b"hello ACK"
        server.send_signal(signal.SIGTERM)
        assert server.communicate(timeout=PATIENCE)
    assert not path.exists()
    assert not os.path.lexists(f"{path}.lock")


def served_at(path: Path) -> subprocess.Popen[bytes]:
    command = [program("twistd"), "-n", "--pidfile=", "chatfile", "-p", f"unix:{path}"]
    server = subprocess.Popen(command, cwd=path.parent, stdout=subprocess.DEVNULL)
    wait_until(lambda: bool(said(path)))
    return server


def end(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGTERM)
    assert server.wait(PATIENCE) == -signal.SIGTERM


@pytest.mark.slow
def test_who_ends_leaves_the_socket_of_who_has_taken_its_place(path: Path) -> None:
    with served_at(path) as first:
        path.unlink()
        with served_at(path) as second:
            end(first)
            assert said(path, b"hello")[1] == b"hello ACK"
            end(second)
    assert not path.exists()
    assert not os.path.lexists(f"{path}.lock")


@pytest.mark.slow
def test_who_ends_leaves_the_socket_that_systemd_has_made(path: Path, listener: socket.socket) -> None:
    listener.listen()
    command = ["sh", "-c", 'LISTEN_PID=$$ exec "$@" 3<&0 0</dev/null', "sh", program("chatfile-server")]
    environment = os.environ | {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "chatfile"}
    for _ in range(2):
        with subprocess.Popen(
            [*command, "-p", "systemd:domain=UNIX:index=0"], cwd=path.parent, stdin=listener, env=environment,
            stdout=subprocess.DEVNULL,
        ) as server:  # fmt: skip
            assert said(path, b"hello")[1] == b"hello ACK"
            end(server)
