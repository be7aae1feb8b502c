"""The lease, explored: a cluster keeps its promises in every order of events, and needs each of its rules for that."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement

import pytest

from tests.cluster.engine_model import LEASE, NEVER, Rules
from tests.cluster.exploring import Found, explore
from tests.cluster.model import Promise, Setting

FAULTS = {"cut": 3, "freeze": 3, "die": 3, "lose": 3, "flush": 3, "stop": LEASE + 1, "kill": LEASE + 1}
"""What can fail, and in how many quarters of a lease what that does is to be seen."""


def assert_kept(setting: Setting, most: int = 10**9) -> None:
    """No promise is broken in all that can happen, or in so many worlds."""
    result = explore(setting, most)
    assert result.found is None, f"\n{result.found}"


# --- every order of events ---


def test_all_is_kept_while_clients_come_and_go() -> None:
    assert_kept(Setting(ticks=1, beats_first=False))


def test_all_is_kept_while_nodes_come() -> None:
    assert_kept(Setting(ticks=2, joined=False, may_leave=False))


@pytest.mark.parametrize("fault", FAULTS)
def test_all_is_kept_through_a_fault_when_seats_are_taken(fault: str) -> None:
    assert_kept(
        Setting(may_fail=frozenset({fault}), faults=1, inside=1, clients=1, ticks=FAULTS[fault], may_leave=False)
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_all_is_kept_through_a_fault_when_clients_come_and_go(fault: str) -> None:
    assert_kept(Setting(may_fail=frozenset({fault}), faults=1, inside=1, clients=1, ticks=1))


@pytest.mark.slow
@pytest.mark.parametrize("faults", list(combinations_with_replacement(FAULTS, 2)), ids="+".join)
def test_all_is_kept_through_two_faults(faults: tuple[str, str]) -> None:
    setting = Setting(may_fail=frozenset(faults), faults=2, inside=1, clients=1, ticks=4, may_leave=False)
    assert_kept(setting, most=4_000)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_all_is_kept_by_three_nodes_with_two_seats(fault: str) -> None:
    setting = Setting(
        Rules(limit=2), nodes=3, may_fail=frozenset({fault}), faults=1, inside=1, clients=2, ticks=3, may_leave=False
    )
    assert_kept(setting, most=4_000)


# --- every rule ---


@dataclass(frozen=True)
class Lacking:
    """Rules of which one is missing, a fault through which that is seen, and the promise that it breaks."""

    rules: Rules
    fault: str
    breaks: Promise
    ticks: int = LEASE
    inside: int = 1
    clients: int = 1
    joined: bool = True
    leaves: bool = False
    beats_first: bool = True

    def look(self) -> Found | None:
        """What is found first."""
        setting = Setting(
            self.rules,
            may_fail=frozenset({self.fault}),
            faults=bool(self.fault),
            ticks=self.ticks,
            clients=self.clients,
            joined=self.joined,
            inside=self.inside,
            may_leave=self.leaves,
            beats_first=self.beats_first,
        )
        return explore(setting, undisturbed=self.breaks is Promise.WELL).found


NEEDED = {
    "calls of an old connection are void": Lacking(Rules(fences=False), "stop", Promise.APART, beats_first=False),
    "so is a join of an old connection": Lacking(
        Rules(fences_joins=False), "cut", Promise.LIMIT, ticks=2, inside=0, clients=2, joined=False
    ),
    "a dead node has no generation": Lacking(Rules(forgets=False), "stop", Promise.APART, beats_first=False),
    "a new life is closed for half a lease": Lacking(Rules(closes=False), "flush", Promise.LIMIT),
    "a new life extends leases": Lacking(Rules(extends=False), "die", Promise.LIMIT, ticks=6),
    "who has stood still has a new life": Lacking(Rules(stood_still=NEVER), "freeze", Promise.LIMIT),
    "half a lease is standing still": Lacking(Rules(stood_still=LEASE), "freeze", Promise.LIMIT),
    "a join frees what the node does not know": Lacking(Rules(join_frees=False), "cut", Promise.WELL, inside=0),
    "a beat compares seats": Lacking(Rules(beat_compares=False), "drop", Promise.WELL),
    "a beat tells of admissions under way": Lacking(
        Rules(counts_asked=False), "", Promise.QUIET, inside=0, beats_first=False
    ),
    "nodes tell the highest number": Lacking(Rules(tells_seen=False), "flush", Promise.NAMES, leaves=True),
    "a seat that comes too late is void": Lacking(Rules(voids_late=False), "stop", Promise.APART, inside=0),
}


@pytest.mark.parametrize("rule", NEEDED)
def test_a_rule_is_needed(rule: str) -> None:
    lacking = NEEDED[rule]
    found = lacking.look()
    assert found is not None
    print(f"Without the rule that {rule}:\n{found}")  # noqa: T201 -- shown by pytest -rP
    assert found.promise is lacking.breaks
