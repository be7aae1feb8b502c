"""What is forked does what is started does."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from tests.support.forked import Forked
from tests.support.leftovers import open_descriptors
from tests.support.processes import ServerProcess, client_command, run_client

OWN = {"OF_ITS_OWN": "1"}
"""An environment that takes a real start."""


@pytest.mark.parametrize("arguments", [["--version"], ["get"], ["-s", "127.0.0.1:1", "list"]])
def test_it_says_the_same_and_ends_with_the_same_status(tmp_path: Path, arguments: list[str]) -> None:
    forked, started = run_client(tmp_path, *arguments), run_client(tmp_path, *arguments, environment=OWN)
    assert (forked.returncode, forked.stdout, forked.stderr) == (started.returncode, started.stdout, started.stderr)


def test_a_server_has_the_same_open_and_ends_by_the_same_signal(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    statuses, descriptors = [], []
    for environment in ({}, OWN):
        with ServerProcess(tmp_path / "served", environment=environment) as server:
            with server.greeted():  # when a server has closed a connection that has gone, nobody knows
                opened = open_descriptors(server.process.pid).values()
            descriptors.append(sorted(what.partition(":")[0] for what in opened))
            assert isinstance(server.process, Forked) is (environment == {})
            server.process.send_signal(signal.SIGTERM)
            statuses.append(server.ended())
    assert statuses == [-signal.SIGTERM] * 2
    assert descriptors[0] == descriptors[1]


def test_what_is_killed_has_that_status(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, open("/dev/null", "r+b") as nothing:
        command = client_command("-s", "{}:{}".format(*silent.getsockname()), "list")
        process = Forked(command, tmp_path, [nothing.fileno()] * 3)
        silent.accept()[0].close()
        process.kill()
        assert process.wait(20) in (-signal.SIGKILL, 3)
        process.kill()  # nobody
        assert process.poll() == process.returncode
