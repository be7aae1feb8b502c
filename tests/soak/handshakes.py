"""Who comes to a port of TLS and does not speak it, or not to the end: nobody keeps a seat, or a connection."""

from __future__ import annotations

import ssl
import time
from random import Random

from tests.soak.files import BIG
from tests.soak.limits import check_in_time, check_not_late
from tests.soak.stage import RawTurn, Stage
from tests.support.processes import RawClient

ROUNDS = 10
HELLO_RECORD = b"\x16\x03\x01"
"""What the first message of a handshake begins with."""


def _hello() -> bytes:
    """What a client says first."""
    outgoing = ssl.MemoryBIO()
    session = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="127.0.0.1")
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("there is nobody to shake hands with")


def _await_end(client: RawClient) -> None:
    """Whatever is said until then: a reset is an end, too."""
    try:
        client.rest()
    except ConnectionError:
        pass


def _lingering(stage: Stage, rng: Random, said: bytes) -> None:
    """Say so much of a handshake and wait."""
    with stage.bare() as client:
        began = time.monotonic()
        client.send(said)
        _await_end(client)
        check_in_time(began, stage.limits.line)


def mute(stage: Stage, rng: Random) -> None:
    """Does not begin."""
    _lingering(stage, rng, b"")


def half_shaken(stage: Stage, rng: Random) -> None:
    """Begins, and says no more."""
    hello = _hello()
    _lingering(stage, rng, hello[: rng.randrange(1, len(hello))])


def unfinished(stage: Stage, rng: Random) -> None:
    """Has the server answer, and says no more."""
    _lingering(stage, rng, _hello())


def mistaken(stage: Stage, rng: Random) -> None:
    """Says something else, and is hung up on, at once or when what it began should be done."""
    sayings = [
        b"hello\n",
        b"GET / HTTP/1.1\r\n\r\n",
        rng.randbytes(3000),
        HELLO_RECORD + rng.randbytes(1000),
        _hello() + rng.randbytes(3000),
    ]
    for said in rng.sample(sayings, len(sayings)):
        with stage.bare() as client:
            began = time.monotonic()
            client.send(said)
            _await_end(client)
            check_not_late(began, stage.limits.line)


def breaking_off(stage: Stage, rng: Random) -> None:
    """Again and again goes away amid a handshake."""
    hello = _hello()
    for _ in range(ROUNDS):
        client = stage.bare()
        client.send(hello[: rng.randrange(len(hello) + 1)])
        rng.choice([client.reset, client.close])()
        stage.tally.count("resets survived")


def cut_amid_a_file(stage: Stage, rng: Random) -> None:
    """Ends the connection without ending the session, or resets it."""
    with stage.seated() as client:
        client.send(f"get {BIG}\n".encode())
        client.read(rng.randrange(1_000_000))
        rng.choice([client.reset, client.close])()
    stage.tally.count("resets survived")


HANDSHAKES: list[RawTurn] = [mute, half_shaken, unfinished, mistaken, breaking_off, cut_amid_a_file]
