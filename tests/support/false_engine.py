"""Something at the engine's port that is no engine."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

Answers = Callable[[bytes], Iterator[bytes]]
"""What it says when it has heard something; nothing has been heard yet in the first call of a connection."""


class FalseEngine:
    """Answers as it is told, until whoever asks has gone; with None it closes at once."""

    def __init__(self, answers: Answers | None) -> None:
        self.answers = answers
        self.count = 0
        """How many connections there were."""
        self._open: list[socket.socket] = [socket.create_server(("127.0.0.1", 0))]
        self.port: int = self._open[0].getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        with self._open[0] as listening, contextlib.suppress(OSError):
            while True:
                connection = listening.accept()[0]
                self.count += 1
                self._open.append(connection)
                self._threads.append(threading.Thread(target=self._talk, args=(connection,)))
                self._threads[-1].start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            data = b""
            while self.answers is not None:
                for answer in self.answers(data):
                    connection.sendall(answer)
                data = connection.recv(65_536)
                if not data:
                    return

    def __enter__(self) -> FalseEngine:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
