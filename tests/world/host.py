"""The real server of a world: on virtual time, with threads and a disk that are the schedule's."""

from __future__ import annotations

import os
from pathlib import Path

from chatfile.admission import MemoryAdmission
from chatfile.digests import Digests
from chatfile.disk import Disk
from chatfile.repository import Repository
from chatfile.server import ChatFileFactory, Listings
from chatfile.server.pacing import SharedRates
from tests.support.serving import NOON, OLD
from tests.world.disk import ScheduledThreads
from tests.world.network import ServerEndpoint
from tests.world.plan import DISK_TIMEOUT, DRAIN, LIMITS, Plan
from tests.world.promises import Promises
from tests.world.schedule import Schedule

SLACK = 1.0
"""Seconds that an end may be late by: for the latency of the last bytes, and the looks of a timer."""


class Host:
    """Runs one server at a time, and drains it."""

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        schedule: Schedule,
        threads: ScheduledThreads,
        endpoint: ServerEndpoint,
        promises: Promises,
    ) -> None:
        self.admissions: list[MemoryAdmission] = []
        """Those of all servers, the latest last."""
        self.factories: list[ChatFileFactory] = []
        self.has_drained = False
        self._disks: list[Disk] = []
        self._plan = plan
        self._folder = folder
        self._schedule = schedule
        self._threads = threads
        self._endpoint = endpoint
        self._promises = promises
        threads.name_of = self.name_of

    def start(self) -> None:
        clock, plan, threads = self._schedule.clock, self._plan, self._threads
        disk = Disk(clock, threads.in_reactor, timeout=DISK_TIMEOUT, clients=plan.seats, start=threads.start)
        repository = Repository(str(self._folder))
        admission = MemoryAdmission(
            lambda: NOON + clock.seconds(),
            limit=plan.seats,
            limit_per_address=plan.per_address,
            places=plan.places,
            history=plan.history,
        )
        factory = ChatFileFactory(
            repository,
            admission,
            listings=Listings(repository, disk.listings.queue(), disk.trees.queue()),
            digests=Digests(disk.digests.queue, lambda: OLD * 2, clock.seconds),
            clock=clock,
            queue=disk.files.queue,
            timeouts=LIMITS,
            max_unseated=plan.unseated,
            line=admission if plan.places else None,
            rates=SharedRates(clock, total=plan.rate, per_address=0) if plan.rate else None,
        )
        self._disks.append(disk)
        self.admissions.append(admission)
        self.factories.append(factory)
        self._endpoint.factory = factory

    def name_of(self, about: object) -> str | None:
        """The name of the file that a call is about."""
        if isinstance(about, tuple):  # a digest knows its inode only
            with os.scandir(self._folder) as found:
                return next((entry.name for entry in found if entry.inode() == about[1]), None)
        return about if isinstance(about, str) else None

    @property
    def taken(self) -> int:
        return sum(admission.taken for admission in self.admissions)

    def drain(self) -> None:
        """What SIGTERM does; then another server is started, if that is planned."""
        self._schedule.note("drain")
        self.has_drained = True
        self._endpoint.factory = None
        began, factory = self._schedule.now, self.factories[-1]
        drained = factory.drain(DRAIN)
        late = self._schedule.later(DRAIN + LIMITS.flush + SLACK, self._drain_is_late)
        drained.addCallback(lambda _: self._drained(began))
        drained.addCallback(lambda _: late.cancel())
        if self._schedule.chance(0.2):
            self._schedule.later(self._schedule.soon(DRAIN), self._reset, factory)

    def _reset(self, factory: ChatFileFactory) -> None:
        """What a second signal does."""
        self._schedule.note("reset")
        factory.reset()
        self._schedule.later(SLACK, self._check_reset, factory)

    def _check_reset(self, factory: ChatFileFactory) -> None:
        self._promises.hold(not _connections(factory), "graceful", "connections are left behind a reset")

    def _drain_is_late(self) -> None:
        self._promises.hold(False, "graceful", "the drain does not end")

    def _drained(self, began: float) -> None:
        self._schedule.note("drained", f"{self._schedule.now - began:.3f}")
        if self._plan.restarts:
            self.start()

    def check_seats(self) -> None:
        admission = self.admissions[-1]
        if admission.taken > admission.limit:
            self._promises.hold(False, "bounded", f"{admission.taken} clients are served")

    def end(self) -> None:
        """Hold what is left against what may be left, and end the lanes."""
        for factory, admission in zip(self.factories, self.admissions, strict=True):
            activity, hold = factory.activity(), self._promises.hold
            hold(admission.taken == 0, "never locked out", f"{admission.taken} seats are taken at the end")
            hold(not _connections(factory), "settled", activity)
            hold(not factory.is_responding(), "settled", "a response is under way")
            hold(activity.faults == 0, "no faults of its own", activity.faults)
            hold(sum(activity.left.values()) == activity.admitted, "observable", activity)
            remembered = len(admission.records())
            hold(remembered == min(self._plan.history, activity.admitted), "bounded", f"{remembered} are remembered")
        for disk in self._disks:
            loads = disk.loads()
            idle = all(load.waiting + load.under_way + load.hung == 0 for load in loads.values())
            self._promises.hold(idle, "settled", loads)
            disk.close()


def _connections(factory: ChatFileFactory) -> int:
    activity = factory.activity()
    return activity.seated + activity.unseated + activity.waiting
