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
LEASE = 3.0
"""Seconds; shorter than the default, so that a row does not take a minute."""
DEFAULT_LEASE = 10.0
ADMITTING = Path(__file__).parent / "admitting.py"
_BEHIND = """
listen nodes
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


@contextmanager
def _admitting(session: Session, engine: Redis) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that have joined, and wait for a line."""
    command = [sys.executable, *map(str, (ADMITTING, engine.port, AT_ONCE, session.seconds))]
    with ExitStack() as stack:
        nodes = []
        for _ in range(NODES):
            node = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            nodes.append(stack.enter_context(node))
            stack.callback(node.kill)
        for node in nodes:
            assert node.stdout is not None
            if node.stdout.readline() != "ready\n":
                raise RuntimeError("a node was not let in")
        yield nodes


def _admissions(session: Session, engine: Redis) -> list[float]:
    """The seconds of each admission of all nodes together."""
    with _admitting(session, engine) as nodes:
        for node in nodes:
            assert node.stdin is not None
            node.stdin.write("\n")
            node.stdin.flush()
        took = [float(line) for node in nodes for line in node.communicate()[0].split()]
        if any(node.returncode for node in nodes):
            raise RuntimeError("a node has failed")
    return took


def _rounds(session: Session) -> list[list[float]]:
    with _engine(session) as engine:
        return [_admissions(session, engine) for _ in range(session.runs)]


@benchmark(
    "node-admissions",
    "three nodes at one engine, 20 admissions at once each: together a second",
    at_least(10_000, "/s"),
)
def node_admissions(session: Session) -> Figures:
    """Seats that are given and given back, without the connections of clients."""
    return Figures("/s", [len(took) / session.seconds for took in _rounds(session)])


@benchmark("node-admissions-p99", "the same: what one takes", at_most(20, "ms"))
def node_admissions_p99(session: Session) -> Figures:
    """The 99th percentile of each round."""
    rounds = _rounds(session)
    longest = max(map(max, rounds)) * 1000
    return Figures(
        "ms", [quantiles(took, n=100)[-1] * 1000 for took in rounds], note=f"p99; the longest was {longest:.1f} ms"
    )


@benchmark("node-clients", "the same with clients, from connecting to the welcome: together a second", None)
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


@benchmark("node-lease", "the seat of a killed node is given again: beyond the lease of 3 s", at_most(0.5, "s"))
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
