"""Connections without a seat: which of them has to go when there are too many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from chatfile.server.unseated import EvictionRank, UnseatedConnection, UnseatedConnections

ROOM = 8
HERE, THERE = "192.0.2.1", "192.0.2.2"


@dataclass(eq=False)
class Somebody:
    """Without a seat."""

    rank: EvictionRank
    is_gone: bool = False

    def eviction_rank(self) -> EvictionRank:
        return self.rank

    def abort(self) -> None:
        self.is_gone = True


def the_first(some: Sequence[UnseatedConnection]) -> UnseatedConnection:
    return some[0]


@pytest.fixture
def room() -> UnseatedConnections:
    return UnseatedConnections(ROOM, the_first)


def come(room: UnseatedConnections, rank: EvictionRank, host: str, count: int = 1) -> list[Somebody]:
    some = [Somebody(rank) for _ in range(count)]
    for one in some:
        room.add(one, host)
    return some


def gone(some: list[Somebody]) -> list[bool]:
    return [one.is_gone for one in some]


@pytest.mark.parametrize("rank", EvictionRank)
def test_those_of_one_host_never_push_out_another_s(room: UnseatedConnections, rank: EvictionRank) -> None:
    waiting = (
        come(room, EvictionRank.HANDSHAKING, HERE)
        + come(room, EvictionRank.SILENT, HERE)
        + come(room, EvictionRank.REFUSED, HERE)
    )
    flood = come(room, rank, THERE, 1000)
    assert not any(gone(waiting))
    assert gone(flood).count(False) == ROOM - 3


def test_of_one_host_the_first_of_those_who_are_silent_has_to_go(room: UnseatedConnections) -> None:
    shaking = come(room, EvictionRank.HANDSHAKING, HERE, 2)
    silent = come(room, EvictionRank.SILENT, HERE, 100)
    assert not any(gone(shaking))
    assert gone(silent) == [True] * (100 - ROOM + 2) + [False] * (ROOM - 2)


def test_who_has_its_refusal_in_writing_goes_before_who_may_still_come_in(room: UnseatedConnections) -> None:
    silent = come(room, EvictionRank.SILENT, HERE, 2)
    told = come(room, EvictionRank.NOTHING, HERE, 100)
    assert not any(gone(silent))
    assert gone(told) == [True] * (100 - ROOM + 2) + [False] * (ROOM - 2)


def test_who_was_refused_and_may_not_have_heard_it_outlasts_the_silent(room: UnseatedConnections) -> None:
    refused = come(room, EvictionRank.REFUSED, HERE, 2)
    come(room, EvictionRank.SILENT, HERE, 100)
    assert not any(gone(refused))


@pytest.mark.parametrize("crowd", EvictionRank)
def test_who_has_only_just_come_is_not_judged_by_its_silence(room: UnseatedConnections, crowd: EvictionRank) -> None:
    come(room, crowd, HERE, ROOM)
    newest = come(room, EvictionRank.SILENT, HERE, ROOM // UnseatedConnections.NOT_JUDGED)
    assert not any(gone(newest))


def stay(room: UnseatedConnections, rank: EvictionRank, count: int = 1) -> list[Somebody]:
    """Those who were served, and kept; who is not has its seat still."""
    some = [Somebody(rank) for _ in range(count)]
    return [one for one in some if room.add_released(one)]


@pytest.mark.parametrize("has", [EvictionRank.NOTHING, EvictionRank.REFUSED])
def test_strangers_from_everywhere_do_not_take_from_who_was_served_its_last_bytes(
    room: UnseatedConnections, has: EvictionRank
) -> None:
    served = stay(room, has, ROOM // 2)
    assert len(served) == ROOM // 2
    for number in range(1000):
        come(room, EvictionRank.HANDSHAKING, f"198.51.100.{number}")
        come(room, EvictionRank.SILENT, HERE)
    assert not any(gone(served))


def test_the_served_do_not_take_from_each_other_either(room: UnseatedConnections) -> None:
    served = stay(room, EvictionRank.REFUSED, 100)
    assert len(served) == ROOM // 2
    served[1].rank = EvictionRank.NOTHING  # it has everything now
    assert len(stay(room, EvictionRank.REFUSED)) == 1
    assert gone(served) == [False, True, False, False]
    room.discard(served[0])
    assert len(stay(room, EvictionRank.REFUSED)) == 1


@pytest.mark.parametrize("rank", EvictionRank)
def test_the_served_that_do_not_go_keep_nobody_out(room: UnseatedConnections, rank: EvictionRank) -> None:
    others = come(room, rank, HERE, ROOM // 2)
    stay(room, EvictionRank.REFUSED, 100)
    assert not any(gone(others))
    more = come(room, rank, THERE, ROOM // 2)
    assert gone(others + more).count(True) == ROOM // 2


def test_a_flood_of_handshakes_pushes_out_by_chance_who_is_slower(room: UnseatedConnections) -> None:
    chances: list[int] = []

    def choose(some: Sequence[UnseatedConnection]) -> UnseatedConnection:
        chances.append(len(some))
        return some[-2]

    room = UnseatedConnections(ROOM, choose)
    slow, *others = come(room, EvictionRank.HANDSHAKING, HERE, 100)
    assert not slow.is_gone
    assert chances == [ROOM + 1 - (ROOM + 1) // UnseatedConnections.NOT_JUDGED] * (100 - ROOM)
    assert gone(others).count(False) == ROOM - 1


def test_what_somebody_has_to_lose_is_asked_when_one_has_to_go(room: UnseatedConnections) -> None:
    one, *others = come(room, EvictionRank.SILENT, HERE, ROOM)
    one.rank = EvictionRank.HANDSHAKING
    come(room, EvictionRank.SILENT, HERE)
    assert gone([one, *others[:2]]) == [False, True, False]


def test_who_has_got_a_seat_or_gone_stands_no_more(room: UnseatedConnections) -> None:
    for _ in range(100):
        (one,) = come(room, EvictionRank.SILENT, HERE)
        room.discard(one)
        assert not one.is_gone
    assert not any(gone(come(room, EvictionRank.SILENT, HERE, ROOM)))
