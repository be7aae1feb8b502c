"""One world: a server, its clients, the network and the disks between them, from one seed to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatfile.disk.queues import Call
from tests.support.shelf import Shelf
from tests.support.torture import Seam
from tests.world.actors import Downloader, Mirrorer, Neighbour, Newcomer, Single, Talker
from tests.world.disk import ScheduledThreads
from tests.world.host import Host
from tests.world.network import ServerEndpoint
from tests.world.plan import CALM, NAMES, SIZES, Plan, draw
from tests.world.promises import LocalFolder, Promises
from tests.world.rude import Rude
from tests.world.schedule import Schedule

ACTORS: dict[str, Any] = {
    "talker": Talker,
    "downloader": Downloader,
    "single": Single,
    "mirrorer": Mirrorer,
    "neighbour": Neighbour,
    "newcomer": Newcomer,
    "rude": Rude,
}
IN_PLACE = ("rewrite", "lengthen", "truncate", "grow", "replace")
"""Changes that matter to whoever has the file open, and one that must not."""
AT_REST = 60.0
"""Seconds from the end of all faults until everything has come to its end, and everybody has gone."""


class World:
    """Everything of one seed."""

    def __init__(self, seed: int, folder: Path, seam: Seam) -> None:
        self.schedule = Schedule(seed)
        self.choose = self.schedule.random
        self.plan: Plan = draw(self.choose)
        self.folder = folder
        self.seam = seam
        self.promises = Promises()
        served = folder / "served"
        served.mkdir()
        self.shelf = Shelf(served)
        self.shelf.change(CALM, "replace", self.choose.choice((400, 3000)))
        for name in NAMES:
            if self.schedule.chance(0.9):
                self.shelf.change(name, "replace", self.choose.choice(SIZES))
        own = {name: b"my own" for name in ("mine", ".hidden", NAMES[1]) if self.schedule.chance(0.3)}
        self.local, self.mirrored = (
            LocalFolder(folder / which, own, self.shelf, self.promises) for which in ("local", "mirrored")
        )
        self.endpoint = ServerEndpoint(self.schedule, self.promises, self.plan.latency)
        threads = ScheduledThreads("server", self.schedule, seam, self.plan.server_disk)
        threads.made = self._add_faults
        self.host = Host(self.plan, served, self.schedule, threads, self.endpoint, self.promises)
        self._visits: list[Any] = []

    @property
    def is_closed(self) -> bool:
        """Whether no server will ever listen again."""
        return self.host.has_drained and not self.plan.restarts

    # --- from its beginning to its end ---

    def run(self) -> None:
        self.host.start()
        for kind in self.plan.actors:
            self._begin(kind, self.choose.uniform(0, 2))
        self._plan_faults()
        self._run(self.plan.faults_end + AT_REST)
        if not self.is_closed:
            self._begin("newcomer", 0)
            self._run(self.schedule.now + AT_REST)
            self.local.check_complete()
            self.mirrored.check_complete()
            self.host.factories[-1].drain(0)
        for visit in self._visits:
            visit.end()
        self.host.end()
        self.promises.check()
        left = self.schedule.clock.getDelayedCalls()
        self.promises.hold(not left, "leaves nothing behind", left)

    def _run(self, until: float) -> None:
        self.schedule.run(until, self._check)
        late = [visit.name for visit in self._visits if not visit.is_over]
        self.promises.hold(not late, "comes to an end", late)
        self.promises.hold(self.host.taken == 0, "never locked out", f"{self.host.taken} seats are taken at the end")
        self.promises.check()

    def _check(self) -> None:
        self.host.check_seats()
        self.promises.check()

    def _begin(self, kind: str, after: float) -> None:
        visit = ACTORS[kind](self, f"{kind}{len(self._visits) + 1}")
        self._visits.append(visit)
        self.schedule.later(after, self._act, visit)

    def _act(self, visit: Any) -> None:
        acting = Deferred.fromCoroutine(visit.act())
        acting.addCallbacks(lambda _: self._over(visit), self._failed, errbackArgs=(visit,))

    def _over(self, visit: Any) -> None:
        self.schedule.note("is over", visit.name)
        visit.is_over = True

    def _failed(self, failure: Failure, visit: Any) -> None:
        self.promises.hold(False, "no faults", f"{visit.name}: {failure.getTraceback()}")

    # --- what goes wrong ---

    def _plan_faults(self) -> None:
        plan, later = self.plan, self.schedule.later
        for _ in range(plan.changes):
            later(self.choose.uniform(0, plan.faults_end), self._change_any)
        for _ in range(plan.cuts):
            later(self.choose.uniform(0, plan.faults_end), self._disturb)
        if plan.drains:
            later(self.choose.uniform(0, plan.faults_end), self._drain)
        later(plan.faults_end, self._end_faults)

    def _add_faults(self, call: Call) -> None:
        """Do something amid what goes on: what is left to chance alone seldom comes just then."""
        if self.schedule.now >= self.plan.faults_end:
            return
        if self.plan.changes and self.schedule.chance(0.3):
            name, how = self.host.name_of(call.about), self.choose.choice(IN_PLACE)
            if name in NAMES:
                self.schedule.later(self._moment(), self._change, name, how)
        if self.plan.cuts and self.schedule.chance(0.02):
            self.schedule.later(self._moment(), self._disturb)
        if self.plan.drains and self.schedule.chance(0.05):
            self.schedule.later(self._moment(), self._drain)

    def _moment(self) -> float:
        return self.schedule.soon(self.choose.choice((0.01, 5 * self.plan.latency)))

    def _drain(self) -> None:
        if self.endpoint.factory is not None:
            self.host.drain()

    def _change_any(self) -> None:
        self._change(self.choose.choice(NAMES), self.choose.choice(Shelf.CHANGES))

    def _change(self, name: str, how: str) -> None:
        self.schedule.note("file", name, how)
        self.shelf.change(name, how, self.choose.choice(SIZES))

    def _disturb(self) -> None:
        open_paths = [path for path in self.endpoint.paths if not path.is_over and not path.is_broken]
        if not open_paths:
            return
        path, how = self.choose.choice(open_paths), self.choose.choice(("reset", "break", "hold"))
        self.schedule.note("network", path.ends[0], how)
        if how == "reset":
            path.reset()
        elif how == "break":
            path.break_silently()
        else:
            path.hold(self.choose.choice((0.3, 3.0)))

    def _end_faults(self) -> None:
        self.schedule.note("faults end")
        self.plan.server_disk.is_over = self.plan.client_disk.is_over = True
