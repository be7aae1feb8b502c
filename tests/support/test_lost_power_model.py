"""The model of a disk that loses power: what is synced is there, all else may be there or not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.support.lost_power import (
    ROOT,
    Call,
    Disk,
    Entries,
    Found,
    Node,
    Sync,
    Time,
    Truncate,
    Write,
    outcomes,
    syncs_behind_names,
    unsettled,
    without_syncs,
)

FILE, OTHER, FOLDER = Node(1), Node(2), Node(3, is_folder=True)
OLD_DISK = Disk({OTHER: (b"old", 5)}, {ROOT: {"old": OTHER}})


def named(name: str, node: Node | None, folder: Node = ROOT) -> Entries:
    return Entries(folder, ((name, node),))


def contents(
    calls: Sequence[Call], before: Disk | None = None, most: int = 1000
) -> set[tuple[tuple[str, object], ...]]:
    """What may be there at any moment: the names and what they have."""
    return {
        tuple((path, found and found.content) for path, found in picture.items())
        for _, picture in outcomes(before or Disk(), calls, most=most, seed=1)
    }


NOTHING, EMPTY, WHOLE = (), (("a", b""),), (("a", b"data"),)
DAMAGED = (("a", bytes(4)),), (("a", b"da"),)


def test_a_file_that_is_synced_before_it_has_its_name_is_whole_or_absent() -> None:
    assert contents([Write(FILE, 0, b"data"), Sync(FILE), named("a", FILE)]) == {NOTHING, WHOLE}


def test_a_file_that_is_synced_too_late_or_never_may_be_anything() -> None:
    calls: list[Call] = [Write(FILE, 0, b"data"), Sync(FILE), named("a", FILE)]
    for changed in (without_syncs(calls), syncs_behind_names(calls)):
        assert contents(changed) == {NOTHING, EMPTY, WHOLE, *DAMAGED}


def test_a_name_is_there_for_certain_behind_a_sync_of_its_folder() -> None:
    assert contents([named("a", FILE), Sync(FILE)]) == {NOTHING, EMPTY}
    *_, (count, picture) = outcomes(Disk(), [named("a", FILE), Sync(ROOT)], most=9, seed=1)
    assert (count, picture) == (1, {"a": Found(b"", None, FILE)})
    assert unsettled([named("a", FILE), Sync(ROOT)]) == []


def test_only_what_comes_before_a_sync_is_settled() -> None:
    calls = [Write(FILE, 0, b"1"), Sync(FILE), Write(FILE, 1, b"2"), Time(FILE, 3), Sync(OTHER), named("a", FILE)]
    assert unsettled(calls) == [2, 3, 5]


def test_a_write_that_is_lost_leaves_a_gap_before_one_that_is_kept() -> None:
    calls = [named("a", FILE), Sync(ROOT), Write(FILE, 0, b"12"), Write(FILE, 2, b"34")]
    assert (("a", b"\0\x0034"),) in contents(calls)


def test_what_is_written_over_is_old_or_new() -> None:
    calls = [Write(OTHER, 0, b"new!")]
    found = {content for ((_, content),) in contents(calls, OLD_DISK)}
    assert found == {b"old", b"new!", b"old\0", b"ned"}


def test_a_file_is_replaced_or_not_and_never_gone() -> None:
    replaced = Entries(ROOT, (("a", None), ("old", FILE)))
    calls = [named("a", FILE), Write(FILE, 0, b"new"), Sync(FILE), replaced]
    assert {dict(found)["old"] for found in contents(calls, OLD_DISK)} == {b"old", b"new"}


def test_changes_of_names_may_come_in_any_order() -> None:
    calls = [named("a", FILE), Sync(ROOT), named("b", FILE), named("a", None)]
    names = {tuple(name for name, _ in found) for found in contents(calls)}
    assert names == {(), ("a",), ("a", "b"), ("b",)}


def test_what_is_in_a_folder_that_is_lost_is_lost() -> None:
    calls = [named("f", FOLDER), named("a", FILE, FOLDER), Sync(FOLDER), Sync(FILE)]
    names = {tuple(name for name, _ in found) for found in contents(calls)}
    assert names == {(), ("f",), ("f", "f/a")}


def test_times_and_sizes_are_lost_like_bytes() -> None:
    pictures = [
        picture["old"] for _, picture in outcomes(OLD_DISK, [Time(OTHER, 9), Truncate(OTHER, 1)], most=9, seed=1)
    ]
    assert {found and (found.content, found.mtime) for found in pictures} == {
        (b"old", 5), (b"old", 9), (b"o", None),
    }  # fmt: skip


@pytest.mark.parametrize("most", [1, 40])
def test_of_many_choices_the_plain_ones_and_some_of_a_seed_are_tried(most: int) -> None:
    calls: list[Call] = [named(str(number), Node(number)) for number in range(1, 11)]
    tried = [set(picture) for _, picture in outcomes(Disk(), calls, most=most, seed=1)]
    every = set(map(str, range(1, 11)))
    for wanted in (set(), every, *({name} for name in every), *(every - {name} for name in every)):
        assert wanted in tried
    assert len(tried) > 38 + most
    assert [set(picture) for _, picture in outcomes(Disk(), calls, most=most, seed=1)] == tried
