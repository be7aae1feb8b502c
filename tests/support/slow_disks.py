"""A real server on a disk that is slow or hangs for some of its files, and the neighbours of those who ask for them."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import RawClient, ServerProcess

SOURCE = Path(__file__).parent / "slow_disk.c"
HANGS = "hangs"
NO_DELAY = 0.5
"""Seconds that nothing takes which does not wait for the slow disk, on a busy machine: what does waits for longer."""
needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no cc here")


class SlowDisk:
    """The folder that is served, and what is slow of it."""

    def __init__(self, folder: Path, library: Path) -> None:
        self.folder = folder / "served"
        self.folder.mkdir()
        self._library = library
        self._gate = folder / "gate"
        self.put("small", b"small")

    def put(self, name: str, content: bytes) -> None:
        (self.folder / name).write_bytes(content)

    @contextmanager
    def served(self, rules: str, *options: str, clients: int = 4) -> Iterator[ServerProcess]:
        """A server for which `rules` hold (see `slow_disk.c`); what hangs goes on at the end."""
        environment = {"LD_PRELOAD": str(self._library), "SLOW_DISK": rules, "SLOW_DISK_GATE": str(self._gate)}
        with ServerProcess(self.folder, f"--max-clients={clients}", *options, environment=environment) as server:
            self._gate.touch()  # only now: the folder is looked at before the server starts
            try:
                yield server
            finally:
                self.recover()

    def recover(self) -> None:
        """What hangs goes on."""
        self._gate.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("library") / "slow_disk.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    return library


@pytest.fixture
def slow_disk(tmp_path: Path, library: Path) -> SlowDisk:
    return SlowDisk(tmp_path, library)


def seconds_of(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def list_all(client: RawClient) -> list[bytes]:
    """The rows of a listing."""
    header = client.ask(b"list")
    assert header.startswith(b"LIST "), header
    return [client.line() for _ in range(int(header.split()[1]))]


def get(client: RawClient, name: bytes) -> bytes:
    """A whole file, to its END."""
    header = client.ask(b"get " + name)
    assert header.startswith(b"FILE "), header
    body = client.read(int(header.split()[1]))
    end = client.line()
    assert end.startswith(b"END "), end
    return body


def is_not_delayed(client: RawClient, disk: SlowDisk, *, lists: bool = True) -> None:
    """Whatever this client asks of files that are not slow is answered as if nobody else were there."""
    longest: dict[str, float] = {}
    for _ in range(3):
        (disk.folder / "small").touch()  # or its digest is known
        asked: dict[str, Callable[[], object]] = {
            "message": lambda: client.ask(b"hello"),
            "get of a missing name": lambda: client.ask(b"get missing"),
            "get": lambda: get(client, b"small"),
            "hash": lambda: client.ask(b"hash small"),
        }
        if lists:
            asked["list"] = lambda: list_all(client)
        for what, ask in asked.items():
            longest[what] = max(longest.get(what, 0), seconds_of(ask))
    assert all(seconds < NO_DELAY for seconds in longest.values()), longest
