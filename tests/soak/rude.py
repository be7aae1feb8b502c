"""Clients without manners: they come and go at any moment and say anything. The replies they wait for are exact."""

from __future__ import annotations

import hashlib
from random import Random

from tests.soak.files import BIG
from tests.soak.stage import NoSeat, RawTurn, Stage
from tests.support.processes import RawClient

BURST = 10
NEWLINES = 100_000
GARBAGE = 20_000
COMPLAINTS = (b"ERROR bad-line ", b"ERROR line-too-long ")
IAC_WILL_ECHO = b"\xff\xfb\x01"
IAC_TERMINAL_TYPE = b"\xff\xfa\x18\x00xterm\xff\xf0"


def vanishing(stage: Stage, rng: Random) -> None:
    """Connect, and are gone."""
    for _ in range(BURST):
        client = stage.connect()
        if rng.random() < 0.5:
            _reset(stage, client)
        else:
            client.close()


def resetting(stage: Stage, rng: Random) -> None:
    """Ask for a file and reset in the middle of it."""
    with stage.seated() as client:
        name = rng.choice([BIG, stage.any_file(rng)])
        client.send(f"get {name}\n".encode() * rng.randint(1, 3))
        client.read(rng.randrange(2 + stage.files[name].size // 2))
        _reset(stage, client)


def interrupting(stage: Stage, rng: Random) -> None:
    """Reset while a digest is computed, a list is made, many lines are answered."""
    with stage.seated() as client:
        client.send(rng.choice([f"hash {BIG}\n".encode(), b"list\nstatus\n" * 20, b"hello\n" * 10_000]))
        _reset(stage, client)


def _reset(stage: Stage, client: RawClient) -> None:
    client.reset()
    stage.tally.count("resets survived")


def half_closing(stage: Stage, rng: Random) -> None:
    """Ask, say that this was all, and get everything."""
    name = stage.any_file(rng)
    known = stage.files[name]
    with stage.seated() as client:
        client.send(f"get {name}\nstatus\nlast words".encode())
        client.half_close()
        assert client.line().startswith(f"FILE {known.size} ".encode())
        assert hashlib.sha256(client.read(known.size)).hexdigest() == known.sha256
        assert client.line() == f"END {known.sha256}".encode()
        _skip_rows(stage, client)
        assert client.rest() == b"last words ACK\n"
    for what, times in {"requests": 3, "bytes": known.size, "digests verified": 1}.items():
        stage.tally.count(what, times)


def _skip_rows(stage: Stage, client: RawClient) -> None:
    """Of a status; at nodes, it may not be known for now, which is as good as no seat."""
    header = client.line()
    if stage.is_refusal(header):
        raise NoSeat
    word, count = header.split()
    assert word == b"STATUS"
    for _ in range(int(count)):
        assert len(client.line().split()) == 6


def saying_nothing_often(stage: Stage, _: Random) -> None:
    """Empty lines, each of which is acknowledged."""
    with stage.seated() as client:
        client.send(b"\n" * NEWLINES)
        client.half_close()
        assert client.rest() == b" ACK\n" * NEWLINES
    stage.tally.count("requests", NEWLINES)


def babbling(stage: Stage, rng: Random) -> None:
    """Bytes that mean nothing: each line of them has an answer, and that is all."""
    with stage.seated() as client:
        client.send(rng.randbytes(GARBAGE))
        client.half_close()
        answers = client.rest().removesuffix(b"\n").split(b"\n")
    for answer in answers:
        assert (
            not answer or answer.endswith(b" ACK") or answer.startswith((b"ERROR bad-line ", b"ERROR line-too-long "))
        )
    stage.tally.count("requests", len(answers))


def negotiating(stage: Stage, rng: Random) -> None:
    """A telnet client, which interrupts its own words."""
    with stage.seated() as client:
        for _ in range(rng.randint(1, 20)):
            client.send(b"he" + IAC_WILL_ECHO + b"l" + IAC_TERMINAL_TYPE + b"lo\r\n")
            assert client.line() == b"hello ACK"
            stage.tally.count("requests")


RUDE: list[RawTurn] = [
    vanishing, resetting, interrupting, half_closing, saying_nothing_often, babbling, negotiating
]  # fmt: skip


def rude(stage: Stage, rng: Random) -> None:
    """All of them, in any order."""
    for turn in rng.sample(RUDE, len(RUDE)):
        turn(stage, rng)
        stage.tally.count("rude visits")
