"""Messages: how many a second, and what one costs."""

from __future__ import annotations

from tests.bench import peers
from tests.bench.measure import Figures, alternate, cpu_seconds
from tests.bench.registry import at_least, at_most, benchmark
from tests.bench.session import Session

CLIENTS = 3
PIPELINED = 1000
BURST = 64 * 1024
SMALL_BURST = 1024


def _round_trips(session: Session, port: int, greeting: int) -> float:
    count, seconds, *_ = session.programs.run("pingpong", port, greeting, "hello\n", "hello ACK\n", session.seconds, 0)
    return count / seconds


@benchmark("one-at-a-time", "round trips a second against a bare Twisted LineReceiver", at_least(0.9))
def one_at_a_time(session: Session) -> Figures:
    """One client, one message at a time."""
    with peers.chatfile(session.scratch, session.folder) as ours, peers.echo(session.scratch) as theirs:
        return alternate(
            "/s",
            session.runs,
            lambda: _round_trips(session, ours.port, 1),
            lambda: _round_trips(session, theirs.port, 0),
        )


def _messages(session: Session, port: int, greeting: int, request: str, reply: str) -> float:
    arguments = [port, greeting, CLIENTS, PIPELINED, request, len(reply), reply, session.seconds]
    count, seconds = session.programs.run("pipeline", *arguments)
    return count / seconds


@benchmark(
    "pipelined", "three clients, 1000 messages each at a time: messages a second against redis PING", at_least(1.0)
)
def pipelined(session: Session) -> Figures:
    """The same generator for both; redis answers inline commands."""
    with peers.chatfile(session.scratch, session.folder) as ours, peers.redis(session.scratch) as theirs:
        return alternate(
            "/s",
            session.runs,
            lambda: _messages(session, ours.port, 1, "PONG\n", "PONG ACK\n"),
            lambda: _messages(session, theirs.port, 0, "PING\r\n", "+PONG\r\n"),
        )


def _line_cost(session: Session, server: peers.Peer, burst: int) -> float:
    before = cpu_seconds(server.pid)
    arguments = [server.port, 1, 1, burst, "\n", len(" ACK\n"), " ACK\n", session.seconds]
    count, _ = session.programs.run("pipeline", *arguments)
    return (cpu_seconds(server.pid) - before) * 1e9 / count


@benchmark("burst", "CPU time of a line in bursts of 64 KiB of empty lines against bursts of 1 KiB", at_most(1.5))
def burst(session: Session) -> Figures:
    """Both are ours: the cost of a line must not grow with what stands behind it."""
    with peers.chatfile(session.scratch, session.folder) as server:
        return alternate(
            "ns",
            session.runs,
            lambda: _line_cost(session, server, BURST),
            lambda: _line_cost(session, server, SMALL_BURST),
        )
