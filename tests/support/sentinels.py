"""A master, its replica, and the Sentinels that see to it that there is a master."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.processes import wait_until
from tests.support.redis import Redis, ask_at, free_port

needs_sentinel = pytest.mark.skipif(shutil.which("redis-sentinel") is None, reason="there is no redis-sentinel here")
NAME = "shared"
QUORUM = 2


class Sentinels:
    """Three Sentinels over two engines; a master that says nothing for half a second is replaced."""

    def __init__(self, folder: Path) -> None:
        self._stack = ExitStack()
        self.engines = [self._stack.enter_context(Redis(folder / name)) for name in ("one", "two")]
        self.engines[1].ask("REPLICAOF", "127.0.0.1", self.engines[0].port)
        wait_until(lambda: "master_link_status:up" in self.engines[1].ask("INFO", "replication"))
        self.ports = [free_port() for _ in range(3)]
        self._processes = [self._start(folder, port) for port in self.ports]
        wait_until(lambda: all(map(self._knows_all, self.ports)))

    def _start(self, folder: Path, port: int) -> subprocess.Popen[bytes]:
        file = folder / f"{port}.conf"
        file.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor {NAME} 127.0.0.1 {self.engines[0].port} {QUORUM}\n"
            f"sentinel down-after-milliseconds {NAME} 500\nsentinel failover-timeout {NAME} 2000\n"
        )
        return subprocess.Popen(["redis-sentinel", file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _knows_all(self, port: int) -> bool:
        try:
            info = ask_at(port, "INFO", "sentinel")
        except OSError:
            return False
        return f"name={NAME},status=ok" in info and "slaves=1,sentinels=3" in info

    @property
    def url(self) -> str:
        return "sentinel://" + ",".join(f"127.0.0.1:{port}" for port in self.ports) + f"/{NAME}"

    def kill_one(self) -> None:
        """Kill the Sentinel that is asked first."""
        self._processes[0].kill()

    def __enter__(self) -> Sentinels:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._processes:
            each.kill()
            each.wait()
        self._stack.close()
