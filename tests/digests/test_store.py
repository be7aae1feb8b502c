"""The file of digests: whatever becomes of it, no line of it lies; it stays bounded, and one server has it."""

from __future__ import annotations

import os
import resource
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatfile.digests import Version, store
from chatfile.digests.store import NAME, DigestStore, StoreInUse, format_record, is_recordable, parse_record

NUMBERS = st.integers(0, 2**64 - 1)
TIMES = st.integers(-(2**63), 2**63 - 1)
EACH_STEP = pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.slow)])
"""Of so many bytes, one is tried."""
VERSIONS = st.tuples(st.just(0), NUMBERS, NUMBERS, TIMES, TIMES)
SHA256 = st.binary(max_size=8).map(lambda content: sha256(content).hexdigest())
Digest = tuple[Version, str]
DIGESTS: list[Digest] = [((0, n, n * n, 10**18 + n, 10**18 + 2 * n), sha256(b"%d" % n).hexdigest()) for n in range(30)]
MORE: Digest = ((0, 99, 9, 9, 9), sha256(b"more").hexdigest())


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path)


@contextmanager
def opened(folder: str, most: int = 100) -> Iterator[DigestStore]:
    opened = DigestStore(folder, most)
    try:
        yield opened
    finally:
        opened.close()


def read(folder: str) -> list[Digest]:
    with opened(folder) as each:
        return list(each.read())


def filled(folder: str) -> Path:
    with opened(folder) as each:
        each.append(DIGESTS[:10])
        each.append(DIGESTS[10:])
    return Path(folder, NAME)


# --- a line ---


@given(VERSIONS, SHA256)
def test_a_line_says_what_was_written(version: Version, digest: str) -> None:
    line = format_record(version, digest)
    assert parse_record(line) == (version, digest)
    assert len(line) < store.LONGEST_RECORD
    assert b"\n" not in line


@given(VERSIONS, SHA256, st.data())
def test_a_damaged_line_says_nothing(version: Version, digest: str, data: st.DataObject) -> None:
    line = format_record(version, digest)
    at, byte = data.draw(st.integers(0, len(line) - 1)), data.draw(st.integers(0, 255))
    for damaged in (line[:at], line[at + 1 :], line[:at] + line[at + 1 :], line[:at] + bytes([byte]) + line[at + 1 :]):
        assert damaged == line or parse_record(damaged) is None


@given(st.binary(max_size=300))
def test_anything_can_stand_in_a_line(line: bytes) -> None:
    assert parse_record(line) is None


def test_times_in_seconds_do_not_tell_a_file_from_another_at_the_next_start() -> None:
    second = 1_795_931_720 * 10**9
    assert [is_recordable((1, 2, 3, second, second + part)) for part in (0, 10**7, 123_000_000, 123_456_700)] == [
        False, False, False, True,
    ]  # fmt: skip


# --- the file ---


def test_what_was_kept_is_read(folder: str) -> None:
    path = filled(folder)
    assert read(folder) == DIGESTS
    assert path.stat().st_mode & 0o777 == 0o600


@EACH_STEP
def test_of_every_beginning_of_the_file_the_whole_lines_are_read_and_more_can_be_added(folder: str, step: int) -> None:
    path = filled(folder)
    whole = path.read_bytes()
    for length in range(0, len(whole), step):
        path.write_bytes(whole[:length])
        kept = read(folder)
        assert kept == DIGESTS[: len(kept)]
        assert len(kept) >= whole[:length].count(b"\n") - 3, "each group begins with one, and ends with one"
        with opened(folder) as each:
            each.append([MORE])
        assert read(folder) == [*kept, MORE]


@pytest.mark.parametrize("garbage", [bytes(5000), b"\n" * 5000, b"x" * 500_000, os.urandom(5000), b"1 2 3 4 5 6\n" * 9])
def test_what_is_damaged_costs_no_more_than_itself(folder: str, garbage: bytes) -> None:
    path = filled(folder)
    path.write_bytes(garbage + path.read_bytes() + garbage)
    assert read(folder) == DIGESTS
    with opened(folder) as each:
        each.append([MORE])
    assert read(folder) == [*DIGESTS, MORE]


def test_a_huge_file_is_read_no_further_than_one_can_be(folder: str) -> None:
    path = filled(folder)
    os.truncate(path, 1 << 40)
    with opened(folder, most=10) as each:
        assert list(each.read()) == DIGESTS
        with pytest.raises(OSError, match="large"):
            each.append([MORE])


def test_what_has_no_ends_of_lines_takes_no_memory(folder: str) -> None:
    path = filled(folder)
    path.write_bytes(bytes(1_500_000) + path.read_bytes())
    with opened(folder) as each:
        tracemalloc.start()
        assert list(each.read()) == DIGESTS
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 5 * store._PIECE


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file gets longer than so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("more", range(0, 150, 7))
def test_a_full_disk_costs_what_was_not_written_and_no_more(folder: str, more: int) -> None:
    path = filled(folder)
    with opened(folder) as each:
        assert list(each.read()) == DIGESTS
        with full_disk(path.stat().st_size + more), pytest.raises(OSError, match="large"):
            each.append([MORE, MORE])
        each.append([MORE])
    assert read(folder)[:31] == [*DIGESTS, MORE]
    assert set(read(folder)) == {*DIGESTS, MORE}


# --- bounded ---


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few lines are worth being moved, in pieces of some lines."""
    monkeypatch.setattr(DigestStore, "LEAST", 5)
    monkeypatch.setattr(store, "_PIECE", 300)


@pytest.mark.usefixtures("small")
def test_what_is_stale_goes_when_it_is_the_half(folder: str) -> None:
    current = {version for version, _ in DIGESTS[::3]}
    path = filled(folder)
    size = path.stat().st_size
    with opened(folder) as each:
        assert len(list(each.read())) == 30
        each.compact_if_stale(lambda: current, 15)
        assert path.stat().st_size == size
        each.compact_if_stale(lambda: current, len(current))
        assert path.stat().st_size < size / 2
        each.append([MORE])
    assert read(folder) == [*DIGESTS[::3], MORE]


@pytest.mark.usefixtures("small")
def test_lines_are_moved_when_they_are_more_than_twice_those_that_are_current(folder: str) -> None:
    current = {version for version, _ in DIGESTS[:10:2]}
    counts = []
    with opened(folder) as each:
        for digest in DIGESTS[:17]:
            each.append([digest])
            each.compact_if_stale(lambda: current, len(current))
            counts.append(len(Path(folder, NAME).read_bytes().split()) // 6)
    assert counts == [*range(1, 11), *range(5, 11), 5]


def test_there_is_room_for_twice_as_many_lines_as_digests(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "GROUP", 1)
    longest = (0, 2**64 - 1, 2**64 - 1, -(10**19), -(10**19)), MORE[1]
    with opened(folder, most=10) as each:
        for _ in range(20):
            each.append([longest])
    assert read(folder) == [longest] * 20


@pytest.mark.usefixtures("small")
def test_a_file_that_changes_for_ever_takes_no_more_room(folder: str) -> None:
    versions: list[Version] = [(0, 7, 7, time, time) for time in range(1, 500)]
    sizes = set()
    with opened(folder, most=10) as each:
        for version in versions:
            each.append([(version, MORE[1])])
            each.compact_if_stale({version}.copy, 1)
            sizes.add(Path(folder, NAME).stat().st_size)
    assert max(sizes) < 12 * store.LONGEST_RECORD
    assert read(folder)[-1] == (versions[-1], MORE[1])


class Crash(BaseException):
    """The process ends here."""


@EACH_STEP
@pytest.mark.usefixtures("small")
def test_a_crash_amid_the_moving_of_lines_loses_one_that_is_current_at_most(
    folder: str, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    path = filled(folder)
    whole, really, allowed, written = path.read_bytes(), os.pwrite, 0, 0
    current = {version for version, _ in DIGESTS[::2]}

    def write(descriptor: int, data: bytes, offset: int) -> int:
        nonlocal written
        written += really(descriptor, data[: max(0, allowed - written)], offset)
        if written == allowed:
            raise Crash
        return len(data)

    monkeypatch.setattr(os, "pwrite", write)
    for each_byte in range(0, len(whole) // 2, step):
        path.write_bytes(whole)
        allowed, written = each_byte, 0
        with opened(folder) as each, suppress(Crash):
            assert len(list(each.read())) == 30
            each.compact_if_stale(lambda: current, 1)
        left = set(read(folder))
        assert left <= set(DIGESTS)
        assert len(set(DIGESTS[::2]) - left) <= 1


# --- whose it is ---


def test_a_second_server_does_not_get_it(folder: str) -> None:
    with opened(folder), pytest.raises(StoreInUse):
        DigestStore(folder, 100)
    assert read(folder) == []


def test_without_locks_it_is_used_all_the_same(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(store.fcntl, "flock", refuse)
    filled(folder)
    assert read(folder) == DIGESTS


@pytest.mark.parametrize("plant", ["mkfifo", "mkdir", "symlink"])
def test_what_is_no_file_is_left_alone(folder: str, plant: str) -> None:
    path = Path(folder, NAME)
    getattr(os, plant)(*(["elsewhere"] if plant == "symlink" else []), path)
    before = path.lstat()
    with pytest.raises(OSError, match=r".+"):
        DigestStore(folder, 100)
    assert path.lstat().st_mode == before.st_mode
    assert os.listdir(folder) == [NAME]
