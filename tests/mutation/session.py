"""A session of cosmic-ray for each room, from its changes to what became of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkItem, WorkResult

from tests.mutation.mutants import changed_source, describe, prepare
from tests.mutation.reach import Reach
from tests.mutation.report import judgements
from tests.mutation.rooms import Room
from tests.mutation.trying import Trial, try_anew, try_in_place

AT_ONCE = 40
"""Changes that one process tries, one after another."""
_OUTCOMES = {
    "killed": TestOutcome.KILLED,
    "hangs": TestOutcome.KILLED,
    "survived": TestOutcome.SURVIVED,
    "broken": TestOutcome.INCOMPETENT,
}


@dataclass(frozen=True)
class Session:
    """What cosmic-ray keeps of a room."""

    room: Room
    folder: Path

    def plan(self, again: bool) -> Sequence[Trial]:
        """Find what is to be tried on which tests; `again` is what survived before and is not judged."""
        self._be_quiet()
        due = self._unjudged() if again else self._prepared()
        if not due:
            return []
        reach = Reach(self.room, self._file("coverage"))
        return [_trial(item, reach) for item in due]

    def _prepared(self) -> Sequence[WorkItem]:
        with use_db(self._file("sqlite")) as database:
            prepare(database, self.room.paths)
            return list(database.pending_work_items)

    def _unjudged(self) -> Sequence[WorkItem]:
        judged = judgements()
        return [item for item, outcome in self.results() if outcome == "survived" and describe(item) not in judged]

    def try_in_place(self, trials: Sequence[Trial]) -> Mapping[str, str]:
        """Try changes where they can be tried without an import."""
        self._be_quiet()
        return try_in_place(trials, self.room.tests)

    def try_anew(self, trials: Sequence[Trial]) -> Mapping[str, str]:
        """Try changes with an import."""
        self._be_quiet()
        return try_anew(trials, self.room.tests)

    def keep(self, outcomes: Mapping[str, str]) -> None:
        """Write what became of some changes."""
        with use_db(self._file("sqlite")) as database:
            for name, outcome in outcomes.items():
                result = WorkResult(WorkerOutcome.NORMAL, output=outcome, test_outcome=_OUTCOMES[outcome])
                database.set_result(name, result)

    def results(self) -> Sequence[tuple[WorkItem, str]]:
        """What became of each change that was tried."""
        with use_db(self._file("sqlite")) as database:
            return [(item, result.output) for item, result in database.completed_work_items if result.output]

    def _file(self, kind: str) -> Path:
        return self.folder / f"{self.room.name}.{kind}"

    def _be_quiet(self) -> None:
        """What the tests say goes to a file; this is a process for it alone."""
        log = os.open(self._file("log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)


def _trial(item: WorkItem, reach: Reach) -> Trial:
    change = item.mutations[0]
    tests = reach.tests(change.module_path, change.start_pos[0])
    return Trial(item.job_id, change.module_path, changed_source(item), tests)


def run(sessions: Sequence[Session], *, jobs: int, again: bool, say: Callable[[str], None]) -> None:
    """Try all changes: in the function that is changed first, then, if that settles nothing, with all imports anew."""
    with get_context("spawn").Pool(jobs, maxtasksperchild=1) as pool:
        plans = pool.starmap(Session.plan, [(session, again) for session in sessions], 1)
        for attempt in Session.try_in_place, Session.try_anew:
            parts = list(_parts(sessions, plans))
            tried = pool.imap_unordered(_attempt, [(attempt, *part) for part in parts])
            settled: set[str] = set()
            for count, (session, outcomes) in enumerate(tried, 1):
                session.keep(outcomes)
                settled |= outcomes.keys()
                say(f"{attempt.__name__}: {count} of {len(parts)}\n")
            plans = [[trial for trial in trials if trial.name not in settled] for trials in plans]


def _parts(sessions: Sequence[Session], plans: Sequence[Sequence[Trial]]) -> Iterator[tuple[Session, Sequence[Trial]]]:
    for session, trials in zip(sessions, plans, strict=True):
        for start in range(0, len(trials), AT_ONCE):
            yield session, trials[start : start + AT_ONCE]


Attempt = Callable[[Session, Sequence[Trial]], Mapping[str, str]]


def _attempt(work: tuple[Attempt, Session, Sequence[Trial]]) -> tuple[Session, Mapping[str, str]]:
    attempt, session, trials = work
    return session, attempt(session, trials)
