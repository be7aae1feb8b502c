"""The real Redis, on a free port, which can be killed, frozen and started anew."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BufferedRWPair
from pathlib import Path

import pytest

from tests.support.processes import PATIENCE, wait_until

Stream = BufferedRWPair
"""One connection to it."""
needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server here")


def free_port() -> int:
    """One that nobody listens at now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


class Redis:
    """A server that keeps nothing, unless it is told to; its files are in `folder`."""

    def __init__(self, folder: Path, *options: str, password: str = "", tls: bool = False) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._options = options
        self._password = password
        self._tls = tls
        self.port = free_port()
        self.process: subprocess.Popen[bytes]
        self.start()

    def start(self, *options: str) -> None:
        """Start it, at its port, with what it has kept."""
        where = ["--port", "0", "--tls-port"] if self._tls else ["--port"]
        secret = ["--requirepass", self._password] if self._password else []
        self.process = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", *where, str(self.port), "--dir", self.folder, "--save", "",
             "--daemonize", "no", *secret, *self._options, *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
        )  # fmt: skip
        wait_until(self._is_ready)

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, "redis-server has ended"
        try:
            return self._tls or self.ask("PING") in ("PONG", "NOAUTH Authentication required.")
        except OSError:
            return False

    def ask(self, *words: object) -> str:
        """The answer to a command, of which only the first line is read, or a text whole."""
        with self.connected() as stream:
            if self._password:
                exchange(stream, "AUTH", self._password)
            return exchange(stream, *words)

    def connected(self) -> AbstractContextManager[Stream]:
        """A connection, for `exchange`."""
        return connected_at(self.port)

    def key(self, name: str, cluster: str = "chatfile") -> str:
        return f"chatfile:{{{cluster}}}:{name}"

    @property
    def taken(self) -> int:
        """How many seats are taken at it."""
        return int(self.ask("ZCARD", self.key("seats")))

    @property
    def url(self) -> str:
        return f"redis{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)

    def __enter__(self) -> Redis:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


@contextmanager
def connected_at(port: int) -> Iterator[Stream]:
    """A connection to an engine or a Sentinel, for `exchange`."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock, sock.makefile("rwb") as stream:
        yield stream


def ask_at(port: int, *words: object) -> str:
    """The answer to a command there, as `exchange` returns it."""
    with connected_at(port) as stream:
        return exchange(stream, *words)


def exchange(stream: Stream, *words: object) -> str:
    """The answer to a command, of which only the first line is read, or a text whole."""
    texts = [str(word).encode() for word in words]
    stream.write(b"*%d\r\n" % len(texts) + b"".join(b"$%d\r\n%b\r\n" % (len(text), text) for text in texts))
    stream.flush()
    answer = stream.readline().decode().strip()
    if answer[:1] != "$":
        return answer[1:]
    text = stream.read(int(answer[1:]) + 2).removesuffix(b"\r\n") if answer != "$-1" else b""
    return text.decode()
