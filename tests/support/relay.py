"""A way to a port through which a test decides what passes, and when: a network that can fail."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

Change = Callable[[bytes], bytes]
_RESET = b"\1\0\0\0\0\0\0\0"
_PIECE = 65_536


class Passage:
    """One connection through the relay: a gate for each direction; what comes to a closed one is kept, not lost."""

    def __init__(self, relay: Relay, near: socket.socket, far: socket.socket) -> None:
        self.up, self.down = threading.Event(), threading.Event()
        self.sent = b""
        self.is_over = False
        self._relay = relay
        self._sockets = near, far
        self._is_cut = False
        for each in (near, far):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def open(self) -> None:
        self.up.set()
        self.down.set()

    def freeze(self) -> None:
        self.up.clear()
        self.down.clear()

    def cut(self) -> None:
        """Reset both ends, and drop what is kept."""
        self._is_cut = True
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                each.shutdown(socket.SHUT_RD)
        self.open()

    def run(self) -> None:
        near, far = self._sockets
        ways = [
            threading.Thread(target=self._carry, args=(near, far, self.up, self._on_its_way_up)),
            threading.Thread(target=self._carry, args=(far, near, self.down, self._on_its_way_down)),
        ]
        for each in ways:
            each.start()
        for each in ways:
            each.join()
        near.close()
        far.close()
        self.is_over = True

    def _carry(self, source: socket.socket, sink: socket.socket, gate: threading.Event, change: Change) -> None:
        """Whoever has gone meanwhile, what it has sent arrives."""
        with contextlib.suppress(OSError):
            while data := _received(source):
                data = change(data)
                gate.wait()
                if self._is_cut:
                    return
                sink.sendall(data)
            gate.wait()
            sink.shutdown(socket.SHUT_RDWR)

    def _on_its_way_up(self, data: bytes) -> bytes:
        self.sent += data
        if self._relay.stops_at and self._relay.stops_at in self.sent:
            self.up.clear()
        return data

    def _on_its_way_down(self, data: bytes) -> bytes:
        return self._relay.change(data)


def _received(source: socket.socket) -> bytes:
    try:
        return source.recv(_PIECE)
    except ConnectionResetError:
        return b""


class Relay:
    """Passes on to `target`; `stops_at` are bytes of which a connection that sends them gets no further."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.stops_at = b""
        self.change: Change = lambda data: data
        self.passages: list[Passage] = []
        self.is_silent = False
        """Whether it accepts, and nothing happens then."""
        self.is_frozen = False
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._silent: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._pass_on(self._listening.accept()[0])

    def _pass_on(self, near: socket.socket) -> None:
        if self.is_silent:
            self._silent.append(near)
            return
        try:
            far = socket.create_connection(("127.0.0.1", self.target), 5)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        passage = Passage(self, near, far)
        if not self.is_frozen:
            passage.open()
        self.passages.append(passage)
        self._threads.append(threading.Thread(target=passage.run))
        self._threads[-1].start()

    def freeze(self) -> None:
        """Nothing passes, on these connections or on new ones, and nobody is told."""
        self.is_frozen = True
        for each in self.passages:
            each.freeze()

    def thaw(self) -> None:
        self.is_frozen = False
        for each in self.passages:
            each.open()

    def cut(self) -> None:
        """Reset all connections that there are."""
        for each in self.passages:
            each.cut()
        for silent in self._silent:
            silent.close()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listening.close()
        self.cut()
        for each in self._threads:
            each.join()
