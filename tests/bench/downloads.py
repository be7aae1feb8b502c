"""Whole downloads by the programs that people use, each into a file in memory."""

from __future__ import annotations

import filecmp
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import peers
from tests.bench.measure import cpu_of, seconds_of
from tests.bench.peers import Absent
from tests.bench.session import DATA, Session

Command = Callable[[Path], list[str]]
"""The command that downloads `DATA` into a file that does not exist yet."""


@dataclass(frozen=True, slots=True)
class Download:
    """A way to fetch `DATA`."""

    name: str
    command: Command

    def seconds(self, session: Session) -> float:
        """One whole download; what it leaves is removed."""
        return self._measured(session, seconds_of)

    def cpu(self, session: Session, server: int) -> float:
        """CPU time of one, at both ends."""
        return self._measured(session, lambda command: cpu_of(command, server))

    def _measured(self, session: Session, measure: Callable[[list[str]], float]) -> float:
        session.warm()
        target = session.target(DATA)
        figure = measure(self.command(target))
        if target.stat().st_size != session.size:
            raise RuntimeError(f"{self.name}: the download is not whole")
        target.unlink()
        return figure

    def check(self, session: Session) -> None:
        """Download it once and compare every byte."""
        target = session.target(DATA)
        seconds_of(self.command(target))
        if not filecmp.cmp(session.data, target, shallow=False):
            raise RuntimeError(f"{self.name}: the download differs")
        target.unlink()


@dataclass
class Best:
    """Several ways to fetch `DATA`, of which each round counts the fastest."""

    session: Session
    downloads: list[Download]
    absent: list[str]
    winners: list[str] = field(default_factory=list)

    def seconds(self) -> float:
        """The least of a round."""
        least, name = min((download.seconds(self.session), download.name) for download in self.downloads)
        self.winners.append(name)
        return least

    def note(self) -> str:
        """Who was the fastest how often, the first round left out, and who was not there."""
        fastest = ", ".join(f"{name} {count}x" for name, count in Counter(self.winners[1:]).most_common())
        return "; ".join([f"fastest: {fastest}", *self.absent])


def curl(url: str, authority: Path | None = None) -> Command:
    """A download by curl, which trusts `authority`."""
    path = peers.program("curl")
    trust = [] if authority is None else ["--cacert", str(authority)]
    return lambda target: [path, "-sS", "--fail", *trust, "-o", str(target), url]


def chatfile_download(port: int, authority: Path | None = None) -> Command:
    """A download by chatfile-client, which verifies it; over TLS where there is an `authority`."""
    client = str(peers.SCRIPTS / "chatfile-client")
    server = ["-s", f"127.0.0.1:{port}"]
    if authority is not None:
        server = ["-s", f"tls:127.0.0.1:{port}", "--cafile", str(authority)]
    return lambda target: [client, *server, "get", DATA, "-o", str(target)]


def curl_and_verify(url: str) -> Command:
    """A download by curl, and then its digest by sha256sum."""
    fetch, sums = curl(url), peers.program("sha256sum")
    return lambda target: ["sh", "-c", f'"$@" && exec "$0" "{target}"', sums, *fetch(target)]


def _by_nginx(session: Session, stack: ExitStack) -> Command:
    server = stack.enter_context(peers.nginx(session.scratch, session.folder))
    return curl(f"http://127.0.0.1:{server.port}/{DATA}")


def _by_vsftpd(session: Session, stack: ExitStack) -> Command:
    server = stack.enter_context(peers.vsftpd(session.scratch, session.folder))
    return curl(f"ftp://127.0.0.1:{server.port}/{DATA}")


def _by_pyftpdlib(session: Session, stack: ExitStack) -> Command:
    server = stack.enter_context(peers.pyftpdlib(session.scratch, session.folder))
    return curl(f"ftp://127.0.0.1:{server.port}/{DATA}")


def _by_scp(session: Session, stack: ExitStack) -> Command:
    server = stack.enter_context(peers.sshd(session.scratch))
    return lambda target: peers.scp_command(session.scratch, server.port, session.data, target)


_WAYS: dict[str, Callable[[Session, ExitStack], Command]] = {
    "nginx+curl": _by_nginx,
    "vsftpd+curl": _by_vsftpd,
    "pyftpdlib+curl": _by_pyftpdlib,
    "scp": _by_scp,
}


def best_peers(session: Session, stack: ExitStack) -> Best:
    """The ways that there are on this machine, each tried and compared once; the servers end with `stack`."""
    best = Best(session, [], [])
    for name, way in _WAYS.items():
        try:
            best.downloads.append(Download(name, way(session, stack)))
        except Absent as absent:
            best.absent.append(f"{name} absent: {absent}")
    if not best.downloads:
        raise Absent("; ".join(best.absent))
    for download in best.downloads:
        download.check(session)
    return best
