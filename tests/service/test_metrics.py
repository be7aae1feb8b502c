"""`--metrics` of the real server: where it listens, for how long, and that it costs nobody anything without it."""

from __future__ import annotations

import contextlib
import http.client
import importlib
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from twisted.python.usage import UsageError

from chatfile.options import METRICS_CONNECTIONS, Options
from tests.support import ROOT
from tests.support.processes import PATIENCE, RawClient, ServerProcess, wait_until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    with open(folder / "large", "wb") as file:
        file.truncate(30_000_000)
    return folder


# --- the option ---


def refusal(*arguments: str) -> str:
    with pytest.raises(UsageError) as raised:
        Options().parseOptions(list(arguments))
    message = str(raised.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("value", ["65536", "nonsense", "", "tcp:x", "nonsense:1", "-1"])
def test_a_bad_address_is_told(folder: Path, value: str) -> None:
    assert refusal("-f", str(folder), f"--metrics={value}").startswith("--metrics: ")


def test_a_number_is_a_port_of_this_machine_alone(folder: Path) -> None:
    options = Options()
    options.parseOptions(["-f", str(folder), "--metrics=9100"])
    assert options["metrics-endpoint"] == "tcp:9100:interface=127.0.0.1"


def test_what_is_not_installed_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatfile.options.nodes.find_spec", lambda _: None)
    assert "pip install" in refusal("-f", str(folder), "--metrics=0")


def test_its_connections_have_descriptors_of_their_own(folder: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = limit - 32 - METRICS_CONNECTIONS
    Options().parseOptions(["-f", str(folder), "--metrics=0", f"--max-clients={most}"])
    assert "ulimit" in refusal("-f", str(folder), "--metrics=0", f"--max-clients={most + 1}")


IMPORTED = """
import sys
from chatfile.service import Options, makeService
options = Options()
options.parseOptions(sys.argv[1:])
makeService(options)
print(*sys.modules)
"""


def test_without_it_nothing_of_it_is_loaded(folder: Path) -> None:
    command = [sys.executable, "-c", IMPORTED, "-f", str(folder)]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    importlib.import_module("chatfile.metrics")
    for name in ("chatfile.metrics", "prometheus_client", "twisted.web"):
        assert name in sys.modules
        assert name not in loaded


# --- the port ---


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[ServerProcess, int]]:
    with ServerProcess(folder, "--metrics=0", *options) as server:
        yield server, int(server.log_until(r"Metrics at 127.0.0.1:(\d+)"))


def ask(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def value(port: int, name: str) -> float:
    _, text = ask(port, "/metrics")
    return next(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name} "))


def test_a_full_server_is_seen_and_its_downloads_as_they_go(folder: Path) -> None:
    with serving(folder, "-n", "1") as (server, port):
        with server.greeted() as client:
            client.send(b"get large\n")
            client.read(1_000_000)
            assert server.connect().line().startswith(b"ERROR full ")
            assert ask(port, "/health") == (200, "ok\n")
            assert (value(port, "chatfile_seats_taken"), value(port, "chatfile_transfers_in_progress")) == (1, 1)
            assert 1_000_000 <= value(port, "chatfile_sent_bytes_total") < 30_000_000
            assert value(port, 'chatfile_refused_total{code="full"}') == 1
            assert "Client01" in ask(port, "/")[1]
        wait_until(lambda: value(port, "chatfile_seats_taken") == 0)
        assert ask(port, "/", "POST")[0] == 405
        assert "/health" not in server.log


def test_health_says_so_until_the_last_client_of_a_drain_has_gone(folder: Path) -> None:
    with serving(folder, "--drain-timeout=0") as (server, port), server.greeted() as client:
        client.send(b"get large\n")
        came = len(client.read(1_000_000))
        server.process.terminate()
        wait_until(lambda: ask(port, "/health")[0] == 404)
        wait_until(lambda: is_closed(server.port))
        assert ask(port, "/health")[0] == 404
        assert value(port, "chatfile_draining") == value(port, "chatfile_transfers_in_progress") == 1
        assert "going down" in ask(port, "/")[1]
        came += len(client.rest())
        server.ended()
        assert is_closed(port)
    assert came > 30_000_000


def is_closed(port: int) -> bool:
    try:
        RawClient(port).close()
    except ConnectionRefusedError:
        return True
    return False


def test_strangers_without_number_take_few_descriptors_and_keep_nobody_out(folder: Path) -> None:
    """They begin to ask, and go on with a byte now and then."""
    with serving(folder) as (server, port), server.greeted() as client, ExitStack() as ending:
        before = descriptors(server)
        strangers = [ending.enter_context(closing(begin_to_ask(port))) for _ in range(20 * METRICS_CONNECTIONS)]
        for _ in range(10):
            for stranger in strangers:
                with contextlib.suppress(OSError):  # it had to go
                    stranger.send(b"x")
            assert ask(port, "/health") == (200, "ok\n")
            assert client.ask(b"hello") == b"hello ACK"
        assert descriptors(server) <= before + METRICS_CONNECTIONS


def begin_to_ask(port: int) -> socket.socket:
    stranger = socket.create_connection(("127.0.0.1", port), PATIENCE)
    stranger.send(b"GET /metrics HTTP/1.1\r\nX: ")
    return stranger


def descriptors(server: ServerProcess) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))
