"""The servers of a soak, each with those who come to it: one as it is, one with TLS, and two that are one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from random import Random

from chatfile import errors
from tests.bench import peers
from tests.soak.asking import asking
from tests.soak.changing import changing_under
from tests.soak.crowd import Actor, in_thread
from tests.soak.disk import Disk
from tests.soak.files import Known, lay_out, lay_out_many
from tests.soak.gauge import Gauge, settled
from tests.soak.good import GOOD
from tests.soak.handshakes import HANDSHAKES
from tests.soak.hostile import HOSTILE, clinging, leaving, silent, stalling
from tests.soak.limits import Limits
from tests.soak.line import lining_up
from tests.soak.nodes import Pair, at_nodes, killing
from tests.soak.programs import fetching_many, prompting, watching_bars
from tests.soak.rude import rude
from tests.soak.slow import SLOW, sipping
from tests.soak.stage import RawTurn, Stage
from tests.soak.throng import throng
from tests.soak.trees import ChangingTree, looking_through, mirroring
from tests.support.redis import Redis

SEATS = 28
"""For every actor one and a few more: it is the throng that makes the server full, or the line."""
SEATS_OF_NODES = 12
PROCESS = 3.0
"""Seconds between two turns of who starts programs: they would take most of the machine."""
PLACES = 8
"""In the line."""


@dataclass
class Scene:
    """A server, or two that are one, and who comes to it."""

    name: str
    stage: Stage
    actors: list[Actor]
    gauges: list[Gauge] = field(default_factory=list)
    """Of each process that is to be in the end as it was at the start."""

    @property
    def logs(self) -> list[Path]:
        """What its servers have written so far, also those that were killed."""
        return sorted(self.stage.scratch.glob("chatfile-*.log"))


@dataclass
class Shelf:
    """What is served, the same in all scenes."""

    folder: Path
    files: dict[str, Known]
    many: dict[str, Known]
    disk: Disk
    tree: ChangingTree


Play = Callable[[Path, Shelf, Limits], AbstractContextManager[Scene]]
"""Starts the servers of a scene, and ends them."""


def lay_out_all(folder: Path, rng: Random) -> Shelf:
    """What stays, and what does not."""
    folder.mkdir()
    return Shelf(folder, lay_out(folder, rng), lay_out_many(folder, rng), Disk(folder), ChangingTree(folder))


def _actors(turns: Sequence[RawTurn], counts: str, pause: float = 0.5) -> list[Actor]:
    return [Actor(turn.__name__, in_thread(turn), pause, counts) for turn in turns]


@contextmanager
def plain(scratch: Path, shelf: Shelf, limits: Limits) -> Iterator[Scene]:
    """One server, and everybody who needs no more than that."""
    options = ["--recursive", f"--max-clients={SEATS}", *limits.options]
    with peers.chatfile(scratch, shelf.folder, *options) as server:
        stage = Stage([server.port], SEATS, limits, shelf.files, scratch)
        of_the_tree = [mirroring(shelf.tree), looking_through(shelf.tree)]
        scene = Scene("one server", stage, [
            *(Actor(turn.__name__, turn, 0.5, "good visits") for turn in [*GOOD, changing_under(shelf.disk)]),
            *_actors([asking], "good visits"),
            *_actors([prompting, watching_bars, fetching_many(shelf.many), *of_the_tree], "good visits", PROCESS),
            *_actors(SLOW, "slow readers served to the end"),
            *_actors(HOSTILE, "hostile clients cut in time"),
            *_actors([rude, rude], "rude rounds", 0.3),
            *_actors([throng], "throngs", 10.0),
            *_actors([shelf.disk.change], "changes of the disk", 0.0),
            *_actors([shelf.tree.change], "changes of the tree", 0.1),
        ])  # fmt: skip
        scene.gauges.append(settled(stage, server))
        yield scene


@contextmanager
def encrypted(scratch: Path, shelf: Shelf, limits: Limits) -> Iterator[Scene]:
    """One server with TLS and a line in which is waited."""
    from tests.support.certificates import Papers

    papers = Papers(scratch)
    options = ["--recursive", f"--max-clients={SEATS}", f"--waiting={PLACES}", f"--certificate={papers.good}"]
    with peers.chatfile(scratch, shelf.folder, *options, *limits.options) as server:
        stage = Stage([server.port], SEATS, limits, shelf.files, scratch, cafile=papers.ours)
        scene = Scene("TLS", stage, [
            *(Actor(turn.__name__, turn, 0.5, "good visits") for turn in GOOD),
            *_actors([asking], "good visits"),
            *_actors([prompting, watching_bars, fetching_many(shelf.many)], "good visits", PROCESS),
            *_actors([sipping], "slow readers served to the end"),
            *_actors([silent, stalling, leaving, clinging, *HANDSHAKES], "hostile clients cut in time"),
            *_actors([lining_up(PLACES)], "lines", 5.0),
        ])  # fmt: skip
        scene.gauges.append(settled(stage, server))
        yield scene


@contextmanager
def nodes(scratch: Path, shelf: Shelf, limits: Limits) -> Iterator[Scene]:
    """Two nodes at one engine, among which everyone is sent in turn."""
    options = ["--recursive", f"--max-clients={SEATS_OF_NODES}", *limits.options]
    with Redis(scratch / "engine") as engine, Pair(scratch, engine, shelf.folder, *options) as pair:
        refusals = (errors.Full, errors.Unavailable)
        both = [pair.staying, pair.other]
        stage = Stage([node.port for node in both], SEATS_OF_NODES, limits, shelf.files, scratch, refusals=refusals)
        scene = Scene("two nodes", stage, [])

        visitors = [
            *(Actor(turn.__name__, turn, 0.5, "good visits") for turn in GOOD),
            *_actors([asking], "good visits"),
            *_actors([rude], "rude rounds", 0.3),
            *_actors([throng], "throngs", 5.0),
        ]
        scene.actors = [
            *(Actor(each.name, at_nodes(pair, each.turn), each.pause, each.counts) for each in visitors),
            *_actors([killing(pair, scene.gauges)], "nodes killed", 8.0),
        ]
        scene.gauges.extend(settled(stage, node) for node in both)
        yield scene


def possible() -> list[Play]:
    """Those for which there is here what they need."""
    has_engine = shutil.which("redis-server") and find_spec("txredisapi")
    return [plain, *([encrypted] if find_spec("OpenSSL") else []), *([nodes] if has_engine else [])]
