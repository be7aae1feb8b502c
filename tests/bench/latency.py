"""How long another client waits for an acknowledgement while the server is busy with this or that."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from tests.bench import peers
from tests.bench.measure import Figures
from tests.bench.peers import Absent, Peer
from tests.bench.registry import at_most, benchmark
from tests.bench.session import DATA, GIB, MIB, Session, keep_digest, talk, write_random
from tests.bench.transfers import chatfile_sink
from tests.support.processes import RawClient

PAUSE = 1000
"""Microseconds between two probes."""
SEATS = 8
FLOOD = 100_000
"""Lines that are sent at a time."""
FILES = 100_000
TELNET = b"\xff\xf1" * 32 * 1024
HISTORY = 1000
"""Rows of `status`, unless a server is told otherwise."""
SLOW_DISK = Path(__file__).parent.parent / "support" / "slow_disk.c"
CONTENT = b"ten bytes\n"
GOAL = at_most(20, "ms")


def _probe(session: Session, server: Peer, request: str = "hello") -> Figures:
    """The 99th percentile of each round, in ms; the note has the longest of all."""
    with talk(server.port) as client:
        client.send(f"{request}\n".encode())
        client.half_close()
        reply = client.rest().decode()
    rounds = [
        session.programs.run("pingpong", server.port, 1, f"{request}\n", reply, session.seconds, PAUSE)
        for _ in range(session.runs)
    ]
    longest = max(numbers[4] for numbers in rounds) * 1000
    return Figures("ms", [numbers[3] * 1000 for numbers in rounds], note=f"p99; the longest was {longest:.1f} ms")


@contextmanager
def _load(session: Session, name: str, *arguments: object) -> Iterator[None]:
    """A program that keeps the server busy; it must still do so at the end."""
    with peers.running(session.programs.command(name, *arguments), session.scratch / f"{name}.log") as process:
        yield
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended before the measurement did, with {process.returncode}")


@contextmanager
def _repeating(turn: Callable[[], None]) -> Iterator[None]:
    """Call `turn` again and again, in a thread; what it raises is raised here."""
    stopping = threading.Event()

    def repeat() -> None:
        while not stopping.is_set():
            turn()

    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(repeat)
        try:
            yield
        finally:
            stopping.set()
            future.result()


@benchmark("p99-streams", "a message while two files in memory are streamed", GOAL)
def p99_streams(session: Session) -> Figures:
    """Two sinks without a pause."""
    with peers.chatfile(session.scratch, session.folder, "-n", SEATS) as server, ExitStack() as stack:
        keep_digest(server.port, session.data)
        for _ in range(2):
            stack.enter_context(_load(session, "sink", *chatfile_sink(session, server.port, 0)))
        return _probe(session, server)


def _forget(path: Path) -> None:
    """Let a file be on the disk only."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        if any(_is_in_memory(descriptor, offset) for offset in range(0, path.stat().st_size, 16 * MIB)):
            raise Absent(f"{path.parent} does not let go of a file's pages; see --folder")
    finally:
        os.close(descriptor)


def _is_in_memory(descriptor: int, offset: int) -> bool:
    try:
        return os.preadv(descriptor, [bytearray(1)], offset, os.RWF_NOWAIT) > 0
    except BlockingIOError:
        return False
    except OSError as error:
        raise Absent(f"can't tell what is in memory: {error}") from error


@benchmark("p99-disk", "a message while a file that is not in memory is streamed", GOAL)
def p99_disk(session: Session) -> Figures:
    """The file is dropped from memory before each time it is sent."""
    folder = session.scratch / "cold"
    folder.mkdir()
    write_random(folder / DATA, session.size)
    with peers.chatfile(session.scratch, folder, "-n", SEATS) as server:
        keep_digest(server.port, folder / DATA)

        def stream() -> None:
            _forget(folder / DATA)
            session.programs.run("sink", *chatfile_sink(session, server.port, 1))

        with _repeating(stream):
            return _probe(session, server)


@benchmark("p99-hash", "a message while a large file is hashed", GOAL)
def p99_hash(session: Session) -> Figures:
    """The file is changed before each time, so that no digest is known; it is in memory, which lets the hash run."""
    with peers.chatfile(session.scratch, session.folder, "-n", SEATS) as server, talk(server.port) as client:

        def compute() -> None:
            os.utime(session.data)
            if not client.ask(f"hash {DATA}".encode()).startswith(b"HASH "):
                raise RuntimeError("no digest")

        with _repeating(compute):
            return _probe(session, server)


@benchmark("p99-flood", "a message while another client sends 100,000 lines at a time", GOAL)
def p99_flood(session: Session) -> Figures:
    """The flood reads its replies and begins again."""
    with peers.chatfile(session.scratch, session.folder, "-n", SEATS) as server:
        arguments = [server.port, 1, 1, FLOOD, "flood\n", len("flood ACK\n"), "flood ACK\n", 1e6]
        with _load(session, "pipeline", *arguments):
            return _probe(session, server)


@contextmanager
def _listings(session: Session) -> Iterator[Peer]:
    """A server whose 100,000 files another client lists again and again, and reads at once."""
    folder = session.scratch / "many"
    if not folder.exists():
        folder.mkdir()
        for number in range(FILES):
            (folder / f"{number}.txt").write_bytes(CONTENT)
    with peers.chatfile(session.scratch, folder, "-n", SEATS) as server, ExitStack() as stack:
        arguments = [server.port, 1, 1, 1, "list\n", _listing_bytes(server), "", 1e6]
        stack.enter_context(_load(session, "pipeline", *arguments))
        yield server


@benchmark("p99-list", "a message while another client lists 100,000 files again and again", GOAL)
def p99_list(session: Session) -> Figures:
    """The listing is read at once."""
    with _listings(session) as server:
        return _probe(session, server)


@benchmark("p99-list-get", "the same, a file of 10 bytes", GOAL)
def p99_list_get(session: Session) -> Figures:
    """To its END; the digest is not known."""
    with _listings(session) as server, _fresh(session.scratch / "many" / "0.txt"):
        return _probe(session, server, "get 0.txt")


@benchmark("p99-list-hash", "the same, its digest", GOAL)
def p99_list_hash(session: Session) -> Figures:
    """Which is not known."""
    with _listings(session) as server, _fresh(session.scratch / "many" / "0.txt"):
        return _probe(session, server, "hash 0.txt")


@benchmark("p99-telnet", "a message while two other clients send telnet commands without an end", GOAL)
def p99_telnet(session: Session) -> Figures:
    """Nothing of it is a line, and nothing is answered."""
    with peers.chatfile(session.scratch, session.folder, "-n", SEATS) as server, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(_repeating(partial(_send, stack.enter_context(talk(server.port)), TELNET)))
        return _probe(session, server)


def _send(client: RawClient, data: bytes) -> None:
    client.send(data)


@benchmark("p99-status", "a message while two clients ask for a status of 1,000 rows again and again", GOAL)
def p99_status(session: Session) -> Figures:
    """The rows are of clients that have left, and are read at once."""
    with peers.chatfile(session.scratch, session.folder, "-n", SEATS) as server, ExitStack() as stack:
        for _ in range(HISTORY):
            with talk(server.port) as client:
                client.send(b"exit\n")
                client.rest()
        for client in [stack.enter_context(talk(server.port)) for _ in range(2)]:
            stack.enter_context(_repeating(partial(_read_status, client)))
        return _probe(session, server)


def _read_status(client: RawClient) -> None:
    count = int(client.ask(b"status").split()[1])
    if count < HISTORY or not all(client.line() for _ in range(count)):
        raise RuntimeError(f"{count} rows, or fewer")


@contextmanager
def _slow_files(session: Session) -> Iterator[Peer]:
    """A server of which three clients are sent, and three have hashed, files on a disk that gives 256 KiB in 0.6 s."""
    if not session.programs.are_native:
        raise Absent("there is no cc")
    folder = session.scratch / "slow"
    if not folder.exists():
        folder.mkdir()
        (folder / "0.txt").write_bytes(CONTENT)
        for number in range(6):
            with open(folder / f"slow {number}", "wb") as sparse:
                sparse.truncate(GIB)
    settings = [f"LD_PRELOAD={session.programs.library(SLOW_DISK)}", "SLOW_DISK=read:slow:0.6"]
    with peers.chatfile(session.scratch, folder, "-n", SEATS, settings=settings) as server, ExitStack() as stack:
        for number, word in enumerate(("get", "hash") * 3):
            stack.enter_context(talk(server.port)).send(f"{word} slow {number}\n".encode())
        stack.enter_context(_fresh(folder / "0.txt"))
        yield server


@benchmark("p99-slow-list", "a listing while six clients wait for files on a slow disk", GOAL)
def p99_slow_list(session: Session) -> Figures:
    """Of seven files."""
    with _slow_files(session) as server:
        return _probe(session, server, "list")


@benchmark("p99-slow-get", "the same, a file of 10 bytes", GOAL)
def p99_slow_get(session: Session) -> Figures:
    """To its END; the digest is not known."""
    with _slow_files(session) as server:
        return _probe(session, server, "get 0.txt")


@benchmark("p99-slow-hash", "the same, its digest", GOAL)
def p99_slow_hash(session: Session) -> Figures:
    """Which is not known."""
    with _slow_files(session) as server:
        return _probe(session, server, "hash 0.txt")


@contextmanager
def _fresh(path: Path) -> Iterator[None]:
    """Keep the server from knowing the digest of `path`, which stays the same, with the same time."""

    def change() -> None:
        os.utime(path, (0, 0))
        time.sleep(0.1)

    with _repeating(change):
        yield


def _listing_bytes(server: Peer) -> int:
    with talk(server.port) as client:
        header = client.ask(b"list")
        if header != f"LIST {FILES}".encode():
            raise RuntimeError(header.decode())
        return len(header) + 1 + sum(len(client.line()) + 1 for _ in range(FILES))
