"""Two nodes at one engine, of which one is killed and started again while clients come and go at both."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from random import Random

from twisted.internet.threads import deferToThread

from chatfile import errors
from tests.bench import peers
from tests.soak.gauge import Gauge, settled
from tests.soak.good import GoodTurn
from tests.soak.limits import check_not_late
from tests.soak.stage import NoSeat, RawTurn, Stage
from tests.soak.waiting import wait_until
from tests.support.nodes import present
from tests.support.redis import Redis

LEASE = 2.0
"""Seconds; shorter than the default, so that there are many of them."""


class Pair:
    """The nodes: one that stays, and one that is killed again and again."""

    def __init__(self, scratch: Path, engine: Redis, folder: Path, *options: str) -> None:
        self._scratch = scratch
        self._folder = folder
        self._options = (f"--cluster={engine.url}", f"--lease={LEASE:g}", *options)
        self._engine = engine
        self._stack = ExitStack()
        self._mortal = ExitStack()

    def __enter__(self) -> Pair:
        self.staying = self._start(self._stack)
        self.other = self._start(self._mortal)
        self._engine.ask("HSET", self._engine.key("state"), "opens", 0)  # all are here: nobody is to be waited for
        return self

    def __exit__(self, *_: object) -> None:
        self._mortal.close()
        self._stack.close()

    def _start(self, stack: ExitStack) -> peers.Peer:
        """A node that is counted."""
        before = set(self._scratch.glob("*.log"))
        node = stack.enter_context(peers.chatfile(self._scratch, self._folder, *self._options))
        [log] = set(self._scratch.glob("*.log")) - before
        wait_until(lambda: "counted at the engine" in log.read_text(), "a node is not counted")
        return node

    def kill(self) -> None:
        """One of them, with whoever is there."""
        self._mortal.close()

    def start_again(self) -> peers.Peer:
        self.other = self._start(self._mortal)
        return self.other

    def taken(self) -> int:
        """Seats, as the engine counts them."""
        return self._engine.taken


def killing(pair: Pair, gauges: list[Gauge]) -> RawTurn:
    """An actor that kills a node, sees that its seats are free again, and starts it; the last of `gauges` is its."""

    def kill(stage: Stage, _: Random) -> None:
        victim, name = stage.let_in(pair.other.port)
        witness, _other = stage.let_in(pair.staying.port)
        with victim, witness:
            stage.ports = [pair.staying.port]
            stage.kills += 1
            gauges.pop()
            pair.kill()
            killed = time.monotonic()
            wait_until(lambda: name not in present(witness), "a killed node keeps its seats")
            check_not_late(killed, LEASE)
        node = pair.start_again()
        gauges.append(settled(stage, node))
        stage.ports = [pair.staying.port, node.port]

    return kill


def at_nodes(pair: Pair, turn: GoodTurn) -> GoodTurn:
    """The same actor at nodes: a kill may cut it off, and never are more seats taken than there are."""

    async def visit(stage: Stage, rng: Random) -> None:
        kills = stage.kills
        try:
            await turn(stage, rng)
        except (NoSeat, errors.DigestMismatch):
            raise
        except errors.Unavailable:  # the engine did not answer in time, on a busy machine
            raise NoSeat from None
        except Exception:  # whatever it was about when the node was gone
            if stage.kills == kills:
                raise
            stage.tally.count("visits cut by a kill")
        taken = await deferToThread(pair.taken)
        assert taken <= stage.seats, f"{taken} seats are taken"

    return visit
