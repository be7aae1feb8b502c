"""Takes the network away under a server and its clients; a program, for it needs a network namespace of its own.

Its one argument is the folder to serve. It writes, as JSON, after how many seconds each client's seat was free, and
what was left of the three.
"""

from __future__ import annotations

import fcntl
import json
import socket
import struct
import sys
import time
from pathlib import Path

from tests.support.leftovers import open_descriptors
from tests.support.processes import RawClient, ServerProcess, run_client

STALL = 2
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


def set_loopback(flags: int) -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags))


def leave_unheard(server: ServerProcess, clients: list[RawClient]) -> dict[str, float]:
    """The network goes; seconds until the server has let go of each of the three."""
    _, downloading, speaking = clients
    downloading.ask(b"get big.bin")
    speaking.send(b"hello\nunfinished")
    speaking.line()
    set_loopback(0)
    began = time.monotonic()
    names = {"Client01": "idle", "Client02": "downloading", "Client03": "speaking"}
    gone: dict[str, float] = {}
    while names:
        name = server.log_until(rf"({'|'.join(names)}) left")
        gone[names.pop(name)] = time.monotonic() - began
    return gone


def main(folder: Path) -> None:
    set_loopback(_IFF_UP)
    way_around = f"unix:{folder.parent / 'socket'}"
    limits = ["--idle-timeout=0", "--line-timeout=1", "--flush-timeout=1", f"--stall-timeout={STALL}"]
    with ServerProcess(folder, "-p", way_around, *limits) as server:
        clients = [server.greeted() for _ in range(3)]
        connected = len(open_descriptors(server.process.pid))
        gone = leave_unheard(server, clients)
        closed = connected - len(open_descriptors(server.process.pid))
        without_network = run_client(folder.parent, "-s", way_around, "send", "hi").stdout.decode()
        set_loopback(_IFF_UP)
        clients += [server.greeted() for _ in range(3)]
    seen = {"gone": gone, "closed": closed, "without_network": without_network, "clients": len(clients)}
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
