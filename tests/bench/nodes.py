"""Several nodes at one engine: admissions, failures, and what HAProxy before them costs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import quantiles

from tests.bench import peers
from tests.bench.measure import Figures, alternate
from tests.bench.peers import Absent, Peer
from tests.bench.registry import at_least, at_most, benchmark
from tests.bench.session import Session
from tests.bench.transfers import chatfile_sink, sink_rate
from tests.support.haproxy import HAProxy
from tests.support.nodes import UNAVAILABLE, Node, at_once, cluster
from tests.support.redis import Redis

NODES = 3
AT_ONCE = 20
"""Clients that wait for a seat at each node."""
SEATS = 1000
"""More than are ever taken."""
FEW_SEATS = 5
PER_SECOND = at_least(10_000, "/s")
LEASE = 2.0
"""Seconds; shorter than the default, so that a row does not take a minute."""
DEFAULT_LEASE = 10.0
ADMITTING = Path(__file__).parent / "admitting.py"
_BEHIND = """
listen nodes
    option splice-response
    bind fd@${{FRONTEND}}
    server a 127.0.0.1:{port} send-proxy-v2
"""


def _need(library: str) -> None:
    if find_spec(library) is None:
        raise Absent(f"{library} is not installed")


@contextmanager
def _engine(session: Session) -> Iterator[Redis]:
    _need("txredisapi")
    peers.program("redis-server")
    with Redis(session.scratch / "engine") as engine:
        yield engine


# --- admissions ---


class _Asking:
    """A process that has joined, and asks for seats whenever it is told to."""

    def __init__(self, session: Session, engine: Redis, limit: int) -> None:
        command = [sys.executable, *map(str, (ADMITTING, engine.port, limit, AT_ONCE, session.seconds))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def begin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a node has failed")
        return line

    def __enter__(self) -> _Asking:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def _rounds(session: Session, limit: int) -> list[list[float]]:
    """The seconds of each answer to all nodes together, round by round."""
    with _engine(session) as engine, ExitStack() as stack:
        nodes = [stack.enter_context(_Asking(session, engine, limit)) for _ in range(NODES)]
        for node in nodes:
            node.line()  # it is ready
        return [_round(nodes) for _ in range(session.runs)]


def _round(nodes: list[_Asking]) -> list[float]:
    for node in nodes:
        node.begin()
    return [float(seconds) for node in nodes for seconds in node.line().split()]


def _answers(session: Session, limit: int) -> Figures:
    rounds = _rounds(session, limit)
    slowest = max(map(_p99, rounds))
    return Figures("/s", [len(took) / session.seconds for took in rounds], note=f"p99 at most {slowest:.1f} ms")


def _p99(took: list[float]) -> float:
    return quantiles(took, n=100)[-1] * 1000


@benchmark("node-admissions", "seats given by one engine to three nodes that ask for 20 at once each", PER_SECOND)
def node_admissions(session: Session) -> Figures:
    """Each is given back at once; there are no clients."""
    return _answers(session, SEATS)


@benchmark("node-admissions-p99", "the same: until one is given", at_most(20, "ms"))
def node_admissions_p99(session: Session) -> Figures:
    """The 99th percentile of each round."""
    rounds = _rounds(session, SEATS)
    longest = max(map(max, rounds)) * 1000
    return Figures("ms", list(map(_p99, rounds)), note=f"p99; the longest was {longest:.1f} ms")


@benchmark("node-answers", "the same with five seats for all: answers, most of which are that it is full", PER_SECOND)
def node_answers(session: Session) -> Figures:
    """Who is refused costs the engine less."""
    return _answers(session, FEW_SEATS)


@benchmark("node-clients", "the same with 1,000 seats and clients, each from connecting to its welcome", None)
def node_clients(session: Session) -> Figures:
    """Whole nodes; each client is reset when it has its welcome."""
    session.programs.command("knock")  # compiled here, not by three threads
    with _engine(session) as engine, cluster(session.folder, engine, count=NODES, limit=SEATS, lease=LEASE) as nodes:
        knocks = [partial(session.programs.run, "knock", node.port, AT_ONCE, session.seconds) for node in nodes]
        rounds = [at_once(*knocks) for _ in range(session.runs)]
    slowest = max(numbers[3] for each in rounds for numbers in each) * 1000
    return Figures(
        "/s",
        [sum(numbers[0] / numbers[1] for numbers in each) for each in rounds],
        note=f"p99 at most {slowest:.1f} ms",
    )


# --- failures ---


def _refused(session: Session, fail: Callable[[Redis], None]) -> float:
    """Seconds from a failure of the engine to the refusal of who comes at that moment."""
    with (
        _engine(session) as engine,
        cluster(session.folder, engine, count=1, lease=DEFAULT_LEASE) as [node],
        node.enter(),
    ):
        began = time.monotonic()
        fail(engine)
        line, _ = node.turned_away()
        took = time.monotonic() - began
        if not line.startswith(UNAVAILABLE):
            raise RuntimeError(f"not refused: {line!r}")
        return took


@benchmark("node-refused-killed", "a newcomer is refused when the engine has been killed", at_most(1, "s"))
def node_refused_killed(session: Session) -> Figures:
    """The connection is lost at once."""
    return Figures("s", [_refused(session, Redis.kill) for _ in range(session.runs)])


@benchmark("node-refused-frozen", "the same when it is frozen, with connections that stay open", at_most(1, "s"))
def node_refused_frozen(session: Session) -> Figures:
    """Only its silence tells."""
    return Figures("s", [_refused(session, Redis.freeze) for _ in range(session.runs)])


def _seconds_beyond_lease(session: Session) -> float:
    """From the kill of a node that has just joined, whose lease is thus whole, to a newcomer at the other one."""
    with (
        _engine(session) as engine,
        cluster(session.folder, engine, count=1, limit=1, lease=LEASE) as [other],
        Node(session.folder, engine.url, limit=1, lease=LEASE) as node,
    ):
        node.enter()
        node.process.kill()
        began = time.monotonic()
        other.enter()
        return time.monotonic() - began - LEASE


@benchmark("node-lease", "the seat of a killed node is given again: beyond the lease of 2 s", at_most(0.5, "s"))
def node_lease(session: Session) -> Figures:
    """Someone comes again and again."""
    return Figures("s", [_seconds_beyond_lease(session) for _ in range(session.runs)])


# --- HAProxy ---


@benchmark("node-haproxy", "serving a file in memory to a sink through HAProxy: rate against the same without", None)
def node_haproxy(session: Session) -> Figures:
    """Which tells the address of its client, by a header of the PROXY protocol."""
    _need("proxyprotocol")
    peers.program("haproxy")
    trusting = ["--no-digest", "--proxy-protocol-from=127.0.0.1"]
    with (
        peers.chatfile(session.scratch, session.folder, "--no-digest") as alone,
        peers.chatfile(session.scratch, session.folder, *trusting) as behind,
        HAProxy(session.scratch / "haproxy", _BEHIND.format(port=behind.port)) as haproxy,
    ):
        through = Peer(haproxy.process.pid, haproxy.port)
        return alternate(
            "GiB/s",
            session.runs,
            lambda: sink_rate(session, chatfile_sink, through),
            lambda: sink_rate(session, chatfile_sink, alone),
        )
