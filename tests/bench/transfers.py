"""Files: how fast they are served, and how long a whole download takes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.bench import peers
from tests.bench.downloads import Download, best_peers, chatfile_download, curl, curl_and_verify
from tests.bench.measure import Figures, alternate, cpu_seconds, seconds_of_all
from tests.bench.peers import Peer
from tests.bench.registry import at_least, at_most, benchmark
from tests.bench.session import DATA, GIB, SETTLED, Session, keep_digest

RATE_BYTES = GIB
"""What one reading of a rate moves at least."""
CPU_BYTES = 4 * GIB
"""What one reading of CPU time moves at least."""


def chatfile_sink(session: Session, port: int, repeat: int) -> list[object]:
    """The arguments of a sink for `DATA`; 0 is for ever."""
    return [port, 1, f"get {DATA}\n", "\n", session.size, 1, repeat]


def _nginx_sink(session: Session, port: int, repeat: int) -> list[object]:
    request = f"GET /{DATA} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    return [port, 0, request, "\r\n\r\n", session.size, 0, repeat]


def sink_rate(session: Session, arguments: Callable[[Session, int, int], list[object]], peer: Peer) -> float:
    """GiB/s of `DATA`, sent as often as a reading needs."""
    repeat = -(-RATE_BYTES // session.size)
    session.warm()
    count, seconds = session.programs.run("sink", *arguments(session, peer.port, repeat))
    return count / GIB / seconds


def _sink_cpu(session: Session, arguments: Callable[[Session, int, int], list[object]], peer: Peer) -> float:
    repeat = -(-CPU_BYTES // session.size)
    session.warm()
    before = cpu_seconds(peer.pid)
    count, _ = session.programs.run("sink", *arguments(session, peer.port, repeat))
    return (cpu_seconds(peer.pid) - before) / (count / GIB)


def _serve(
    session: Session, unit: str, read: Callable[..., float], *options: str, folder: Path | None = None
) -> Figures:
    """What `read` finds of both servers; with digests, ours is computed before the first reading."""
    folder = folder or session.folder
    with (
        peers.chatfile(session.scratch, folder, *options) as ours,
        peers.nginx(session.scratch, folder) as theirs,
    ):
        if "--no-digest" not in options:
            keep_digest(ours.port, session.data)
        return alternate(
            unit,
            session.runs,
            lambda: read(session, chatfile_sink, ours),
            lambda: read(session, _nginx_sink, theirs),
        )


@benchmark("serve-rate", "serving a file in memory to a sink, without a digest: rate against nginx", at_least(1.0))
def serve_rate(session: Session) -> Figures:
    """Sent as fast as the sink discards."""
    return _serve(session, "GiB/s", sink_rate, "--no-digest")


@benchmark("serve-cpu", "the same: CPU time of the server against nginx's worker", at_most(1.15))
def serve_cpu(session: Session) -> Figures:
    """CPU time of all threads."""
    return _serve(session, "s/GiB", _sink_cpu, "--no-digest")


@benchmark("serve-digest-rate", "the same with a digest that is known already: rate against nginx", at_least(1.0))
def serve_digest_rate(session: Session) -> Figures:
    """The digest costs nothing the second time."""
    return _serve(session, "GiB/s", sink_rate)


@benchmark("serve-tmpfs-rate", "serving a file on tmpfs to a sink, without a digest: rate against nginx", at_least(1.0))
def serve_tmpfs_rate(session: Session) -> Figures:
    """A file system that can't tell what is in memory."""
    return _serve(session, "GiB/s", sink_rate, "--no-digest", folder=session.in_memory)


@benchmark("serve-tmpfs-cpu", "the same: CPU time of the server against nginx's worker", at_most(1.15))
def serve_tmpfs_cpu(session: Session) -> Figures:
    """CPU time of all threads."""
    return _serve(session, "s/GiB", _sink_cpu, "--no-digest", folder=session.in_memory)


def _against_best(session: Session, prepare: Callable[[Peer], None]) -> Figures:
    with ExitStack() as stack:
        server = stack.enter_context(peers.chatfile(session.scratch, session.folder))
        best = best_peers(session, stack)
        ours = Download("chatfile-client", chatfile_download(server.port))

        def timed() -> float:
            prepare(server)
            return ours.seconds(session)

        keep_digest(server.port, session.data)
        ours.check(session)
        return alternate("s", session.runs, timed, best.seconds, best.note)


@benchmark("get-again", "a whole verified download, digest known: time against the best of curl and scp", at_most(0.67))
def get_again(session: Session) -> Figures:
    """Processes from start to end, into memory."""
    return _against_best(session, lambda _: None)


@benchmark("get-first", "the same, digest not known yet: time against the best of curl and scp", at_most(1.0))
def get_first(session: Session) -> Figures:
    """A file that was changed a moment ago has no digest that could be kept."""
    return _against_best(session, lambda _: os.utime(session.data))


@benchmark("get-verified", "the same, digest known: time against curl from nginx, then sha256sum", at_most(0.67))
def get_verified(session: Session) -> Figures:
    """A peer that verifies as well."""
    with (
        peers.chatfile(session.scratch, session.folder) as ours,
        peers.nginx(session.scratch, session.folder) as theirs,
    ):
        keep_digest(ours.port, session.data)
        get = Download("chatfile-client", chatfile_download(ours.port))
        fetch = Download("curl", curl_and_verify(f"http://127.0.0.1:{theirs.port}/{DATA}"))
        return alternate("s", session.runs, lambda: get.seconds(session), lambda: fetch.seconds(session))


def _over_tls(session: Session, unit: str, read: Callable[[Download, Peer], float]) -> Figures:
    try:
        from tests.support.certificates import Authority
    except ImportError as error:
        raise peers.Absent(f"TLS needs {error.name}") from error
    authority = Authority(session.scratch, "ca")
    certificate = authority.issue("server")
    with (
        peers.chatfile(session.scratch, session.folder, "--certificate", certificate) as ours,
        peers.nginx(session.scratch, session.folder, certificate=certificate) as theirs,
    ):
        get = Download("chatfile-client", chatfile_download(ours.port, authority.path))
        fetch = Download("curl", curl(f"https://127.0.0.1:{theirs.port}/{DATA}", authority.path))
        time.sleep(SETTLED)
        return alternate(unit, session.runs, lambda: read(get, ours), lambda: read(fetch, theirs))


@benchmark("get-tls", "a whole verified download over TLS: time against curl from nginx", at_most(1.2))
def get_tls(session: Session) -> Figures:
    """Processes from start to end, into memory."""
    return _over_tls(session, "s", lambda download, _: download.seconds(session))


@benchmark("get-tls-cpu", "the same: CPU time of both ends", at_most(1.2))
def get_tls_cpu(session: Session) -> Figures:
    """That of all threads."""
    return _over_tls(session, "s", lambda download, server: download.cpu(session, server.pid))


@benchmark("get-copy", "the same, digest known: time against cp", at_most(1.5))
def get_copy(session: Session) -> Figures:
    """cp reads from the same folder and writes into memory."""
    with peers.chatfile(session.scratch, session.folder) as server:
        keep_digest(server.port, session.data)
        ours = Download("chatfile-client", chatfile_download(server.port))
        cp = peers.program("cp")
        theirs = Download("cp", lambda target: [cp, str(session.data), str(target)])
        return alternate("s", session.runs, lambda: ours.seconds(session), lambda: theirs.seconds(session))


@benchmark("get-three", "three such downloads at once: total rate against nginx with three curls", at_least(1.0))
def get_three(session: Session) -> Figures:
    """Three whole processes each, from the start of the first to the end of the last."""
    with (
        peers.chatfile(session.scratch, session.folder) as ours,
        peers.nginx(session.scratch, session.folder) as theirs,
    ):
        keep_digest(ours.port, session.data)
        get, fetch = chatfile_download(ours.port), curl(f"http://127.0.0.1:{theirs.port}/{DATA}")

        def rate(of: Callable[..., list[str]]) -> float:
            session.warm()
            targets = [session.target(f"{number}.bin") for number in range(3)]
            seconds = seconds_of_all([of(target) for target in targets])
            if any(target.stat().st_size != session.size for target in targets):
                raise RuntimeError("a download is not whole")
            for target in targets:
                target.unlink()
            return 3 * session.size / GIB / seconds

        return alternate("GiB/s", session.runs, lambda: rate(get), lambda: rate(fetch))
