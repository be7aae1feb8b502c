"""What the benchmarks of one run share: sizes, folders, the file that is served, the compiled programs."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.native import Programs
from tests.support.processes import RawClient

MEMORY = Path("/dev/shm")
"""Where files are in memory."""
DATA = "data.bin"
MIB = 1 << 20
GIB = 1 << 30
SETTLED = 2.5
"""Seconds after its last change from which on the server keeps a file's digest, and a little more."""


@dataclass(frozen=True, slots=True)
class Session:
    """`size` of the large file in bytes, `runs` of each side, `seconds` of each run that has no natural end."""

    size: int
    runs: int
    seconds: float
    scratch: Path
    """On an ordinary disk: files to serve, configurations, logs."""
    memory: Path
    """In memory: what is downloaded."""
    programs: Programs

    @property
    def folder(self) -> Path:
        """The folder that holds `data`."""
        return self.data.parent

    @property
    def data(self) -> Path:
        """A file of `size` random bytes, written out, and in the page cache."""
        path = self.scratch / "files" / DATA
        if not path.exists():
            path.parent.mkdir()
            write_random(path, self.size)
        return path

    @property
    def in_memory(self) -> Path:
        """A folder in memory that holds the same `DATA`."""
        folder = self.memory / "files"
        if not folder.exists():
            folder.mkdir()
            shutil.copyfile(self.data, folder / DATA)
            self.memory.chmod(0o755)
        return folder

    def warm(self) -> None:
        """Bring `data` back into memory, as far as the system has taken it out since."""
        with self.data.open("rb", buffering=0) as file:
            while file.read(MIB):
                pass

    def target(self, name: str) -> Path:
        """Where a download goes that replaces nothing."""
        path = self.memory / name
        path.unlink(missing_ok=True)
        return path


@contextmanager
def session(size: int, runs: int, seconds: float, folder: Path | None) -> Iterator[Session]:
    """Folders that are removed at the end; `folder` is where those on disk are made."""
    scratch = Path(tempfile.mkdtemp(prefix="chatfile-bench-", dir=folder))
    try:
        memory = Path(tempfile.mkdtemp(prefix="chatfile-bench-", dir=MEMORY))
        try:
            scratch.chmod(0o755)  # vsftpd reads as a user without rights
            yield Session(size, runs, seconds, scratch, memory, Programs(scratch))
        finally:
            shutil.rmtree(memory)
    finally:
        shutil.rmtree(scratch)


def write_random(path: Path, size: int) -> None:
    """A file that nothing can compress, on the disk when this returns, and still in memory."""
    with path.open("wb") as file:
        for start in range(0, size, MIB):
            file.write(os.urandom(min(MIB, size - start)))
        file.flush()
        os.fsync(file.fileno())
    path.chmod(0o644)


def talk(port: int) -> RawClient:
    """A client of chatfile that has read its greeting and waits as long as it takes."""
    client = RawClient(port)
    client.socket.settimeout(None)
    if not client.line().startswith(b"WELCOME "):
        raise RuntimeError("no greeting")
    return client


def keep_digest(port: int, path: Path) -> None:
    """Let the server compute the digest of a file, at a time from which on it keeps it."""
    time.sleep(max(0.0, path.stat().st_ctime + SETTLED - time.time()))
    with talk(port) as client:
        reply = client.ask(f"hash {path.name}".encode())
        client.socket.shutdown(socket.SHUT_RDWR)
    if not reply.startswith(b"HASH "):
        raise RuntimeError(reply.decode())
