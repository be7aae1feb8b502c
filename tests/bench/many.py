"""Many small files: whole folders fetched by the programs that people use, and by a client that stores nothing."""

from __future__ import annotations

import filecmp
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import peers
from tests.bench.measure import Figures, alternate, seconds_of
from tests.bench.peers import Peer
from tests.bench.registry import Goal, at_least, at_most, benchmark
from tests.bench.session import Session, talk
from tests.support.processes import RawClient

MANY, MORE = 2_000, 20_000
SIZE = 4 << 10
MTIME = 1_700_000_000
AHEAD = 64
"""Requests that the raw client sends before it reads the replies."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where files are served from and fetched into, both on one file system."""

    served: Path
    target: Path

    def prepare(self) -> None:
        """Empty the target, and let the disk come to rest: what is removed costs the next run nothing."""
        shutil.rmtree(self.target, ignore_errors=True)
        self.target.mkdir()
        os.sync()

    def check_count(self) -> None:
        """Raise RuntimeError unless as many files came as there are."""
        if len(os.listdir(self.target)) != len(os.listdir(self.served)):
            raise RuntimeError("not all files came")

    def check(self) -> None:
        """Compare every byte of every file."""
        names = os.listdir(self.served)
        _, differ, failed = filecmp.cmpfiles(self.served, self.target, names, shallow=False)
        if differ or failed:
            raise RuntimeError(f"{len(differ) + len(failed)} files differ")


def _place(session: Session, folder: Path, count: int) -> Place:
    """Make so many files of random bytes in `folder`, unless they are there already."""
    served = folder / f"many-{count}"
    if not served.exists():
        served.mkdir(mode=0o755)
        for number in range(count):
            path = served / name_of(number)
            path.write_bytes(os.urandom(SIZE))
            os.utime(path, (MTIME, MTIME))
    return Place(served, Path(tempfile.mkdtemp(dir=folder)) / "target")


def name_of(number: int) -> str:
    """The name of a file; all are of one length."""
    return f"file-{number:05}.txt"


def _fetch_all(port: int, place: Place) -> list[str]:
    client = str(peers.SCRIPTS / "chatfile-client")
    return [client, "-q", "-s", f"127.0.0.1:{port}", "-d", str(place.target), "get", "*"]


def _nginx(scratch: Path, folder: Path) -> AbstractContextManager[Peer]:
    """nginx as it is by default: with `tcp_nopush`, files that are asked for together come a tenth as fast."""
    return peers.nginx(scratch, folder, settings="")


def _rsync(*options: str) -> Callable[[Session, Peer, Place], list[str]]:
    def command(_: Session, server: Peer, place: Place) -> list[str]:
        source = f"rsync://127.0.0.1:{server.port}/{peers.MODULE}/"
        return [peers.program("rsync"), "-a", *options, source, str(place.target)]

    return command


def _curl(session: Session, server: Peer, place: Place) -> list[str]:
    """One process and one connection for all files."""
    pairs = [
        f'url = "http://127.0.0.1:{server.port}/{name}"\noutput = "{place.target / name}"\n'
        for name in sorted(os.listdir(place.served))
    ]
    configuration = session.scratch / "many.curl"
    configuration.write_text("".join(pairs))
    return [peers.program("curl"), "-sS", "--fail", "-K", str(configuration)]


def _lftp(_: Session, server: Peer, place: Place) -> list[str]:
    return [peers.program("lftp"), "-c", f"mirror http://127.0.0.1:{server.port}/ {place.target}"]


@dataclass(frozen=True, slots=True)
class Rival:
    """Another way to fetch a folder: its server, and the command of its client."""

    serve: Callable[[Path, Path], AbstractContextManager[Peer]]
    command: Callable[[Session, Peer, Place], list[str]]


RSYNC = Rival(peers.rsync, _rsync())
RSYNC_SYNCED = Rival(peers.rsync, _rsync("--fsync"))
CURL = Rival(_nginx, _curl)
LFTP = Rival(_nginx, _lftp)


def _compare(session: Session, place: Place, rival: Rival, run: Callable[[Place, list[str]], float]) -> Figures:
    with (
        peers.chatfile(session.scratch, place.served) as ours,
        rival.serve(session.scratch, place.served) as theirs,
    ):
        commands = _fetch_all(ours.port, place), rival.command(session, theirs, place)
        for command in commands:
            _into_empty(place, command)
            place.check()
        return alternate("s", session.runs, *[lambda command=command: run(place, command) for command in commands])


def _into_empty(place: Place, command: list[str]) -> float:
    place.prepare()
    seconds = seconds_of(command)
    place.check_count()
    return seconds


def _into_full(_: Place, command: list[str]) -> float:
    return seconds_of(command)


def _row(
    name: str, title: str, goal: Goal, rival: Rival, *, count: int = MANY, on_disk: bool = False,
    run: Callable[[Place, list[str]], float] = _into_empty,
) -> None:  # fmt: skip
    """Enter a comparison into the list."""

    def measure(session: Session) -> Figures:
        place = _place(session, session.scratch if on_disk else session.memory, count)
        try:
            return _compare(session, place, rival, run)
        finally:
            shutil.rmtree(place.target.parent)

    where = "on disk" if on_disk else "in memory"
    benchmark(name, f"{count:,} files of 4 KiB {where}, {title}", goal)(measure)


_row("many-rsync", "fetched by one command: time against rsync -a from its daemon", at_most(1.0), RSYNC)
_row("many-curl", "the same: time against one curl over one connection to nginx", at_most(1.5), CURL)
_row("many-lftp", "the same: time against lftp mirror from nginx", at_most(1.0), LFTP)
_row("many-there", "all there already: time against rsync -a", at_most(1.5), RSYNC, run=_into_full)
_row("many-disk-rsync", "fetched, synced: time against rsync -a, unsynced", at_most(1.0), RSYNC, on_disk=True)
_row("many-disk-fsync", "the same: time against rsync -a --fsync", at_most(1.0), RSYNC_SYNCED, on_disk=True)
_row("many-disk-curl", "the same: time against curl, unsynced", at_most(1.5), CURL, on_disk=True)
_row("many-disk-lftp", "the same: time against lftp mirror, unsynced", at_most(1.0), LFTP, on_disk=True)
_row("more-rsync", "fetched by one command: time against rsync -a from its daemon", at_most(1.0), RSYNC, count=MORE)
_row("more-there", "all there already: time against rsync -a", at_most(1.5), RSYNC, count=MORE, run=_into_full)


# --- a client that stores nothing ---


def _ours_rate(session: Session, server: Peer) -> float:
    with talk(server.port) as client:
        reply = _reply_length(client, f"get {name_of(0)}\n", b"\n", 1)
    return _rate(session, server, 1, "get {}\n", reply)


def _nginx_rate(session: Session, server: Peer) -> float:
    request = "GET /{} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with RawClient(server.port) as client:
        reply = _reply_length(client, request.format(name_of(0)), b"\r\n\r\n", 0)
    return _rate(session, server, 0, request, reply)


def _reply_length(client: RawClient, request: str, head_end: bytes, tail: int) -> int:
    """Bytes of the reply to a request: a head, a file, and so many lines."""
    client.send(request.encode())
    head = b""
    while not head.endswith(head_end):
        byte = client.read(1)
        if not byte:
            raise RuntimeError("the server closed")
        head += byte
    client.read(SIZE)
    return len(head) + SIZE + sum(len(client.line()) + 1 for _ in range(tail))


def _rate(session: Session, server: Peer, greeting: int, request: str, reply: int) -> float:
    """Files a second, of which the requests for `AHEAD` are sent together."""
    requests = "".join(request.format(name_of(number)) for number in range(AHEAD))
    count, seconds = session.programs.run(
        "pipeline", server.port, greeting, 1, 1, requests, AHEAD * reply, "", session.seconds
    )
    return count * AHEAD / seconds


@benchmark("many-raw", "files of 4 KiB a second, 64 requests ahead, nothing stored: against nginx", at_least(0.25))
def many_raw(session: Session) -> Figures:
    """One connection each, with keep-alive and pipelining."""
    folder = _place(session, session.memory, MANY).served
    with peers.chatfile(session.scratch, folder) as ours, _nginx(session.scratch, folder) as theirs:
        return alternate("/s", session.runs, lambda: _ours_rate(session, ours), lambda: _nginx_rate(session, theirs))
