"""Peers whose network has gone, which say neither anything nor goodbye; and those that are only slow."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT
from tests.support.network_gone import STALL
from tests.support.processes import PATIENCE, ServerProcess

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    served = tmp_path_factory.mktemp("work") / "served"
    served.mkdir()
    (served / "big.bin").write_bytes(os.urandom(30_000_000))
    return served


def namespace() -> list[str]:
    """How to start a program with a network of its own."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        pytest.skip("network namespaces are those of Linux, by unshare(1)")
    for flags in ("-n", "-Urn"):
        tried = subprocess.run(["unshare", flags, "true"], capture_output=True, check=False)
        if tried.returncode == 0:
            return ["unshare", flags]
    pytest.skip(f"no network namespace can be made here: {tried.stderr.decode().strip()}")


@pytest.fixture(scope="module")
def seen(folder: Path) -> dict[str, Any]:
    """What `tests.support.network_gone` has seen."""
    command = [*namespace(), sys.executable, "-m", "tests.support.network_gone", folder]
    root = ROOT
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, timeout=2 * PATIENCE, check=True)
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_a_slow_reader_with_a_small_window_lives(folder: Path) -> None:
    with ServerProcess(folder, "--stall-timeout=0.7") as server, server.connect(receive_buffer=4096) as slow:
        slow.send(b"get big.bin\n")
        began = time.monotonic()
        while time.monotonic() - began < 2:
            assert slow.socket.recv(2000)
            threading.Event().wait(0.1)


@pytest.mark.parametrize(
    ("client", "earliest"),
    [
        ("idle", STALL),  # by the system's probes, for no clock of ours was set
        ("downloading", 0.75 * STALL),  # by the stall clock
        ("speaking", 0.9),  # by the line clock
    ],
)
def test_a_peer_whose_network_has_gone_keeps_its_seat_for_a_limited_time(
    seen: dict[str, Any], client: str, earliest: float
) -> None:
    assert earliest < seen["gone"][client] < 5 * STALL


def test_nothing_is_left_of_peers_whose_network_has_gone(seen: dict[str, Any]) -> None:
    assert seen["closed"] == 3


def test_their_seats_are_free_while_the_network_is_gone_and_when_it_is_back(seen: dict[str, Any]) -> None:
    assert (seen["without_network"], seen["clients"]) == ("hi ACK\n", 6)
