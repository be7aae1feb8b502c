"""The programs of `native/` for a machine without a C compiler: same arguments, same output, slower."""

from __future__ import annotations

import selectors
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

CHUNK = 1 << 18
CLIENTS_PER_ADDRESS = 5000


def dial(port: str, host: int = 1) -> socket.socket:
    """A connection from 127.0.0.<host>."""
    connection = socket.create_connection(("127.0.0.1", int(port)), source_address=(f"127.0.0.{host}", 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def skip_until(connection: socket.socket, end: bytes, times: int = 1) -> None:
    """Read so many pieces that end with `end`, and not a byte further."""
    for _ in range(times):
        piece = b""
        while not piece.endswith(end):
            piece += connection.recv(1) or sys.exit("closed too early")


def discard(connection: socket.socket, count: int) -> None:
    """Read and drop so many bytes."""
    buffer = memoryview(bytearray(CHUNK))
    while count > 0:
        count -= connection.recv_into(buffer[:count]) or sys.exit("closed too early")


def report(trips: list[float], seconds: float) -> str:
    """The number, the seconds of it all, and the median, the 99th percentile and the maximum of a round trip."""
    trips.sort()
    return f"{len(trips)} {seconds} {trips[len(trips) // 2]} {trips[len(trips) * 99 // 100]} {trips[-1]}"


def sink(port: str, greeting: str, request: str, head_end: str, size: str, tail: str, repeat: str) -> str:
    """See `native/sink.c`."""
    began, done = time.monotonic(), 0
    connection = dial(port)
    skip_until(connection, b"\n", int(greeting))
    while done < int(repeat) or repeat == "0":
        connection.sendall(request.encode())
        skip_until(connection, head_end.encode())
        discard(connection, int(size))
        skip_until(connection, b"\n", int(tail))
        done += 1
    return f"{done * int(size)} {time.monotonic() - began}"


def pingpong(port: str, greeting: str, request: str, reply: str, seconds: str, pause: str) -> str:
    """See `native/pingpong.c`."""
    asked, answered, trips = request.encode(), reply.encode(), []
    connection = dial(port)
    skip_until(connection, b"\n", int(greeting))
    began = got = time.monotonic()
    while got - began < float(seconds):
        sent = time.monotonic()
        connection.sendall(asked)
        if connection.recv(len(answered), socket.MSG_WAITALL) != answered:
            sys.exit("wrong reply")
        got = time.monotonic()
        trips.append(got - sent)
        time.sleep(int(pause) / 1e6)
    return report(trips, got - began)


@dataclass
class _Batch:
    """What one client has to send and to read yet."""

    requests: memoryview
    to_read: int


def _turn(key: selectors.SelectorKey, events: int, reply: bytes) -> bool:
    """Send and read what can be; whether the batch is complete."""
    batch: _Batch = key.data
    connection = key.fileobj
    assert isinstance(connection, socket.socket)
    if events & selectors.EVENT_WRITE:
        batch.requests = batch.requests[connection.send(batch.requests) :]
    if events & selectors.EVENT_READ:
        got = connection.recv(min(CHUNK, batch.to_read)) or sys.exit("closed too early")
        offset = -batch.to_read % len(reply) if reply else 0
        if reply and got != (reply * (len(got) // len(reply) + 2))[offset : offset + len(got)]:
            sys.exit("wrong reply")
        batch.to_read -= len(got)
    return batch.to_read == 0


def pipeline(
    port: str, greeting: str, clients: str, batch: str, request: str, reply_bytes: str, reply: str, seconds: str
) -> str:
    """See `native/pipeline.c`."""
    both, batches = selectors.EVENT_READ | selectors.EVENT_WRITE, 0
    requests, to_read = memoryview(request.encode() * int(batch)), int(reply_bytes) * int(batch)
    selector = selectors.DefaultSelector()
    for _ in range(int(clients)):
        connection = dial(port)
        skip_until(connection, b"\n", int(greeting))
        connection.setblocking(False)
        selector.register(connection, both, _Batch(requests, to_read))
    began = time.monotonic()
    while selector.get_map():
        for key, events in selector.select():
            complete = _turn(key, events, reply.encode())
            batches += complete
            if complete and time.monotonic() - began >= float(seconds):
                selector.unregister(key.fileobj)
            elif complete:
                selector.modify(key.fileobj, both, _Batch(requests, to_read))
            elif not key.data.requests:
                selector.modify(key.fileobj, selectors.EVENT_READ, key.data)
    return f"{batches * int(batch)} {time.monotonic() - began}"


def idle(port: str, greeting: str, clients: str) -> str:
    """See `native/idle.c`."""
    connections = []
    for number in range(int(clients)):
        connections.append(dial(port, 1 + number // CLIENTS_PER_ADDRESS))
        skip_until(connections[-1], b"\n", int(greeting))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    return ""


def knock(port: str, at_once: str, seconds: str) -> str:
    """See `native/knock.c`."""
    selector, trips = selectors.DefaultSelector(), list[float]()
    began = got = time.monotonic()
    for _ in range(int(at_once)):
        came = time.monotonic()
        selector.register(dial(port), selectors.EVENT_READ, came)
    while got - began < float(seconds):
        for key, _ in selector.select():
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            if not connection.recv(256).startswith(b"WELCOME "):
                sys.exit("not welcome")
            got = time.monotonic()
            trips.append(got - key.data)
            selector.unregister(connection)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
            came = time.monotonic()
            selector.register(dial(port), selectors.EVENT_READ, came)
    return report(trips, got - began)


PROGRAMS: dict[str, Callable[..., str]] = {
    "sink": sink,
    "pingpong": pingpong,
    "pipeline": pipeline,
    "idle": idle,
    "knock": knock,
}

if __name__ == "__main__":
    sys.stdout.write(PROGRAMS[sys.argv[1]](*sys.argv[2:]) + "\n")
