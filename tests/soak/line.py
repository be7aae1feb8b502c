"""Those who find the server full and wait in its line: each gets a seat, in the order in which they came."""

from __future__ import annotations

from contextlib import ExitStack
from random import Random

from tests.soak.stage import RawTurn, Stage
from tests.support.nodes import FULL
from tests.support.processes import RawClient

WAITING = 5
"""Of one turn; each has an address of its own, for one address has one place."""


def lining_up(places: int) -> RawTurn:
    """An actor that takes the seats that are left, and lets others wait for them."""

    def line_up(stage: Stage, rng: Random) -> None:
        with ExitStack() as stack:
            seated = _seated(stage, stack)
            waiting = [each for each in (_waiting(stage, stack, number, places) for number in range(WAITING)) if each]
            gone = waiting.pop(rng.randrange(len(waiting))) if len(waiting) > 1 else None
            if gone:
                gone.reset()
            for client in seated:
                rng.choice([client.close, client.reset])()
            names = [_welcomed(stage, client, places) for client in waiting]
            assert names == sorted(names, key=lambda name: int(name.removeprefix("Client"))), "out of order"
        stage.tally.count("waited in the line for a seat", len(names))

    return line_up


def _seated(stage: Stage, stack: ExitStack) -> list[RawClient]:
    """Until there is no seat any more."""
    seated: list[RawClient] = []
    while len(seated) <= stage.seats:
        client = stack.enter_context(stage.connect())
        if (line := client.line()).startswith(FULL):
            stage.tally.count("refused")
            client.close()
            return seated
        stage.welcomed(line)
        seated.append(client)
    raise AssertionError("more clients than seats")


def _waiting(stage: Stage, stack: ExitStack, number: int, places: int) -> RawClient | None:
    """One that has a place in the line; None for who finds a seat, or no place."""
    client = stack.enter_context(stage.connect(source=f"127.0.1.{number + 1}"))
    if not (line := client.line()).startswith(FULL):
        stage.welcomed(line)
        return None
    stage.tally.count("refused")
    client.send(b"wait\n")
    line = client.line()
    if line.startswith(FULL):
        return None
    if line.startswith(b"WAIT "):
        assert 1 <= int(line.split()[1]) <= places, line
        return client
    stage.welcomed(line)
    return None


def _welcomed(stage: Stage, client: RawClient, places: int) -> str:
    """The name of who has waited; the position never rises meanwhile."""
    before = places
    while (line := client.line()).startswith(b"WAIT "):
        position = int(line.split()[1])
        assert 1 <= position <= before, f"from position {before} to {position}"
        before = position
    return stage.welcomed(line)
