"""A server's process whose calls to the system fail, as strace has it: what no seam in Python reaches.

Whatever it is, a download is whole and verified or an error that says so, a neighbour is answered, and when the tracer
has gone, the server goes on as if nothing had been. `ServerProcess` sees to it that no seat and no descriptor is left.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import RawClient, ServerProcess
from tests.support.serving import OLD
from tests.support.tracing import Injection, traced

BIG = bytes(range(251)) * 80_000
SERVED = {"big": BIG, "small": BIG[:1000], "other": BIG[1:]}
AMONG_OTHERS = "1+2"
"""Every other call; or it would be no fault that passes."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    served = tmp_path / "served"
    served.mkdir()
    for name, content in SERVED.items():
        (served / name).write_bytes(content)
        os.utime(served / name, (OLD, OLD))
    with ServerProcess(served, "--max-clients=9", "--stall-timeout=5") as server:
        yield server


def fetched(client: RawClient, name: str) -> bytes | None:
    """A file that is whole and verified, `None` for an error or a reset that says that it is not to be had."""
    try:
        header = client.ask(b"get " + name.encode())
        if not header.startswith(b"FILE "):
            assert header.startswith((b"ERROR unavailable ", b"ERROR internal ")), header
            return None
        content, end = client.read(int(header.split()[1])), client.line()
    except ConnectionResetError:
        return None
    if end.startswith(b"ERROR changed "):
        return None
    assert end == b"END " + hashlib.sha256(content).hexdigest().encode()
    return content


def assert_goes_on(server: ServerProcess, neighbour: RawClient) -> None:
    assert neighbour.ask(b"hello") == b"hello ACK"
    for name, content in SERVED.items():
        assert fetched(neighbour, name) == content
    with server.greeted() as newcomer:
        assert newcomer.ask(b"list") == b"LIST 3"
        assert [newcomer.line().rpartition(b" ")[2] for _ in SERVED] == [b"big", b"other", b"small"]


PASSING = {
    "accept4": ["EINTR", "EAGAIN", "ECONNABORTED"],
    "epoll_wait": ["EINTR"],
    "recvfrom": ["EAGAIN", "EINTR"],
    "sendto": ["EAGAIN", "EINTR"],
    "sendfile": ["EAGAIN", "EINTR"],
    "preadv,preadv2,pread64": ["EINTR"],
    "openat": ["EINTR"],
}
"""Signals, other processes and full buffers make these fail: the call is made again, or there is another way."""
QUICK = {("sendfile", "EAGAIN")}


def passing() -> Iterator[object]:
    for calls, errors in PASSING.items():
        for error in errors:
            is_quick = (calls, error) in QUICK
            yield pytest.param(calls, error, marks=[] if is_quick else [pytest.mark.slow], id=f"{calls}-{error}")


@pytest.mark.parametrize(("calls", "error"), list(passing()))
def test_what_passes_is_borne(server: ServerProcess, tmp_path: Path, calls: str, error: str) -> None:
    injection = Injection(tmp_path, calls, f"error={error}:when={AMONG_OTHERS}")
    neighbour = server.greeted()
    with traced(server, *injection.options):
        assert neighbour.ask(b"hello") == b"hello ACK"
        with server.greeted() as client:
            for name, content in SERVED.items():
                assert fetched(client, name) == content
            assert client.ask(b"list") == b"LIST 3"
        assert neighbour.ask(b"hello") == b"hello ACK"
    assert injection.count
    assert_goes_on(server, neighbour)


STAYING = {
    "openat": ["EIO", "EMFILE", "ENFILE", "ESTALE"],
    "newfstatat": ["EIO", "ESTALE"],
    "preadv,preadv2,pread64": ["EIO", "ESTALE"],
    "sendfile": ["EIO", "ENOMEM", "EOVERFLOW", "EINVAL"],
    "getdents64": ["EIO"],
    "dup": ["EMFILE"],
    "fadvise64": ["EINVAL"],
    "clone3,clone": ["EAGAIN"],
}
"""Disks that fail, and what has run out.

Not among them is what can't be in reality: strace keeps a call from being made, and a `close` that fails closes.
"""


@pytest.mark.slow
@pytest.mark.parametrize(("calls", "error"), [(calls, error) for calls, them in STAYING.items() for error in them])
@pytest.mark.parametrize("when", ["1+", "3+"])
def test_what_stays_is_told_and_over_when_it_is_over(
    server: ServerProcess, tmp_path: Path, calls: str, error: str, when: str
) -> None:
    server.may_fail = True  # a file that breaks off is told in the log
    injection = Injection(tmp_path, calls, f"error={error}:when={when}")
    neighbour = server.greeted()
    with traced(server, *injection.options):
        for name, content in SERVED.items():
            with server.connect() as client:
                assert client.line().startswith(b"WELCOME ")
                assert fetched(client, name) in (content, None)
                assert neighbour.ask(b"hello") == b"hello ACK"
    assert_goes_on(server, neighbour)
    assert "Traceback" not in server.log


@pytest.mark.slow
@pytest.mark.parametrize("error", ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EPROTO", "EPERM"])
def test_while_nobody_can_be_accepted_those_inside_are_served(
    server: ServerProcess, tmp_path: Path, error: str
) -> None:
    server.may_fail = True
    injection = Injection(tmp_path, "accept4", f"error={error}:when=1+")
    neighbour = server.greeted()
    with traced(server, *injection.options), server.connect():
        for name, content in SERVED.items():
            assert fetched(neighbour, name) == content
    assert injection.count
    assert_goes_on(server, neighbour)


@pytest.mark.slow
@pytest.mark.parametrize(("calls", "error"), [("recvfrom", "ECONNRESET"), ("sendto", "EPIPE"), ("sendfile", "EPIPE")])
def test_a_connection_that_breaks_is_nobody_elses(
    server: ServerProcess, tmp_path: Path, calls: str, error: str
) -> None:
    injection = Injection(tmp_path, calls, f"error={error}:when=1")
    neighbour = server.greeted()
    with server.greeted() as client:
        with traced(server, *injection.options):
            assert fetched_or_gone(client, "big") is None
            assert neighbour.ask(b"hello") == b"hello ACK"
        assert injection.count
    assert_goes_on(server, neighbour)


def fetched_or_gone(client: RawClient, name: str) -> bytes | None:
    """The same, where the connection may just end, before anything was promised."""
    try:
        header = client.ask(b"get " + name.encode())
        content = client.read(int(header.split()[1])) if header else b""
        return content if header and len(content) == int(header.split()[1]) else None
    except (ConnectionResetError, BrokenPipeError):
        return None
