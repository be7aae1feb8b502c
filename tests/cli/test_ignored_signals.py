"""Signals that are ignored where a client is started stay ignored: by nohup, or with `&` in a script."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import ServerProcess, client_command
from tests.support.terminals import CTRL_D, ENTER, PROMPT, Terminal

pytestmark = pytest.mark.slow
SIZE = 3_000_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    served = tmp_path_factory.mktemp("work") / "served"
    served.mkdir()
    (served / "huge").touch()
    os.truncate(served / "huge", SIZE)
    with ServerProcess(served, "--no-digest") as server:
        yield server


def ignoring(number: signal.Signals, *command: str) -> list[str]:
    return ["sh", "-c", 'trap "" "$0"; exec "$@"', number.name.removeprefix("SIG"), *command]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT])
def test_a_prompt_goes_on_in_spite_of_a_signal_that_is_ignored(
    server: ServerProcess, tmp_path: Path, number: signal.Signals
) -> None:
    command = client_command("-s", f"127.0.0.1:{server.port}")
    with Terminal(*ignoring(number, *command), folder=tmp_path) as terminal:
        terminal.see(PROMPT)
        terminal.process.send_signal(number)
        terminal.type(f"hello{ENTER}")
        terminal.see("hello ACK")
        terminal.type(CTRL_D)
        assert terminal.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_download_goes_on_in_spite_of_a_signal_that_is_ignored(
    server: ServerProcess, tmp_path: Path, number: signal.Signals
) -> None:
    command = client_command("-s", f"127.0.0.1:{server.port}", "get", "huge", "-o", "-")
    with subprocess.Popen(ignoring(number, *command), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:
        assert client.stdout is not None
        came = len(client.stdout.read(1_000_000))
        for _ in range(2):
            client.send_signal(number)
            came += len(client.stdout.read(1_000_000))
        client.kill()
    assert came == 3_000_000
